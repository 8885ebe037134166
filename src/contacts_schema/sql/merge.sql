-- A row is found again by its place: the table or partition that it lies in, and its ctid there. The former is compared
-- inside coalesce(), because the planner would otherwise expect it to leave one row in two hundred, and nest loops.

-- name: create_rows
-- The rows of one table that the batch at hand changes: where they are, what they held, what they will hold, and,
-- where they are duplicates, the row that is kept in their place. Private to the session, emptied at each commit.
-- The types are the source's own, so that every value comes back bit for bit.
CREATE TEMPORARY TABLE {rows} ON COMMIT DELETE ROWS AS
SELECT 0::bigint AS "~row", 0::oid AS "~rel", NULL::tid AS "~tid", 0::bigint AS "~unit",
       NULL::oid AS "~keeper_rel", NULL::tid AS "~keeper", false AS "~contradiction"{values}{sources}
FROM {table} WITH NO DATA

-- name: create_hits
CREATE TEMPORARY TABLE {hits} ("~rel" oid NOT NULL, "~tid" tid NOT NULL) ON COMMIT DELETE ROWS

-- name: create_sequence
CREATE TEMPORARY SEQUENCE "~row"

-- name: create_work
-- The groups of one pass: their key, and how many duplicates at most a batch takes from them at once.
CREATE TEMPORARY TABLE "~work" AS
SELECT 0::bigint AS "~n", 0::bigint AS "~size"{keys} FROM {table} WITH NO DATA

-- name: find_groups
-- Lock: none beyond reading. Keys group as the unique index will group them; NULL is never equal to anything.
-- A group larger than a batch is listed several times and shrinks slice by slice. In the order of the table: neighbours
-- share pages, and so do most of the rows that hang on them.
INSERT INTO pg_temp."~work"
SELECT row_number() OVER (ORDER BY "~slice", "~place"), "~size"{key_names}
FROM (
    SELECT {keys}, "~slice", "~place", least(%(cap)s, "~extra" - "~slice" * %(cap)s) AS "~size"
    FROM ({groups}) AS "~g", LATERAL generate_series(0, ("~extra" - 1) / %(cap)s) AS "~slice"
    WHERE {eligible}
) AS "~slices"

-- name: all_groups
SELECT {keys}, count(*) - 1 AS "~extra", min(ctid) AS "~place" FROM {table} WHERE {has_key} GROUP BY {keys} HAVING count(*) > 1

-- name: recent_groups
-- Groups that a row belongs to which was written since: others are known. Rows of a key are found through the index.
SELECT {table_keys}, count(*) - 1 AS "~extra", min({name}.ctid) AS "~place"
FROM (SELECT DISTINCT {aliased_keys} FROM {table} WHERE age(xmin) <= age(%(since)s::xid8::xid) AND {has_key}) AS "~work"
JOIN {table} AS {name} ON {joined} GROUP BY {table_keys} HAVING count(*) > 1

-- name: snapshot
SELECT pg_catalog.pg_snapshot_xmin(pg_catalog.pg_current_snapshot())::text AS since

-- name: index_work
CREATE UNIQUE INDEX ON pg_temp."~work" ("~n")

-- name: analyze_work
ANALYZE pg_temp."~work"

-- name: count_work
SELECT count(*) AS slices, coalesce(sum("~size"), 0)::bigint AS duplicates FROM pg_temp."~work"

-- name: count_groups
-- The first slices of all groups come before the second ones: this is where they end.
SELECT count(*) AS groups FROM (SELECT DISTINCT {keys} FROM pg_temp."~work") AS "~groups"

-- name: empty_work
TRUNCATE pg_temp."~work"

-- name: give_work
-- In stretches, so that each of the two keeps to neighbours and both have as much to do.
COPY (DELETE FROM pg_temp."~work" WHERE "~n" / {stretch} % 2 = 1 RETURNING *) TO STDOUT (FORMAT binary)

-- name: take_work
COPY pg_temp."~work" FROM STDIN (FORMAT binary)

