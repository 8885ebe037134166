-- name: session
-- For this transaction alone. Under FORCE ROW LEVEL SECURITY rows would silently be missing; with it off the server says so.
SET LOCAL statement_timeout = 0;
DO $session$ BEGIN PERFORM pg_catalog.set_config(name, '0', true) FROM pg_catalog.pg_settings WHERE name = 'transaction_timeout'; END $session$;
SET LOCAL idle_in_transaction_session_timeout = 0;
SET LOCAL lock_timeout = '5s';
SET LOCAL row_security = off;
SET LOCAL client_min_messages = warning;
SET LOCAL jit = off;
SET LOCAL work_mem = '64MB';
DO $path$ BEGIN PERFORM pg_catalog.set_config('contacts_schema.search_path', pg_catalog.current_setting('search_path'), true); END $path$;
SET LOCAL search_path = {schema};
SET LOCAL "contacts_schema.merging" = 'on'

-- name: own_path
-- What the user's functions find for the application they find here, too.
DO $path$ BEGIN PERFORM {path}; END $path$

-- name: begin_part
-- A client may go on after an error. Then the commit fails, as long as not everything has passed.
DO $part$ BEGIN
    IF pg_catalog.current_setting('transaction_isolation') <> 'read committed' THEN
        RAISE EXCEPTION 'the transaction is not READ COMMITTED: it would not see what others wrote before they were locked out'
              USING HINT = 'SET default_transaction_isolation = ''read committed'', then run the script again';
    END IF;
    CREATE TEMPORARY TABLE IF NOT EXISTS "~parts" (name text NOT NULL, passed int NOT NULL, ended boolean NOT NULL) ON COMMIT DROP;
    CREATE OR REPLACE FUNCTION pg_temp."~ended"() RETURNS trigger LANGUAGE plpgsql AS $ended$ BEGIN
        IF NOT (SELECT p.ended FROM pg_temp."~parts" AS p WHERE p.name = NEW.name) THEN
            RAISE EXCEPTION 'a statement of this script has failed, so that nothing of it was done';
        END IF;
        RETURN NULL;
    END $ended$;
    IF NOT EXISTS (SELECT FROM pg_temp."~parts") THEN
        -- Every other check is made as the script goes.
        SET CONSTRAINTS ALL IMMEDIATE;
        CREATE CONSTRAINT TRIGGER "~ended" AFTER INSERT ON pg_temp."~parts" DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION pg_temp."~ended"();
        SET CONSTRAINTS pg_temp."~ended" DEFERRED;
    END IF;
    INSERT INTO pg_temp."~parts" VALUES ({name}, 0, false);
END $part$

-- name: passed
IF (SELECT p.passed FROM pg_temp."~parts" AS p WHERE p.name = {name}) IS DISTINCT FROM {passed} THEN
        RAISE EXCEPTION 'an earlier statement of this script has failed';
    END IF

-- name: note
UPDATE pg_temp."~parts" AS p SET passed = {passed} + 1 WHERE p.name = {name}

-- name: end_part
DO $end$ BEGIN
    {before};
    {after};
    UPDATE pg_temp."~parts" AS p SET ended = true WHERE p.name = {name};
END $end$

-- name: refuse
DO $refuse$
DECLARE
    "~rows" bigint;
BEGIN
    {before};
    "~rows" := ({found});
    IF "~rows" > 0 THEN
        RAISE EXCEPTION USING HINT = {way_on},
            MESSAGE = pg_catalog.replace({problem}, '{{rows}}', CASE "~rows" WHEN 1 THEN '1 row' ELSE "~rows" || ' rows' END);
    END IF;
    {after};
END $refuse$

-- name: lock_tables
-- Lock: SHARE ROW EXCLUSIVE. Nobody writes to these tables until the end; everybody may read.
DO $lock$ BEGIN
    {before};
    LOCK TABLE {tables} IN SHARE ROW EXCLUSIVE MODE;
    {after};
