-- What the service writes to: the tables that people have before anything makes phones unique.
CREATE TABLE workspaces (
    id uuid PRIMARY KEY,
    name text NOT NULL
);

CREATE TABLE contacts (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    workspace_id uuid NOT NULL REFERENCES workspaces,
    phone text,
    name text,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX ON contacts (workspace_id, phone);

CREATE TABLE messages (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    workspace_id uuid NOT NULL REFERENCES workspaces,
    contact_id bigint NOT NULL REFERENCES contacts ON DELETE CASCADE,
    provider_id text NOT NULL,
    body text NOT NULL,
    received_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (workspace_id, provider_id)
);
CREATE INDEX ON messages (contact_id);

INSERT INTO workspaces VALUES ('00000000-0000-0000-0000-000000000001', 'Bakery');