-- name: gather_work
-- Groups that could not be merged one by one, behind all others, to be merged together; large ones once and whole.
WITH "~gone" AS (
    DELETE FROM pg_temp."~work" AS w USING unnest(%(after)s::bigint[], %(end)s::bigint[]) AS u("after", "end")
    WHERE w."~n" > u."after" AND w."~n" <= u."end" RETURNING w.*
), "~last" AS (
    SELECT max("~n") AS "~n" FROM pg_temp."~work"
), "~added" AS (
    INSERT INTO pg_temp."~work"
    SELECT "~last"."~n" + row_number() OVER (), "~grouped".*
    FROM (SELECT sum("~size")::bigint, {keys} FROM "~gone" GROUP BY {keys}) AS "~grouped", "~last" RETURNING "~n"
)
SELECT min("~n") - 1 AS "after", max("~n") AS "end", count(*) AS groups FROM "~added"

-- name: batch_end
-- How far a batch reaches: so many groups, and not more duplicates than a batch may hold.
SELECT max("~n") AS "end", count(*) AS groups FROM (
    SELECT "~n", sum("~size") OVER (ORDER BY "~n") AS "~sum", row_number() OVER (ORDER BY "~n") = 1 AS "~first"
    FROM pg_temp."~work" WHERE "~n" > %(after)s ORDER BY "~n" LIMIT %(groups)s
) AS "~next" WHERE "~sum" <= %(cap)s OR "~first"

-- name: open_batch
-- In one message, for a batch is so short that each way to the server counts. Lock: ROW EXCLUSIVE, which every writer takes
-- too. It holds off DDL, so that the plan stays true until the commit.
{settings};
LOCK TABLE {tables} IN ROW EXCLUSIVE MODE

-- name: ranked
-- Every member of the batch's groups, through the index on the key, with what its survivor holds beside it.
SELECT "~work"."~n", {columns}, {table_name}.tableoid AS "~rel", {table_name}.ctid AS "~tid", row_number() OVER w AS "~rank",
       first_value({table_name}.tableoid) OVER w AS "~keeper_rel", first_value({table_name}.ctid) OVER w AS "~keeper", {survivors}
FROM pg_temp."~work" JOIN {table} AS {table_name} ON {joined}
WHERE "~work"."~n" > %(after)s AND "~work"."~n" <= %(end)s
WINDOW w AS (PARTITION BY "~work"."~n" ORDER BY {survivor_order})

-- name: index_keepers
-- To find what was merged into a row, which is asked for each one, without reading all that was. Lock: SHARE, on a table
-- of the archive.
CREATE INDEX IF NOT EXISTS {index} ON {archive} ({keeper}, "~op")

-- name: has_none
-- No row was merged into this one by the run at hand. (Not EXISTS, which the planner might hash: it would read the archive.)
(SELECT true FROM {archive} AS "~a"
 WHERE {same_key} AND (SELECT "~b".run FROM {ops} AS "~o" JOIN {batches} AS "~b" ON "~b".id = "~o".batch WHERE "~o".id = "~a"."~op") = %(run)s
 LIMIT 1) IS NULL