END $lock$

-- name: not_alone
SELECT (NOT pg_catalog.pg_try_advisory_xact_lock({first}, {second}))::int

-- name: begun
SELECT count(*) FROM pg_catalog.pg_trigger AS t WHERE t.tgrelid = ANY ({oids}) AND t.tgname ~ '^(00_)?contacts_schema_'

-- name: look_alikes
SELECT pg_catalog.md5(coalesce(pg_catalog.string_agg(pg_catalog.concat_ws('.', n."table", n."column", n."type", n."type_column", n."parents"::text), ',' ORDER BY n."table", n."column"), ''))
FROM ({columns}) AS n WHERE {named} OR n."type_column" IS NOT NULL

-- name: named_after
pg_catalog.right(pg_catalog.regexp_replace(pg_catalog.lower(pg_catalog.replace(n."column", '_', '')), '(ids?|uuids?)$', ''), {length}) = {name}

-- name: create_script
CREATE TEMPORARY TABLE "~script" (what text NOT NULL, id bigint NOT NULL) ON COMMIT DROP

-- name: begin
-- What is about to be done is noted first; nothing where there is nothing to do.
WITH "~run" AS (
    INSERT INTO {schema}.run (source, source_schema, source_name, settings)
    SELECT %(source)s, %(source_schema)s, %(source_name)s, %(settings)s WHERE EXISTS ({work}) RETURNING id
), "~batch" AS (
    INSERT INTO {schema}.batch (run) SELECT id FROM "~run" RETURNING id
)
INSERT INTO pg_temp."~script" (what, id) SELECT {what}, id FROM "~batch"

-- name: begin_op
WITH "~op" AS (
    INSERT INTO {schema}.op (batch, kind, relations)
    SELECT s.id, {kind}, {relations} FROM pg_temp."~script" AS s WHERE s.what = {batch} AND EXISTS ({work}) RETURNING id
)
INSERT INTO pg_temp."~script" (what, id) SELECT {what}, id FROM "~op"

-- name: moves
SELECT place, name FROM (VALUES {moves}) AS "~m"(place, name, moves) WHERE moves

-- name: moved_relations
(SELECT pg_catalog.array_agg(r.id ORDER BY m.place) FROM ({moves}) AS m JOIN {schema}.relation AS r USING (name))

-- name: noted
(SELECT s.id FROM pg_temp."~script" AS s WHERE s.what = {what})

-- name: relation
ARRAY(SELECT r.id FROM {schema}.relation AS r WHERE r.name = {name})

-- name: before
-- What the server has counted in this transaction so far.
CREATE TEMPORARY TABLE "~before" ON COMMIT DROP AS {counters}

-- name: interfered
-- A cascade, a rule or a trigger removed rows that were not to go. A row that changes its partition counts as deleted
-- in one and inserted in the other.
SELECT sum(greatest(0, a.deleted - b.deleted - least(a.inserted - b.inserted, a.deleted - b.deleted - least(a.deleted - b.deleted, m.merged)) - m.merged))
FROM ({counters}) AS a JOIN pg_temp."~before" AS b USING ("table") JOIN ({merged}) AS m("table", merged) USING ("table")

-- name: miscounted
SELECT ((SELECT count(*) FROM {relation} WHERE "~op" = {op}) <> (SELECT count(*) FROM {rows} WHERE {which}))::int

-- name: drop_temporary
-- Of this session alone.
DROP TABLE IF EXISTS {table}

-- name: drop_sequence
DROP SEQUENCE IF EXISTS pg_temp."~row"

-- name: blanks
SELECT FROM {table} WHERE {blank}

-- name: count
SELECT count(*) FROM ({found}) AS "~found"

-- name: summary
SELECT (SELECT count(DISTINCT "~n") FROM pg_temp."~work") AS groups_merged, (SELECT count(*) FROM {rows} WHERE "~keeper" IS NOT NULL) AS rows_merged

