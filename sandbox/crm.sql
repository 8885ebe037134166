-- A small CRM as people run it on Supabase: what hangs on contacts, in every form that a schema has for it.
-- Nothing here keeps two contacts of one workspace from having the same phone: that is the point.

-- Roles belong to the whole cluster, so another database may have made them already, or be making them now.
DO $$
DECLARE
    role_name text;
BEGIN
    FOREACH role_name IN ARRAY ARRAY['anon', 'authenticated', 'service_role'] LOOP
        IF to_regrole(role_name) IS NULL THEN
            BEGIN
                EXECUTE format('CREATE ROLE %I NOLOGIN', role_name);
            EXCEPTION WHEN duplicate_object OR unique_violation THEN
                NULL;
            END;
        END IF;
    END LOOP;
END
$$;

GRANT USAGE ON SCHEMA public TO anon, authenticated, service_role;
-- The older Supabase default: a new table in public is open to the API roles at once.
ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT ALL ON TABLES TO anon, authenticated, service_role;

CREATE SCHEMA billing;

CREATE TYPE lifecycle AS ENUM ('lead', 'customer', 'former');
CREATE TYPE address AS (street text, city text, zip char(8));
CREATE DOMAIN email_address AS text CHECK (VALUE LIKE '%@%');

CREATE FUNCTION set_updated_at() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.updated_at := clock_timestamp();
    RETURN NEW;
END
$$;