-- name: take_duplicates
-- Two kinds of lock. FOR UPDATE on the duplicates: it waits for an insert that refers to one of them, and makes later
-- ones wait. FOR NO KEY UPDATE on the survivors: a writer may still refer to them. SKIP LOCKED: to wait while holding
-- other rows can make a writer the victim of a deadlock; a group in somebody's hands is left for the next look.
-- A row that changed between the look and the lock is locked in its new version, whose place (ctid) is another one:
-- only rows that are where they were seen, and so are what they were seen to be, are taken. (IS TRUE keeps the two
-- look-ups hashed: as joins the planner, who knows nothing of the batch's size, would nest them.)
WITH "~ranked" AS MATERIALIZED ({ranked}), "~duplicates" AS (
    SELECT {table_name}.tableoid AS "~rel", {table_name}.ctid AS "~tid" FROM "~ranked" JOIN {table} AS {table_name} ON {table_name}.ctid = "~ranked"."~tid"
    WHERE "~rank" BETWEEN 2 AND %(cap)s + 1 ORDER BY {primary_key} FOR UPDATE OF {table_name} SKIP LOCKED
), "~survivors" AS (
    SELECT {table_name}.tableoid AS "~rel", {table_name}.ctid AS "~tid" FROM "~ranked" JOIN {table} AS {table_name} ON {table_name}.ctid = "~ranked"."~tid"
    WHERE "~rank" = 1 ORDER BY {primary_key} FOR NO KEY UPDATE OF {table_name} SKIP LOCKED
), "~taken" AS (
    INSERT INTO {rows}
    SELECT pg_catalog.nextval('pg_temp."~row"'::pg_catalog.regclass), "~rel", "~tid", "~rank", "~keeper_rel", "~keeper", false{values}
    FROM "~ranked"
    WHERE "~rank" BETWEEN 2 AND %(cap)s + 1
      AND (("~rel", "~tid") IN (SELECT "~rel", "~tid" FROM "~duplicates")) IS TRUE
      AND (("~keeper_rel", "~keeper") IN (SELECT "~rel", "~tid" FROM "~survivors")) IS TRUE
    ORDER BY "~n", "~rank"
    RETURNING 1
)
SELECT (SELECT count(*) FROM "~ranked" WHERE "~rank" BETWEEN 2 AND %(cap)s + 1) AS seen, (SELECT count(*) FROM "~taken") AS taken

-- name: take_all_duplicates
-- The same for a look ahead at every group at once, without a lock.
INSERT INTO {rows}
SELECT pg_catalog.nextval('pg_temp."~row"'::pg_catalog.regclass), "~rel", "~tid", "~rank", "~keeper_rel", "~keeper", false{values}
FROM ({ranked}) AS "~ranked" WHERE "~rank" > 1

-- name: analyze
-- The planner knows nothing of a table that was just made, or filled by this transaction.
ANALYZE {rows}

-- name: hit
-- The child rows that refer to a changed row. Lock: on those rows, NOWAIT; FOR UPDATE where a key of theirs changes
-- or where they may turn out to be duplicates themselves, else FOR NO KEY UPDATE.
WITH "~found" AS (
    SELECT {name}.tableoid AS "~rel", {name}.ctid AS "~tid"
    FROM {parent} AS "~p" JOIN {table} AS {name} ON {joined}
    WHERE {changed} AND {condition}
    {lock}
)
INSERT INTO {hits} SELECT "~rel", "~tid" FROM "~found"

-- name: hit_image
-- The same where one reference alone decides: the rows with their new image at once.
WITH "~found" AS (
    SELECT {name}.tableoid AS "~rel", {name}.ctid AS "~tid", "~p"."~unit"{values}
    FROM {parent} AS "~p" JOIN {table} AS {name} ON {joined}
    WHERE {changed} AND {condition}
    {lock}
)
INSERT INTO {rows} SELECT pg_catalog.nextval('pg_temp."~row"'::pg_catalog.regclass), "~rel", "~tid", "~unit", NULL, NULL, false{value_names} FROM "~found"

-- name: hit_own
-- Rows that refer to a duplicate of their own table and are none themselves. Lock: FOR NO KEY UPDATE, or FOR UPDATE
-- where a key of theirs changes; NOWAIT.
WITH "~found" AS (
    SELECT {name}.tableoid AS "~rel", {name}.ctid AS "~tid"
    FROM {parent} AS "~p" JOIN {table} AS {name} ON {joined}
    WHERE {changed} AND {condition} AND NOT EXISTS (
        SELECT FROM {parent} AS "~x" WHERE "~x"."~tid" = {name}.ctid AND coalesce("~x"."~rel" = {name}.tableoid, false) AND "~x"."~keeper" IS NOT NULL)
    {lock}
)
INSERT INTO {hits} SELECT "~rel", "~tid" FROM "~found"

-- name: empty_hits
DELETE FROM {hits}

-- name: image
-- The whole new image of each row, all of its references at once.
INSERT INTO {rows}
SELECT pg_catalog.nextval('pg_temp."~row"'::pg_catalog.regclass), "~h"."~rel", "~h"."~tid", least({units}), NULL, NULL, {contradiction}{values}{sources}
FROM (SELECT DISTINCT "~rel", "~tid" FROM {hits}) AS "~h"
JOIN {table} AS {name} ON {name}.ctid = "~h"."~tid" AND coalesce({name}.tableoid = "~h"."~rel", false)
{parents}

-- name: image_own
-- Rows that change only through a reference to their own table join the others with their values as they are.
INSERT INTO {rows}
SELECT pg_catalog.nextval('pg_temp."~row"'::pg_catalog.regclass), "~h"."~rel", "~h"."~tid", 0, NULL, NULL, false{values}{sources}
FROM (SELECT DISTINCT "~rel", "~tid" FROM {hits}) AS "~h"
JOIN {table} AS {name} ON {name}.ctid = "~h"."~tid" AND coalesce({name}.tableoid = "~h"."~rel", false)
WHERE NOT EXISTS (SELECT FROM {rows} AS "~x" WHERE "~x"."~tid" = "~h"."~tid" AND coalesce("~x"."~rel" = "~h"."~rel", false))

-- name: point_own
UPDATE {rows} AS "~r" SET {values}
FROM {table} AS {name}, {rows} AS "~p"
WHERE {name}.ctid = "~r"."~tid" AND coalesce({name}.tableoid = "~r"."~rel", false) AND "~r"."~keeper" IS NULL
  AND {joined} AND {changed} AND {condition}

-- name: source_own
-- A duplicate that refers to another one of its table keeps that reference; it is remembered which row it leads to.
UPDATE {rows} AS "~r" SET {values}
FROM {table} AS {name}, {rows} AS "~p"
WHERE {name}.ctid = "~r"."~tid" AND coalesce({name}.tableoid = "~r"."~rel", false) AND "~r"."~keeper" IS NOT NULL
  AND "~p"."~keeper" IS NOT NULL AND {joined} AND {condition}

-- name: projected
-- The table as it will be: a subquery whose columns replace the old ones, for the index's own expressions to read.
SELECT "~r"."~rel", "~r"."~tid", "~r"."~unit", {columns}
FROM {rows} AS "~r" JOIN {table} AS {name} ON {name}.ctid = "~r"."~tid" AND coalesce({name}.tableoid = "~r"."~rel", false)
WHERE "~r"."~keeper" IS NULL

-- name: generated
SELECT "~i".*{generated} FROM ({projected}) AS "~i"

-- name: collide
-- Rows that one unique index would hold to be equal once they are moved. The row is kept that has this key already, for
-- the key stays taken until duplicates are removed, and that is done last; else the one of the better ranked duplicate.
-- Reads through the index itself.
WITH "~moved" AS MATERIALIZED (
    SELECT "~q".*, EXISTS (SELECT FROM {table} AS {name} WHERE {name}.ctid = "~q"."~tid" AND coalesce({name}.tableoid = "~q"."~rel", false)
                           AND {predicate} AND {joined}) AS "~held"
    FROM (SELECT "~rel", "~tid", "~unit"{order_names}, {keys} FROM ({image}) AS "~image" WHERE {indexed}) AS "~q"
), "~all" AS (
    SELECT * FROM "~moved"
  UNION ALL
    SELECT {name}.tableoid, {name}.ctid, 0{order_values}, {key_names_q}, true
    FROM (SELECT DISTINCT {key_names} FROM "~moved") AS "~q" JOIN {table} AS {name} ON {joined}
    WHERE {predicate} AND NOT EXISTS (
        SELECT FROM {rows} AS "~x" WHERE "~x"."~tid" = {name}.ctid AND coalesce("~x"."~rel" = {name}.tableoid, false))
), "~ranked" AS (
    SELECT "~rel", "~tid", row_number() OVER w AS "~n", first_value("~rel") OVER w AS "~keeper_rel", first_value("~tid") OVER w AS "~keeper"
    FROM "~all" WINDOW w AS (PARTITION BY {key_names} ORDER BY NOT "~held", "~unit"{order_names}, "~tid")
)
UPDATE {rows} AS "~r" SET "~keeper_rel" = "~ranked"."~keeper_rel", "~keeper" = "~ranked"."~keeper"
FROM "~ranked" WHERE "~ranked"."~n" > 1 AND "~r"."~tid" = "~ranked"."~tid" AND coalesce("~r"."~rel" = "~ranked"."~rel", false)

-- name: follow_keepers
-- A row kept under one index may be a duplicate under the next.
UPDATE {rows} AS "~r" SET "~keeper_rel" = "~k"."~keeper_rel", "~keeper" = "~k"."~keeper"
FROM {rows} AS "~k" WHERE "~k"."~tid" = "~r"."~keeper" AND coalesce("~k"."~rel" = "~r"."~keeper_rel", false) AND "~k"."~keeper" IS NOT NULL

-- name: blocked
-- Rows that need a key of one unique index which a row holds that is merged because of another.
SELECT count(*) AS rows FROM (SELECT {keys} FROM ({image}) AS "~image" WHERE {indexed}) AS "~q", {rows} AS "~r", {table} AS {name}
WHERE "~r"."~keeper" IS NOT NULL AND {name}.ctid = "~r"."~tid" AND coalesce({name}.tableoid = "~r"."~rel", false) AND {predicate} AND {joined}

-- name: lock_keepers
-- Lock: FOR NO KEY UPDATE, NOWAIT, on the rows that stay.
WITH "~wanted" AS MATERIALIZED (
    SELECT DISTINCT "~keeper_rel", "~keeper" FROM {rows} WHERE "~keeper" IS NOT NULL
), "~found" AS (
    SELECT 1 FROM "~wanted" JOIN {table} AS {name} ON {name}.ctid = "~wanted"."~keeper" AND coalesce({name}.tableoid = "~wanted"."~keeper_rel", false)
    {lock}
)
SELECT (SELECT count(*) FROM "~wanted") - (SELECT count(*) FROM "~found") AS missing

-- name: take_keepers
-- What refers to a duplicate will refer to the row that is kept, under the values that one will have.
UPDATE {rows} AS "~r" SET {values}
FROM {table} AS {name} LEFT JOIN {rows} AS "~k" ON "~k"."~tid" = {name}.ctid AND coalesce("~k"."~rel" = {name}.tableoid, false)
WHERE {name}.ctid = "~r"."~keeper" AND coalesce({name}.tableoid = "~r"."~keeper_rel", false)

-- name: different
-- Rows that collide and say different things: they are not duplicates of each other.
SELECT count(*) AS rows FROM {rows} AS "~r"
JOIN {table} AS "~a" ON "~a".ctid = "~r"."~tid" AND coalesce("~a".tableoid = "~r"."~rel", false)
JOIN {table} AS "~b" ON "~b".ctid = "~r"."~keeper" AND coalesce("~b".tableoid = "~r"."~keeper_rel", false)
LEFT JOIN {rows} AS "~k" ON "~k"."~tid" = "~r"."~keeper" AND coalesce("~k"."~rel" = "~r"."~keeper_rel", false)
WHERE "~r"."~keeper" IS NOT NULL AND {differ}

-- name: stranded
-- Rows to be archived that hold a key which changes with its row: neither may go first.
SELECT count(*) AS rows FROM {rows} AS "~r"
JOIN {table} AS {name} ON {name}.ctid = "~r"."~tid" AND coalesce({name}.tableoid = "~r"."~rel", false)
JOIN {parent} AS "~p" ON {joined}
WHERE "~r"."~keeper" IS NOT NULL AND "~p"."~keeper" IS NULL AND {changed}

-- name: tally
SELECT count(*) FILTER (WHERE "~keeper" IS NOT NULL) AS merged, count(*) FILTER (WHERE "~keeper" IS NULL) AS moved,
       count(*) FILTER (WHERE "~contradiction" AND "~keeper" IS NULL) AS contradictions,
       count(*) FILTER (WHERE "~keeper" IS NULL AND ({unkeyed})) AS unkeyed
FROM {rows}

-- name: torn
-- Rows in which references share a column and cannot both follow: where one moves, the row that the other leads to stays.
SELECT count(*) AS rows FROM ({parts}) AS "~torn"

-- name: contradictory
SELECT "~r"."~row" FROM {rows} AS "~r" WHERE "~r"."~keeper" IS NULL AND "~r"."~contradiction"

-- name: torn_from_parent
SELECT "~r"."~row" FROM {rows} AS "~r" JOIN {table} AS {name} ON {name}.ctid = "~r"."~tid" AND coalesce({name}.tableoid = "~r"."~rel", false)
WHERE "~r"."~keeper" IS NULL AND {moved} AND {condition} AND EXISTS (SELECT FROM {parent} AS "~q" WHERE {led})
  AND NOT EXISTS (SELECT FROM {parent_rows} AS "~p" WHERE {joined} AND {changed})

-- name: cycle
-- Rows of a table further up that refer to a row merged further down.
SELECT count(*) AS rows FROM {parent} AS "~p" JOIN {table} AS {name} ON {joined} WHERE {changed} AND {condition}

-- name: count_column
SELECT count(*) AS rows FROM {rows} AS "~r" WHERE "~r"."~keeper" IS NULL AND ({changed})

-- name: move
-- Every reference of the batch, in one statement with one UPDATE a table, so that a moved key and those who hold it
-- change together. Lock: the rows are locked already.
WITH {moves}
SELECT {counts}

-- name: move_table
{moved} AS (
    UPDATE {table} AS {name} SET {values}
    FROM {rows} AS "~r"{before}
    WHERE {name}.ctid = "~r"."~tid" AND coalesce({name}.tableoid = "~r"."~rel", false) AND "~r"."~keeper" IS NULL
    RETURNING {journaled}
), {kept} AS (
    INSERT INTO {journal} ({columns}) SELECT %(move)s, {moved}.* FROM {moved}
)

-- name: move_plain
-- A table whose rows just change one reference: lock, move and journal in one statement. Lock: FOR NO KEY UPDATE,
-- NOWAIT. A row that changed between the look and the lock is found but not moved; the batch is then tried again.
WITH "~found" AS (
    SELECT {name}.tableoid AS "~rel", {name}.ctid AS "~tid"{found}
    FROM {parent} AS "~p" JOIN {table} AS {name} ON {joined}
    WHERE {changed} AND {condition}
    FOR NO KEY UPDATE OF {name} NOWAIT
), "~moved" AS (
    UPDATE {table} AS {name} SET {values} FROM "~found"
    WHERE {name}.ctid = "~found"."~tid" AND coalesce({name}.tableoid = "~found"."~rel", false)
    RETURNING {journaled}
), "~journal" AS (
    INSERT INTO {journal} ({columns}) SELECT %(move)s, "~moved".* FROM "~moved"
)
SELECT (SELECT count(*) FROM "~found") AS found, (SELECT count(*) FROM "~moved") AS moved

-- name: sweep
-- References without a foreign key that lead to a merged row all the same: written past the forwarding triggers, by a
-- transaction that was open or by a trigger of the user's. They are noted beside that row, to go back when it has.
-- Lock: FOR NO KEY UPDATE, SKIP LOCKED.
WITH "~found" AS (
    SELECT {name}.tableoid AS "~rel", {name}.ctid AS "~tid", "~o".batch AS "~batch"{found}
    FROM {archive} AS "~a" JOIN {ops} AS "~o" ON "~o".id = "~a"."~op"
    JOIN {parent} AS "~s" ON {survivor} JOIN {table} AS {name} ON {joined}
    WHERE (SELECT {condition} FROM (SELECT {name}.*) AS {name}) AND NOT EXISTS (SELECT FROM {parent} AS "~x" WHERE {present})
    FOR NO KEY UPDATE OF {name} SKIP LOCKED
), "~op" AS (
    INSERT INTO {ops} (batch, kind, relations) SELECT DISTINCT "~batch", 'move', ARRAY[%(journal)s::bigint] FROM "~found"
    RETURNING id, batch
), "~moved" AS (
    UPDATE {table} AS {name} SET {values} FROM "~found" JOIN "~op" ON "~op".batch = "~found"."~batch"
    WHERE {name}.ctid = "~found"."~tid" AND coalesce({name}.tableoid = "~found"."~rel", false)
    RETURNING "~op".id, {journaled}
), "~journal" AS (
    INSERT INTO {journal} ({columns}) SELECT "~moved".* FROM "~moved"
)
SELECT count(*) AS moved FROM "~moved"

-- name: remove
-- Prove that nothing refers to the duplicates any more, then delete them into the archive, which so holds exactly
-- what was removed. A row that is still referred to is not deleted; the count then differs and the batch is undone.
WITH "~gone" AS (
    DELETE FROM {table} AS {name} USING {rows} AS "~r"
    WHERE "~r"."~keeper" IS NOT NULL AND {same_key} AND {unreferenced}
    RETURNING "~r"."~row", "~r"."~unit", {keeper_key}, {columns}
), "~kept" AS (
    INSERT INTO {archive} ("~op", "~row", "~unit", {archived})
    SELECT %(op)s, "~gone".* FROM "~gone" ORDER BY "~gone"."~row"
)
SELECT count(*) AS rows FROM "~gone"

-- name: fill
-- (IS DISTINCT FROM NULL, because a composite value of NULLs IS NULL and is a value all the same.) Empty columns of the survivors take the first value that a duplicate had. After the delete: a unique value may move.
WITH "~filled" AS (
    UPDATE {table} AS {name} SET {values}
    FROM (SELECT DISTINCT {keeper_key} FROM {archive} AS "~a" WHERE "~a"."~op" = %(op)s) AS "~s", {table} AS "~before"
    WHERE {same_key} AND {same_before} AND {lacking}
    RETURNING {journaled}
)
INSERT INTO {journal} ({columns}) SELECT %(fill)s, "~filled".* FROM "~filled"

-- name: counters
-- What this transaction did to each table so far, triggers and cascades included. The tables are constants: a statement
-- without parameters is planned once and not for every batch.
SELECT t.oid::bigint AS table, sum(pg_catalog.pg_stat_get_xact_tuples_inserted(p.relid))::bigint AS inserted,
       sum(pg_catalog.pg_stat_get_xact_tuples_updated(p.relid))::bigint AS updated,
       sum(pg_catalog.pg_stat_get_xact_tuples_deleted(p.relid))::bigint AS deleted
FROM pg_catalog.unnest({oids}) AS t(oid) CROSS JOIN LATERAL (
    SELECT relid FROM pg_catalog.pg_partition_tree(t.oid) UNION SELECT t.oid
) AS p(relid)
GROUP BY 1

-- name: elsewhere
-- Tables outside of the merge that this transaction wrote to all the same: by triggers, such as those of counters.
SELECT schemaname || '.' || relname AS name FROM pg_catalog.pg_stat_xact_user_tables
WHERE coalesce(pg_catalog.pg_partition_root(relid), relid) <> ALL (%(oids)s::oid[])
  AND schemaname <> %(private_schema)s AND schemaname !~ '^pg_temp'
  AND n_tup_ins + n_tup_upd + n_tup_del > 0
ORDER BY 1

-- name: violated_check
-- Rows whose new image a CHECK would reject.
SELECT count(*) AS rows FROM ({image}) AS "~image" WHERE NOT {expression}

-- name: broken
-- Rows that would not be taken as they are, when they are changed or come back.
SELECT count(*) AS rows FROM ({rows}) AS "~r"
JOIN {table} AS {name} ON {name}.ctid = "~r"."~tid" AND coalesce({name}.tableoid = "~r"."~rel", false)
WHERE {breaks}

-- name: going
SELECT "~rel", "~tid" FROM {rows} WHERE "~keeper" IS NOT NULL

-- name: changing
SELECT "~rel", "~tid" FROM {rows}

-- name: changing_or_filled
SELECT "~rel", "~tid" FROM {rows} UNION SELECT "~keeper_rel", "~keeper" FROM {rows} WHERE "~keeper" IS NOT NULL

-- name: broken_anywhere
-- Whether such a row is anywhere in the table, before it is asked which of them a merge meets.
SELECT EXISTS (SELECT FROM {table} AS {name} WHERE {breaks}) AS found

-- name: twins
-- Whether rows are there that an index would not take together.
SELECT EXISTS (SELECT FROM {table} AS {name} WHERE {indexed} GROUP BY {keys} HAVING count(*) > 1) AS found

-- name: violated_exclusion
-- Rows whose new image an exclusion constraint would reject, against rows that stay where they are.
SELECT count(*) AS rows FROM (SELECT "~rel", "~tid", {keys} FROM ({image}) AS "~image" WHERE {indexed}) AS "~q"
JOIN {table} AS {name} ON {joined}
WHERE {predicate} AND NOT EXISTS (SELECT FROM {rows} AS "~x" WHERE "~x"."~tid" = {name}.ctid AND coalesce("~x"."~rel" = {name}.tableoid, false))

-- name: violated_exclusion_among
-- The same among the rows that move.
WITH "~q" AS (SELECT "~rel", "~tid", {keys} FROM ({image}) AS "~image" WHERE {indexed})
SELECT count(*) AS rows FROM "~q" JOIN "~q" AS "~q2" ON ("~q"."~rel", "~q"."~tid") < ("~q2"."~rel", "~q2"."~tid") AND {joined}
