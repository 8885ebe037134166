-- The same one transaction for somebody who wants the way back too: removed rows are kept whole, moved references noted,
-- in tables that are indexed for the restore. What it still lacks is the checks, and the writers wait all the same.
LOCK TABLE contacts IN ACCESS EXCLUSIVE MODE;
CREATE TABLE kept_contacts (kept_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, survivor bigint, LIKE contacts);
CREATE INDEX ON kept_contacts (id);
CREATE TABLE kept_moves (
    kept_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, message bigint, old_contact bigint, new_contact bigint
);
CREATE TEMPORARY TABLE merged ON COMMIT DROP AS
    SELECT id AS duplicate, survivor
    FROM (
        SELECT id, first_value(id) OVER (PARTITION BY workspace_id, phone ORDER BY created_at, id) AS survivor
        FROM contacts
        WHERE phone IS NOT NULL
    ) AS ranked
    WHERE id <> survivor;
ANALYZE merged;
WITH moved AS (
    UPDATE messages SET contact_id = merged.survivor FROM merged WHERE messages.contact_id = merged.duplicate
    RETURNING messages.id, merged.duplicate, merged.survivor
)
INSERT INTO kept_moves (message, old_contact, new_contact) SELECT id, duplicate, survivor FROM moved;
WITH gone AS (
    DELETE FROM contacts USING merged WHERE contacts.id = merged.duplicate RETURNING merged.survivor, contacts.*
)
INSERT INTO kept_contacts (survivor, id, workspace_id, phone, name, created_at) SELECT * FROM gone;
ALTER TABLE contacts ADD CONSTRAINT unique_phone_workspace UNIQUE (workspace_id, phone);
