-- A small schema for docs/statements.md: four tables, one of each common kind of reference.
CREATE TABLE contacts (
    id bigint PRIMARY KEY,
    workspace_id bigint NOT NULL,
    phone text,
    email text,
    referred_by bigint REFERENCES contacts ON DELETE SET NULL,
    created_at timestamptz NOT NULL
);

CREATE TABLE messages (
    id bigint PRIMARY KEY,
    contact_id bigint NOT NULL REFERENCES contacts ON DELETE CASCADE,
    body text NOT NULL
);

CREATE TABLE contact_tags (
    contact_id bigint REFERENCES contacts ON DELETE CASCADE,
    tag text,
    PRIMARY KEY (contact_id, tag)
);

CREATE TABLE deals (
    id bigint PRIMARY KEY,
    contact_id bigint REFERENCES contacts ON DELETE RESTRICT,
    introduced_by bigint REFERENCES contacts ON DELETE SET NULL
);

INSERT INTO contacts (id, workspace_id, phone, email, referred_by, created_at) VALUES
    (1, 1, '+15550001', NULL, NULL, '2026-01-01 00:00Z'),
    (2, 1, '+15550001', 'a@example.com', NULL, '2026-01-02 00:00Z'),
    (3, 1, '+15550002', NULL, 2, '2026-01-03 00:00Z'),
    (4, 2, '+15550001', NULL, NULL, '2026-01-04 00:00Z');
INSERT INTO messages (id, contact_id, body) VALUES (1, 1, 'one'), (2, 2, 'two');
INSERT INTO contact_tags (contact_id, tag) VALUES (1, 'new'), (2, 'new'), (2, 'vip');
INSERT INTO deals (id, contact_id, introduced_by) VALUES (1, 2, NULL), (2, 3, 2);

ANALYZE;