-- name: add_constraint
-- Lock: ACCESS EXCLUSIVE until the end: the index is built while readers wait, too.
ALTER TABLE {table} ADD CONSTRAINT {name} UNIQUE ({columns})

-- name: constraint_is_there
EXISTS (SELECT FROM pg_catalog.pg_constraint AS k JOIN pg_catalog.pg_class AS c ON c.oid = k.conrelid JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
        WHERE n.nspname = {schema} AND c.relname = {table} AND k.conname = {name} AND k.contype = 'u')

-- name: drop_constraint
-- Lock: ACCESS EXCLUSIVE until the end.
ALTER TABLE {table} DROP CONSTRAINT {name}

-- name: do
DO $do$ BEGIN
    {before};
    {statement};
    {after};
END $do$

-- name: archive_exists
SELECT pg_catalog.to_regclass({op}) IS NOT NULL

-- name: archived
SELECT pg_catalog.md5(pg_catalog.concat_ws('|',
    (SELECT pg_catalog.string_agg(pg_catalog.concat_ws(',', r.id, r.name, r.source), ';' ORDER BY r.id) FROM {schema}.relation AS r),
    (SELECT pg_catalog.string_agg(DISTINCT pg_catalog.concat_ws(',', o.kind, o.relations::text), ';') FROM {schema}.op AS o)))

-- name: kinds
SELECT DISTINCT o.kind, o.relations FROM {schema}.op AS o JOIN {schema}.batch AS b ON b.id = o.batch JOIN {schema}.run AS r ON r.id = b.run
WHERE r.source = %(source)s OR (r.source_schema = %(source_schema)s AND r.source_name = %(source_name)s)
ORDER BY 1, 2

-- name: create_told
CREATE TEMPORARY TABLE "~told" (n bigint GENERATED ALWAYS AS IDENTITY, line text NOT NULL) ON COMMIT DROP

-- name: create_seen
CREATE TEMPORARY TABLE "~seen" (relation bigint NOT NULL, id bigint NOT NULL, key text, gone boolean, waiting boolean, superseded boolean, changed boolean, ours boolean) ON COMMIT DROP;
CREATE TEMPORARY TABLE "~left_relations" (relation bigint NOT NULL) ON COMMIT DROP;
CREATE TEMPORARY TABLE "~left_ops" (op bigint NOT NULL) ON COMMIT DROP;
CREATE TEMPORARY TABLE "~brought" (label text NOT NULL, back bigint NOT NULL, undone bigint NOT NULL) ON COMMIT DROP

-- name: restore
DO $restore$
DECLARE
    "~undoing" record;
    "~batch" bigint;
    "~found" record;
    "~why" text;
BEGIN
    {before};
    FOR "~batch" IN {batches}
    LOOP
        -- What is remembered by row number is so for one batch.
        DELETE FROM pg_temp."~left";
        DELETE FROM pg_temp."~found";
        DELETE FROM pg_temp."~left_ops";
        FOR "~undoing" IN {ops}
        LOOP
            DELETE FROM pg_temp."~seen";
            IF false THEN
                NULL;
            {cases}
            ELSE
                RAISE EXCEPTION 'the archive holds what it did not when this script was rendered' USING HINT = 'render the script again';
            END IF;
        END LOOP;
        {finish_ops};
        IF NOT EXISTS (SELECT FROM pg_temp."~left_ops") THEN
            {finish_batch};
        END IF;
    END LOOP;
    {after};
EXCEPTION WHEN integrity_constraint_violation OR data_exception THEN
    -- Said without the row's values.
    GET STACKED DIAGNOSTICS "~why" = CONSTRAINT_NAME;
    RAISE EXCEPTION USING ERRCODE = SQLSTATE,
        MESSAGE = 'some rows cannot come back as they were: ' || coalesce(nullif("~why", '') || ', ', '') || 'SQLSTATE ' || SQLSTATE,
        HINT = '`contacts-schema restore` brings back all that can be, and lists the rest; this script does all or nothing';
