-- name: create_claims
-- A row here is nothing but a lock on a key. UNLOGGED: it has nothing to lose. Never vacuumed: updates of a claim clear
-- up behind themselves, and a vacuum would be in the way when the table goes.
CREATE UNLOGGED TABLE IF NOT EXISTS {claims} (key bigint PRIMARY KEY) WITH (autovacuum_enabled = off)

-- name: create_function
-- Racing writers of one key wait for each other on a row of the claims, not in the lock table, which a bulk insert
-- would fill. Then the table itself is asked, with the index's own equality.
CREATE OR REPLACE FUNCTION {function}() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET row_security = off AS {body}

-- name: body
BEGIN
    -- A snapshot from before the guard may miss what others have committed since.
    IF pg_catalog.current_setting('transaction_isolation') IN ('repeatable read', 'serializable')
       AND NOT EXISTS (SELECT FROM pg_catalog.pg_trigger WHERE tgrelid = TG_RELID AND tgname = TG_NAME) THEN
        RAISE EXCEPTION 'could not serialize access: the transaction began before a unique constraint was prepared'
              USING ERRCODE = 'serialization_failure', HINT = 'Try the transaction again.';
    END IF;
    INSERT INTO {claims} (key) VALUES (pg_catalog.hash_record_extended(ROW({new_key}), 0))
    ON CONFLICT (key) DO UPDATE SET key = excluded.key;
    -- FOR SHARE, not FOR KEY SHARE: the phone is no key yet, so only the stronger lock waits for an update of it.
    PERFORM FROM {table} AS existing WHERE {same_key} AND NOT ({same_row}) LIMIT 1 FOR SHARE;
    IF FOUND THEN
        RAISE EXCEPTION USING ERRCODE = 'unique_violation', MESSAGE = {message},
              CONSTRAINT = {constraint}, SCHEMA = TG_TABLE_SCHEMA, TABLE = TG_TABLE_NAME;
    END IF;
    RETURN NULL;
END

-- name: create_insert_trigger
-- Lock: SHARE ROW EXCLUSIVE on the table, which waits for the writers that are at work and makes new ones wait.
CREATE TRIGGER {trigger} AFTER INSERT ON {table} FOR EACH ROW
WHEN ({has_key}) EXECUTE FUNCTION {function}()

-- name: create_update_trigger
CREATE TRIGGER {trigger} AFTER UPDATE ON {table} FOR EACH ROW
WHEN ({has_key} AND NOT coalesce({unchanged}, false)) EXECUTE FUNCTION {function}()

-- name: comment_trigger
COMMENT ON TRIGGER {trigger} ON {table} IS {text}

-- name: drop_trigger
-- Lock: ACCESS EXCLUSIVE on the table, for the catalog change alone.
DROP TRIGGER IF EXISTS {trigger} ON {table}

-- name: drop_function
DROP FUNCTION IF EXISTS {function}()

-- name: drop_claims
DROP TABLE IF EXISTS {claims}

-- name: state
-- The guard's triggers, whatever they are called by now, and what each was made from.
SELECT t.tgname AS name, pg_catalog.obj_description(t.oid, 'pg_trigger') AS made_from, t.tgenabled::text AS enabled
FROM pg_catalog.pg_trigger AS t JOIN pg_catalog.pg_proc AS p ON p.oid = t.tgfoid
JOIN pg_catalog.pg_namespace AS n ON n.oid = p.pronamespace
WHERE t.tgrelid = %(table)s AND n.nspname = %(schema)s AND p.proname = %(function)s
ORDER BY t.tgname

-- name: is_there
-- Its triggers depend on it.
SELECT EXISTS (SELECT FROM pg_catalog.pg_proc AS p JOIN pg_catalog.pg_namespace AS n ON n.oid = p.pronamespace
               WHERE n.nspname = %(schema)s AND p.proname = %(function)s) AS there

-- name: create_blank_function
-- Blank phones are no phone numbers.
CREATE OR REPLACE FUNCTION {function}() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS {body}

-- name: blank_body
BEGIN
    NEW.{phone} := NULL;
    RETURN NEW;
END

-- name: create_blank_trigger
-- Lock: SHARE ROW EXCLUSIVE on the table, as above. The name sorts behind others, so that it sees what they made.
CREATE TRIGGER {trigger} BEFORE INSERT OR UPDATE ON {table} FOR EACH ROW WHEN ({blank}) EXECUTE FUNCTION {function}()

-- name: blank_batch
-- Turn some blanks into NULL. Lock: FOR NO KEY UPDATE on the rows, SKIP LOCKED; they are looked at again.
WITH "~some" AS (
    SELECT ctid AS "~tid"{before} FROM {table} WHERE {blank} LIMIT %(limit)s FOR NO KEY UPDATE SKIP LOCKED
), "~emptied" AS (
    UPDATE {table} AS {name} SET {phone} = NULL FROM "~some" WHERE {name}.ctid = "~some"."~tid"
    RETURNING {journaled}
)
INSERT INTO {journal} ({columns}) SELECT %(op)s, "~emptied".* FROM "~emptied"

-- name: blanks_left
SELECT EXISTS (SELECT FROM {table} WHERE {blank}) AS left
