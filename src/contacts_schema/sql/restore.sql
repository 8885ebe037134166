-- name: batches
-- What was done to one table, newest first.
SELECT b.id FROM {schema}.batch AS b JOIN {schema}.run AS r ON r.id = b.run
WHERE r.source = %(source)s OR (r.source_schema = %(source_schema)s AND r.source_name = %(source_name)s)
ORDER BY b.id DESC

-- name: ops
-- Backwards: what was filled, the archived rows, what was moved. (What was swept up at the end is noted last.)
SELECT o.id, o.kind, o.relations FROM {schema}.op AS o WHERE o.batch = %(batch)s ORDER BY o.kind = 'move', o.id DESC

-- name: relations
SELECT r.id, r.kind, r.name, r.source::bigint AS source, r.source_schema, r.source_name, r.numbers, r.names, r.keys, r.key_names, r.moving,
       pg_catalog.to_regclass(pg_catalog.format('%%I.%%I', %(schema)s::text, r.name))::oid::bigint AS oid
FROM {schema}.relation AS r

-- name: create_left
-- Rows of the batch at hand that could not be brought back: references stay with the rows that took their place.
CREATE TEMPORARY TABLE IF NOT EXISTS "~left" ("~row" bigint NOT NULL) ON COMMIT DELETE ROWS

-- name: note_left
INSERT INTO pg_temp."~left" SELECT "~row" FROM {archive} WHERE "~op" = %(op)s

-- name: lock_tables
-- Lock: ROW EXCLUSIVE; SHARE ROW EXCLUSIVE where triggers rest, for one batch, so that no writer misses them.
LOCK TABLE {tables} IN {mode} MODE

-- name: insert
-- Bring archived rows back under their own keys, but for those that refer to a row which is not back itself: somebody
-- else may have its key by now. Assigned, not cast: a value that no longer fits is refused.
WITH "~back" AS (
    DELETE FROM {archive} AS "~j"
    WHERE "~j"."~op" = %(op)s AND (%(only)s::bigint[] IS NULL OR ("~j"."~id" = ANY (%(only)s::bigint[]) AND NOT {beside})) AND NOT {waiting}
    RETURNING *
), "~in" AS (
    INSERT INTO {table} ({columns}) OVERRIDING SYSTEM VALUE SELECT {archived} FROM "~back" RETURNING 1
)
SELECT count(*) AS rows FROM "~in"

-- name: create_found
-- Where the rows without a primary key are that the batch at hand changed.
CREATE TEMPORARY TABLE IF NOT EXISTS "~found" ("~relation" bigint NOT NULL, "~id" bigint NOT NULL, "~rel" oid NOT NULL, "~tid" tid NOT NULL) ON COMMIT DELETE ROWS

-- name: hold
-- Until the batch's end nobody changes a row between the look at it and its update. Lock: FOR NO KEY UPDATE on the
-- rows that the operation changed.
SELECT FROM {table} AS "~t" JOIN {journal} AS "~j" ON {same_row} WHERE "~j"."~op" = %(op)s FOR NO KEY UPDATE OF "~t"

-- name: find
-- The same for rows without a primary key. A row that changed between the look and the lock is another one by then.
INSERT INTO pg_temp."~found"
SELECT {relation}, "~m"."~id", "~t".tableoid, "~t".ctid
FROM ({matched}) AS "~m" JOIN {table} AS "~t" ON "~t".ctid = "~m"."~tid" AND "~t".tableoid = "~m"."~rel"
FOR NO KEY UPDATE OF "~t"

-- name: matched
-- A row without a primary key is known by its image; rows with one image are interchangeable.
SELECT "~c"."~tid", "~c"."~rel", "~i"."~id"
FROM (SELECT "~id", {journal_image} AS "~image", row_number() OVER (PARTITION BY {journal_image} ORDER BY "~id") AS "~n"
      FROM {journal} WHERE "~op" = %(op)s) AS "~i"
JOIN (SELECT "~s".ctid AS "~tid", "~s".tableoid AS "~rel", {table_image} AS "~image",
             row_number() OVER (PARTITION BY {table_image} ORDER BY "~s".ctid) AS "~n"
      FROM {table} AS "~s" WHERE {candidate}) AS "~c"
  ON "~c"."~image" = "~i"."~image" AND "~c"."~n" = "~i"."~n"