END $restore$

-- name: left_ops
ARRAY(SELECT op FROM pg_temp."~left_ops")

-- name: case
ELSIF ("~undoing".kind = 'archive') = ({kind} = 'archive') AND "~undoing".relations = {relations}::bigint[] THEN
{body}

-- name: bring_back
{insert} INTO "~found";
INSERT INTO pg_temp."~brought" VALUES ({label}, "~found".rows, 0)

-- name: stay_archived
INSERT INTO pg_temp."~told" (line) SELECT {label} || ' (' || q.key || '): ' || {stays} || ' ' || {why} FROM ({left_keys}) AS q;
IF FOUND THEN
    {note_left};
    INSERT INTO pg_temp."~left_relations" VALUES ({relation});
    INSERT INTO pg_temp."~left_ops" VALUES ("~undoing".id);
END IF

-- name: unusable
INSERT INTO pg_temp."~told" (line) VALUES ({line});
INSERT INTO pg_temp."~left_ops" VALUES ("~undoing".id);

-- name: look
INSERT INTO pg_temp."~seen" (relation, id, key, gone, waiting, superseded, changed, ours)
SELECT {relation}, q.id, q.key, q.gone, q.waiting, q.superseded, q.changed, q.ours FROM ({look}) AS q;

-- name: wanted
ARRAY(SELECT s.id FROM pg_temp."~seen" AS s WHERE s.relation = {relation} AND s.ours AND NOT s.gone AND NOT s.superseded)

-- name: undo
{undo} INTO "~found";

-- name: settle
INSERT INTO pg_temp."~brought" VALUES ({label}, 0, pg_catalog.cardinality("~found".{undone}));
INSERT INTO pg_temp."~told" (line)
SELECT {label} || ' (' || s.key || '): '
    || CASE WHEN s.ours AND NOT s.gone AND NOT s.superseded AND s.id <> ALL ("~found".{undone}) AND (q.changed OR q.ours OR q.gone) THEN {changed}
            WHEN s.superseded THEN {superseded} WHEN s.gone THEN {gone} WHEN s.waiting THEN {superseded} WHEN s.changed THEN {changed} END
FROM pg_temp."~seen" AS s LEFT JOIN ({again}) AS q ON q.id = s.id
WHERE s.relation = {relation} AND (s.superseded OR s.gone OR s.waiting OR s.changed OR
      (s.ours AND s.id <> ALL ("~found".{undone}) AND (q.changed OR q.ours OR q.gone)))
ORDER BY s.id;
{settle};
{forget};
IF EXISTS (SELECT FROM {journal} AS j WHERE j."~op" = "~undoing".id) THEN
    INSERT INTO pg_temp."~left_relations" VALUES ({relation});
    INSERT INTO pg_temp."~left_ops" VALUES ("~undoing".id);
END IF;

-- name: partly
ARRAY(SELECT s.id FROM pg_temp."~seen" AS s WHERE s.relation = {relation} AND s.waiting AND NOT s.superseded AND NOT s.gone)

-- name: stay
ARRAY(SELECT s.id FROM pg_temp."~seen" AS s WHERE s.relation = {relation} AND (s.superseded OR (s.waiting AND NOT s.gone)))

-- name: is_left
EXISTS (SELECT FROM pg_temp."~left_relations" AS l WHERE l.relation = {relation})

-- name: if
DO $if$ BEGIN
    {before};
    IF ({condition}) THEN
        {statements};
    END IF;
    {after};
END $if$

-- name: told
SELECT line FROM (
    SELECT 0 AS part, 0 AS n, pg_catalog.format('%%s: %%s rows brought back, %%s changes undone', b.label, sum(b.back), sum(b.undone)) AS line
    FROM pg_temp."~brought" AS b GROUP BY b.label
  UNION ALL
    SELECT 1, min(t.n), t.line FROM pg_temp."~told" AS t GROUP BY t.line
) AS "~told" ORDER BY part, n, line
