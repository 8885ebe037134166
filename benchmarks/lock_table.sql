-- The way without a guard: everything in one transaction, while every writer (and reader) waits.
-- A weaker lock would have to be raised for ADD CONSTRAINT, and deadlock with a writer that has read and waits to write.
LOCK TABLE contacts IN ACCESS EXCLUSIVE MODE;
CREATE TEMPORARY TABLE merged ON COMMIT DROP AS
    SELECT id AS duplicate, survivor
    FROM (
        SELECT id, first_value(id) OVER (PARTITION BY workspace_id, phone ORDER BY created_at, id) AS survivor
        FROM contacts
        WHERE phone IS NOT NULL
    ) AS ranked
    WHERE id <> survivor;
ANALYZE merged;
UPDATE messages SET contact_id = merged.survivor FROM merged WHERE messages.contact_id = merged.duplicate;
DELETE FROM contacts USING merged WHERE contacts.id = merged.duplicate;
ALTER TABLE contacts ADD CONSTRAINT unique_phone_workspace UNIQUE (workspace_id, phone);
