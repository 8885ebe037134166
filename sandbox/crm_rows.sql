-- The rows of the sample CRM: the same for the same number of contacts, whatever the server.
-- A person is one human being; a copy is one contact row of that person. Out of 40 persons six have copies:
-- 2, 2, 3, 4, 5 and 6 of them. Contents of children that collide are made from the person alone, so they are equal.

SET LOCAL timezone = 'UTC';

-- people
CREATE TEMPORARY TABLE people ON COMMIT DROP AS
SELECT
    row_number() OVER (ORDER BY person, copy) AS n,
    person,
    copy,
    copies,
    md5('contact ' || person || '/' || copy)::uuid AS id,
    md5('workspace ' || person % :workspaces)::uuid AS workspace_id,
    -- Some persons share a phone with a person of the next workspace: allowed, before and after.
    '+1555' || lpad((CASE WHEN person % 40 IN (12, 22) THEN person - 1 ELSE person END)::text, 7, '0') AS phone
FROM generate_series(1, :contacts) AS person
CROSS JOIN LATERAL (
    SELECT CASE person % 40 WHEN 3 THEN 2 WHEN 7 THEN 4 WHEN 11 THEN 3 WHEN 12 THEN 2 WHEN 25 THEN 5 WHEN 34 THEN 6 ELSE 1 END
) AS counted (copies)
CROSS JOIN LATERAL generate_series(1, copies) AS copy
ORDER BY person, copy
LIMIT :contacts;

-- workspaces
INSERT INTO workspaces (id, name, created_at)
SELECT md5('workspace ' || w)::uuid, 'Workspace ' || w, timestamptz '2025-01-01 00:00Z'
FROM generate_series(0, :workspaces - 1) AS w;

-- contacts
-- The oldest copy of every group of three is soft-deleted; phones of some persons are unknown.
INSERT INTO contacts (
    id, workspace_id, phone, name, email, custom_attributes, raw_payload, tags, stage, home, score, temperature,
    reachable, last_seen_at, avatar, created_at, updated_at, deleted_at
)
SELECT
    id,
    workspace_id,
    CASE WHEN person % 13 = 0 AND copies = 1 THEN NULL ELSE phone END,
    (ARRAY['Person ', 'person ', 'P. ', NULL, 'PERSON ', 'Caller '])[copy] || person,
    CASE WHEN copy % 2 = 1 THEN 'person' || person || '@example.com' END,
    jsonb_build_object('source', 'import', 'copy', copy, 'score', 1.50),
    ('{"b": 1,  "a": ' || n || ', "a": null}')::json,
    ('[0:1]={copy' || copy || ',"a, b"}')::text[],
    (enum_range(NULL::lifecycle))[1 + n % 3],
    ROW('Main Street ' || n, NULL, left(n::text, 8))::address,
    CASE n % 5 WHEN 0 THEN 'NaN' WHEN 1 THEN 1.50 WHEN 2 THEN 1.5 WHEN 3 THEN 'Infinity' END::text::numeric,
    CASE n % 4 WHEN 0 THEN '-0' WHEN 1 THEN '-Infinity' WHEN 2 THEN 'NaN' ELSE '0.1' END::double precision,
    CASE n % 3 WHEN 0 THEN 'empty' WHEN 1 THEN '(,"2026-03-01 00:00Z")' ELSE '["2026-01-01 00:00Z",infinity)' END::tstzrange,
    CASE n % 3 WHEN 0 THEN 'infinity' WHEN 1 THEN '-infinity' ELSE '2026-05-05 05:05:05.000001Z' END::timestamptz,
    decode(CASE n % 2 WHEN 0 THEN '' ELSE '00ff' || md5(n::text) END, 'hex'),
    timestamptz '2026-01-01 00:00Z' + person * interval '1 minute' + copy * interval '1 second',
    timestamptz '2026-06-01 00:00Z' + n * interval '1 second',
    CASE WHEN copies = 3 AND copy = 1 THEN timestamptz '2026-02-01 00:00Z' END
FROM people
-- The order of insertion is neither the order of age nor that of the keys.
ORDER BY md5('order' || n);

-- referred_by
-- A contact refers to: a copy of a group; its own youngest copy; its own oldest copy. The trigger must not stamp the load.
ALTER TABLE contacts DISABLE TRIGGER set_updated_at;
UPDATE contacts
SET referred_by = md5('contact ' || referrer)::uuid
FROM (
    SELECT id, CASE
        WHEN copies = 1 AND person % 4 = 0 AND person > 40 THEN person - person % 40 - 40 + 34 || '/' || 1 + person % 6
        WHEN copies = 4 AND copy = 1 THEN person || '/4'
        WHEN copies = 5 AND copy > 1 THEN person || '/1'
    END AS referrer
    FROM people
) AS chosen
WHERE chosen.id = contacts.id AND EXISTS (SELECT FROM people WHERE people.id = md5('contact ' || referrer)::uuid);
ALTER TABLE contacts ENABLE TRIGGER set_updated_at;

-- tags
INSERT INTO tags (id, workspace_id, name)
SELECT md5('tag ' || w || '/' || t)::uuid, md5('workspace ' || w)::uuid, 'tag ' || t
FROM generate_series(0, :workspaces - 1) AS w CROSS JOIN generate_series(0, 7) AS t;

-- contact_tags
-- One tag on all copies, one on all but the first (collides between duplicates only), one on each copy alone.
INSERT INTO contact_tags (contact_id, tag_id, created_at)
SELECT DISTINCT id, md5('tag ' || person % :workspaces || '/' || tag % 8)::uuid, timestamptz '2026-01-02 00:00Z' + n * interval '1 second'
FROM people CROSS JOIN LATERAL (VALUES (person), (CASE WHEN copy > 1 THEN person + 1 END), (person + 1 + copy)) AS chosen (tag)
WHERE tag IS NOT NULL;

