-- What no way can do without: one look for duplicates.
SELECT count(*) FROM (
    SELECT FROM contacts WHERE phone IS NOT NULL GROUP BY workspace_id, phone HAVING count(*) > 1
) AS groups
