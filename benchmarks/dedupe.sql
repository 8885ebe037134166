-- The bare work, with no lock on the table: what goes on meanwhile may bring new duplicates.
DROP TABLE IF EXISTS pg_temp.merged;
CREATE TEMPORARY TABLE merged AS
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