-- notes
INSERT INTO notes (id, contact_id, body, created_at, updated_at)
SELECT md5('note ' || n || '/' || k)::uuid, id, 'note ' || k || ' on ' || n, '2026-01-03 00:00Z', timestamptz '2026-06-02 00:00Z' + n * interval '1 second'
FROM people CROSS JOIN LATERAL generate_series(1, n % 3) AS k;

-- conversations
-- sms on every copy; e-mail from the second copy on; each copy has a channel of its own, too.
INSERT INTO conversations (id, contact_id, channel, status, created_at)
SELECT md5('conversation ' || n || '/' || channel)::uuid, id, channel, CASE person % 2 WHEN 0 THEN 'open' ELSE 'closed' END,
    timestamptz '2026-01-04 00:00Z' + n * interval '1 second'
FROM people CROSS JOIN LATERAL (VALUES ('sms'), (CASE WHEN copy > 1 THEN 'email' END), (CASE WHEN copies > 1 THEN 'chat-' || copy END)) AS chosen (channel)
WHERE channel IS NOT NULL;

-- conversation_participants
INSERT INTO conversation_participants (conversation_id, agent)
SELECT DISTINCT conversations.id, agent
FROM conversations JOIN people ON people.id = contact_id
CROSS JOIN LATERAL (VALUES ('agent ' || person % 5), ('agent ' || person % 5 + copy)) AS chosen (agent);

-- messages
INSERT INTO messages (id, conversation_id, contact_id, body, provider_payload, created_at)
SELECT md5('message ' || conversations.id || k)::uuid, conversations.id, contact_id, 'message ' || k || ' of ' || n,
    ('{ "sid" : "' || n || '"}')::json, timestamptz '2026-01-05 00:00Z' + n * interval '1 second'
FROM conversations JOIN people ON people.id = contact_id CROSS JOIN generate_series(1, 2) AS k;

-- deals
-- The referrer of some deals is another copy of the same person.
INSERT INTO deals (id, contact_id, referrer_id, title, amount, expected_at)
SELECT md5('deal ' || n)::uuid, CASE WHEN n % 7 > 0 THEN id END, lag(id, (1 + n % 2)::int) OVER (ORDER BY n), 'deal ' || n,
    CASE n % 10 WHEN 0 THEN 'NaN'::numeric ELSE n * 1.10 END, CASE n % 6 WHEN 0 THEN 'infinity'::timestamptz END
FROM people WHERE n % 3 < 2;

-- custom_fields
INSERT INTO custom_fields (id, workspace_id, name)
SELECT md5('field ' || w || '/' || f)::uuid, md5('workspace ' || w)::uuid, 'field ' || f
FROM generate_series(0, :workspaces - 1) AS w CROSS JOIN generate_series(0, 6) AS f;

-- custom_values
-- Field 0 has one value for all copies; each copy has a field of its own.
INSERT INTO custom_values (contact_id, field_id, value)
SELECT id, md5('field ' || person % :workspaces || '/' || field)::uuid, jsonb_build_object('of', person, 'field', field)
FROM people CROSS JOIN LATERAL (VALUES (0), (copy)) AS chosen (field)
ORDER BY n, field;

-- contact_profiles
INSERT INTO contact_profiles (contact_id, bio, language, updated_at)
SELECT id, 'About person ' || person, (ARRAY['en', 'de', 'pt'])[1 + person % 3], timestamptz '2026-01-06 00:00Z' + n * interval '1 second'
FROM people WHERE copies > 1 AND copy <> 2 OR person % 2 = 0;

-- profile_links
INSERT INTO profile_links (contact_id, url)
SELECT contact_id, 'https://example.com/' || page
FROM contact_profiles JOIN people ON people.id = contact_id
CROSS JOIN LATERAL (VALUES ('p' || person), ('p' || person || '/' || copy)) AS chosen (page)
ORDER BY n, page;

-- tasks
INSERT INTO tasks (workspace_id, contact_id, title)
SELECT workspace_id, CASE WHEN n % 5 > 0 THEN id END, 'task ' || n FROM people WHERE n % 2 = 0 ORDER BY n;

-- calls
INSERT INTO calls (contact_number, duration, quality)
SELECT number, n * interval '1 month 1 day 0.001 seconds', ARRAY['NaN', '-0', 'infinity']::real[]
FROM people JOIN contacts USING (id) WHERE copies > 1 OR n % 4 = 0 ORDER BY n;

-- billing.invoices
INSERT INTO billing.invoices (contact_id, amount, period)
SELECT id, n, daterange('2026-01-01', CASE WHEN n % 2 = 0 THEN 'infinity'::date END) FROM people WHERE n % 3 = 0 OR copies = 6 ORDER BY n;

-- activities
-- Of other types too, among them one whose id is a contact's: only the type tells them apart.
INSERT INTO activities (subject_type, subject_id, action, created_at)
SELECT kind, id, 'viewed', timestamptz '2026-01-07 00:00Z' + n * interval '1 second'
FROM people CROSS JOIN LATERAL (VALUES ('Contact'), (CASE n % 3 WHEN 0 THEN 'Company' END)) AS chosen (kind)
WHERE kind IS NOT NULL ORDER BY n, kind;

-- events
INSERT INTO events (id, occurred_at, contact_id, kind)
SELECT n, timestamptz '2026-01-01 00:00Z' + n % 120 * interval '1 day', id, 'opened' FROM people;

-- link_clicks
INSERT INTO link_clicks (contact_id, url, clicked_at)
SELECT id, 'https://example.com/offer', '2026-01-08 00:00Z' FROM people CROSS JOIN generate_series(1, 2) WHERE n % 2 = 0;
