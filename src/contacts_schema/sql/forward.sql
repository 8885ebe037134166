-- name: create_function
-- An id in flight: a writer looked a contact up, and meanwhile it was merged. Its row goes to the survivor, which a
-- foreign key would answer with 23503 and a reference without one with an orphan.
CREATE OR REPLACE FUNCTION {function}() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = {path} SET row_security = off AS {body}

-- name: body
DECLARE
    survivor record;
BEGIN
    PERFORM FROM (SELECT NEW.*) AS {child_name} WHERE {condition};
    IF NOT FOUND THEN
        RETURN NEW;
    END IF;
    FOR attempt IN 1 .. 10 LOOP
        -- Waits for a merge that is at this row, and keeps the row from being merged until we are done.
        PERFORM FROM {parent} AS parent WHERE {same_parent} FOR KEY SHARE;
        EXIT WHEN FOUND;
        WITH RECURSIVE merged AS (
            SELECT {into} FROM {archive} AS archived WHERE {same_archived}
          UNION
            SELECT {into} FROM {archive} AS archived JOIN merged ON {chained}
        )
        SELECT {referenced} INTO survivor FROM merged JOIN {parent} AS parent ON {survivor_key} LIMIT 1;
        EXIT WHEN NOT FOUND;
        {assign}
    END LOOP;
    RETURN NEW;
END

-- name: create_trigger
-- Lock: SHARE ROW EXCLUSIVE on the referring table, for the catalog change alone. Our own updates pass by.
CREATE TRIGGER {trigger} BEFORE INSERT OR UPDATE{columns} ON {child} FOR EACH ROW
WHEN ({has_reference} AND pg_catalog.current_setting('contacts_schema.merging', true) IS DISTINCT FROM 'on')
EXECUTE FUNCTION {function}()

-- name: comment_trigger
COMMENT ON TRIGGER {trigger} ON {child} IS {text}

-- name: standing
-- A function without a trigger is what is left where a referring table was dropped.
SELECT c.oid::bigint AS oid, coalesce(n.nspname, '') AS schema, coalesce(c.relname, '') AS name,
       coalesce(t.tgname, '') AS trigger, coalesce(t.tgenabled::text, '') AS enabled,
       pg_catalog.obj_description(t.oid, 'pg_trigger') AS made_from, p.proname AS function
FROM pg_catalog.pg_proc AS p JOIN pg_catalog.pg_namespace AS pn ON pn.oid = p.pronamespace
LEFT JOIN (pg_catalog.pg_trigger AS t JOIN pg_catalog.pg_class AS c ON c.oid = t.tgrelid
           JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace) ON t.tgfoid = p.oid AND t.tgparentid = 0
WHERE pg_catalog.starts_with(p.proname, %(prefix)s) AND pn.nspname = %(private)s
ORDER BY p.proname

-- name: drop_trigger
-- Lock: ACCESS EXCLUSIVE on the referring table, for the catalog change alone.
DROP TRIGGER IF EXISTS {trigger} ON {child}

-- name: drop_function
DROP FUNCTION IF EXISTS {function}()