-- name: look
-- What became of each row that an operation changed: whether it is gone, waits for a row that is not back, was changed
-- later by a merge that is not undone yet, was changed by people, or holds ours.
SELECT "~j"."~id" AS id, {key} AS key, {gone} AS gone, {waiting} AS waiting, {superseded} AS superseded,
       (NOT {gone} AND {changed}) AS changed, {ours} AS ours
FROM {journal} AS "~j" LEFT JOIN {row} ON {same_row}
WHERE "~j"."~op" = %(op)s ORDER BY "~j"."~id"

-- name: undo
-- Give changed rows their old values where they still hold ours, one UPDATE a table, all in one statement.
WITH {updates}
SELECT {undone}

-- name: undo_table
{undone} AS (
    UPDATE {table} AS "~t" SET {values} FROM {journal} AS "~j"{found}
    WHERE "~j"."~op" = %(op)s AND "~j"."~id" = ANY ({only}::bigint[]) AND {same_row} AND {ours}
    RETURNING "~j"."~id"
)

-- name: moved_from
-- The merged rows that each row's references were moved away from.
SELECT "~id" AS id, pg_catalog.array_remove({sources}, NULL) AS moved_from FROM {journal} WHERE "~op" = %(op)s ORDER BY "~id"

-- name: settle
UPDATE {journal} AS "~j" SET {values} WHERE "~op" = %(op)s AND "~id" = ANY (%(rows)s::bigint[])

-- name: forget
DELETE FROM {journal} WHERE "~op" = %(op)s AND NOT "~id" = ANY (%(left)s::bigint[])

-- name: ids
SELECT "~id" AS id FROM {relation} WHERE "~op" = %(op)s ORDER BY "~id"

-- name: left_keys
SELECT "~id" AS id, {keys} AS key FROM {relation} WHERE "~op" = %(op)s ORDER BY "~id"

-- name: finish_ops
DELETE FROM {schema}.op WHERE batch = %(batch)s AND NOT id = ANY (%(left)s::bigint[])

-- name: finish_batch
DELETE FROM {schema}.batch WHERE id = %(batch)s

-- name: finish_runs
DELETE FROM {schema}.run AS r
WHERE (r.source = %(source)s OR (r.source_schema = %(source_schema)s AND r.source_name = %(source_name)s)) AND NOT EXISTS (SELECT FROM {schema}.batch AS b WHERE b.run = r.id)

-- name: is_done_with
-- Empty, and no operation that is left, one of several tables perhaps, will look into it, nor will a forwarding trigger of
-- another table's upgrade.
SELECT NOT EXISTS (SELECT FROM {relation}) AND NOT EXISTS (SELECT FROM {schema}.op WHERE %(id)s = ANY (relations))
   AND NOT EXISTS (SELECT FROM pg_catalog.pg_proc AS p WHERE pg_catalog.starts_with(p.proname, 'forward_') AND pg_catalog.strpos(p.prosrc, %(called)s) > 0) AS done

-- name: lock_relation
-- Lock: ACCESS EXCLUSIVE, on a table of the archive.
LOCK TABLE {relation} IN ACCESS EXCLUSIVE MODE

-- name: drop_relation
DROP TABLE {relation}

-- name: forget_relation
DELETE FROM {schema}.relation WHERE id = %(id)s

-- name: in_use
-- A run is noted, or something else than the registry is in the schema: a guard, another table's archive, or what
-- somebody has put there.
SELECT EXISTS (SELECT FROM {schema}.run) OR EXISTS (
    SELECT FROM pg_catalog.pg_namespace AS n WHERE n.nspname = %(schema)s AND (
        EXISTS (SELECT FROM pg_catalog.pg_proc AS p WHERE p.pronamespace = n.oid)
     OR EXISTS (SELECT FROM pg_catalog.pg_class AS c WHERE c.relnamespace = n.oid AND c.relkind NOT IN ('i', 'I', 'S', 't') AND c.relname NOT IN ('run', 'batch', 'relation', 'op'))
     OR EXISTS (SELECT FROM pg_catalog.pg_type AS t WHERE t.typnamespace = n.oid AND t.typtype IN ('d', 'e', 'r')))) AS used

-- name: drop_schema
-- Nothing is in it any more but its own registry. Without CASCADE: what anybody has made to depend on it would go too.
DROP TABLE {schema}.op, {schema}.batch, {schema}.relation, {schema}.run;
DROP SCHEMA {schema}