CREATE TABLE workspaces (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    name text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE contacts (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    number bigint GENERATED ALWAYS AS IDENTITY UNIQUE,
    workspace_id uuid NOT NULL REFERENCES workspaces ON DELETE CASCADE,
    phone text,
    name text,
    display_name text GENERATED ALWAYS AS (coalesce(name, 'unknown')) STORED,
    email email_address,
    custom_attributes jsonb NOT NULL DEFAULT '{}',
    raw_payload json,
    tags text[],
    stage lifecycle NOT NULL DEFAULT 'lead',
    home address,
    score numeric,
    temperature double precision,
    reachable tstzrange,
    last_seen_at timestamptz,
    avatar bytea,
    referred_by uuid REFERENCES contacts ON DELETE SET NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    deleted_at timestamptz,
    UNIQUE (workspace_id, id)
);
CREATE INDEX contacts_referred_by_idx ON contacts (referred_by);
CREATE TRIGGER set_updated_at BEFORE UPDATE ON contacts FOR EACH ROW EXECUTE FUNCTION set_updated_at();
ALTER TABLE contacts ENABLE ROW LEVEL SECURITY;
CREATE POLICY own_workspace ON contacts TO authenticated
    USING (workspace_id::text = current_setting('request.workspace_id', true));

CREATE TABLE tags (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    workspace_id uuid NOT NULL REFERENCES workspaces ON DELETE CASCADE,
    name text NOT NULL,
    UNIQUE (workspace_id, name)
);

-- Many to many: the same tag on two duplicates collides when they become one contact.
CREATE TABLE contact_tags (
    contact_id uuid REFERENCES contacts ON DELETE CASCADE,
    tag_id uuid REFERENCES tags ON DELETE CASCADE,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (contact_id, tag_id)
);
CREATE INDEX contact_tags_tag_id_idx ON contact_tags (tag_id);

CREATE TABLE notes (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    contact_id uuid NOT NULL REFERENCES contacts ON DELETE CASCADE,
    body text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX notes_contact_id_idx ON notes (contact_id);
CREATE TRIGGER set_updated_at BEFORE UPDATE ON notes FOR EACH ROW EXECUTE FUNCTION set_updated_at();

-- One conversation a channel: two duplicates' conversations become one, and so do their participants.
CREATE TABLE conversations (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    contact_id uuid NOT NULL REFERENCES contacts ON DELETE RESTRICT,
    channel text NOT NULL,
    status text NOT NULL DEFAULT 'open',
    created_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (contact_id, channel)
);

CREATE TABLE conversation_participants (
    conversation_id uuid REFERENCES conversations ON DELETE CASCADE,
    agent text,
    PRIMARY KEY (conversation_id, agent)
);

CREATE TABLE messages (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    conversation_id uuid REFERENCES conversations ON DELETE CASCADE,
    contact_id uuid NOT NULL REFERENCES contacts ON DELETE CASCADE,
    body text NOT NULL,
    provider_payload json,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX messages_conversation_id_idx ON messages (conversation_id);
CREATE INDEX messages_contact_id_idx ON messages (contact_id);

-- Two references to one table.
CREATE TABLE deals (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    contact_id uuid REFERENCES contacts ON DELETE SET NULL,
    referrer_id uuid REFERENCES contacts ON DELETE SET NULL,
    title text NOT NULL,
    amount numeric NOT NULL,
    expected_at timestamptz
);
CREATE INDEX deals_contact_id_idx ON deals (contact_id);
CREATE INDEX deals_referrer_id_idx ON deals (referrer_id);

CREATE TABLE custom_fields (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    workspace_id uuid NOT NULL REFERENCES workspaces ON DELETE CASCADE,
    name text NOT NULL,
    UNIQUE (workspace_id, name)
);

CREATE TABLE custom_values (
    id bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
    contact_id uuid NOT NULL REFERENCES contacts ON DELETE CASCADE,
    field_id uuid NOT NULL REFERENCES custom_fields ON DELETE CASCADE,
    value jsonb NOT NULL,
    UNIQUE (contact_id, field_id)
);
CREATE INDEX custom_values_field_id_idx ON custom_values (field_id);

-- One to one: its primary key is the reference, and other rows refer to that in turn.
CREATE TABLE contact_profiles (
    contact_id uuid PRIMARY KEY REFERENCES contacts ON DELETE CASCADE,
    bio text NOT NULL,
    language text NOT NULL,
    updated_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE profile_links (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    contact_id uuid NOT NULL REFERENCES contact_profiles (contact_id) ON DELETE CASCADE,
    url text NOT NULL,
    UNIQUE (contact_id, url)
);

-- A composite reference, as multi-tenant schemas have it.
CREATE TABLE tasks (
    id bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
    workspace_id uuid NOT NULL,
    contact_id uuid,
    title text NOT NULL,
    FOREIGN KEY (workspace_id, contact_id) REFERENCES contacts (workspace_id, id) ON DELETE CASCADE
);
CREATE INDEX tasks_contact_idx ON tasks (workspace_id, contact_id);

-- A reference to the contact's second unique key.
CREATE TABLE calls (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    contact_number bigint NOT NULL REFERENCES contacts (number) ON DELETE CASCADE,
    duration interval NOT NULL,
    quality real[]
);
CREATE INDEX calls_contact_number_idx ON calls (contact_number);

-- In another schema, and checked only at commit.
CREATE TABLE billing.invoices (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    contact_id uuid NOT NULL REFERENCES public.contacts DEFERRABLE INITIALLY DEFERRED,
    amount numeric(12, 2) NOT NULL,
    period daterange NOT NULL
);
CREATE INDEX invoices_contact_id_idx ON billing.invoices (contact_id);

-- Polymorphic: no foreign key tells that subject_id may be a contact.
CREATE TABLE activities (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    subject_type text NOT NULL,
    subject_id uuid NOT NULL,
    action text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX activities_subject_idx ON activities (subject_type, subject_id);

CREATE TABLE events (
    id bigint NOT NULL,
    occurred_at timestamptz NOT NULL,
    contact_id uuid NOT NULL REFERENCES contacts ON DELETE CASCADE,
    kind text NOT NULL,
    PRIMARY KEY (id, occurred_at)
) PARTITION BY RANGE (occurred_at);
CREATE TABLE events_2026_01 PARTITION OF events FOR VALUES FROM ('2026-01-01 00:00Z') TO ('2026-02-01 00:00Z');
CREATE TABLE events_2026_02 PARTITION OF events FOR VALUES FROM ('2026-02-01 00:00Z') TO ('2026-03-01 00:00Z');
CREATE TABLE events_2026_03 PARTITION OF events FOR VALUES FROM ('2026-03-01 00:00Z') TO ('2026-04-01 00:00Z');
CREATE TABLE events_other PARTITION OF events DEFAULT;
CREATE INDEX events_contact_id_idx ON events (contact_id);

-- No primary key, and rows that are the same in every column.
CREATE TABLE link_clicks (
    contact_id uuid NOT NULL REFERENCES contacts ON DELETE CASCADE,
    url text NOT NULL,
    clicked_at timestamptz NOT NULL
);
CREATE INDEX link_clicks_contact_id_idx ON link_clicks (contact_id);
