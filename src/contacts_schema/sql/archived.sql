-- name: archived_row
-- A row that was removed, where it went, when, and what it held.
SELECT a."~row" AS "row", o.batch, a.{into}::text AS went, b.at::text AS at, pg_catalog.to_jsonb(a) AS held
FROM {archive} AS a JOIN {schema}.op AS o ON o.id = a."~op" JOIN {schema}.batch AS b ON b.id = o.batch
WHERE a.{key}::text = %(id)s ORDER BY a."~op" DESC LIMIT 1

-- name: followers
-- Rows of one table that were changed or merged because they referred to that row.
SELECT count(*) AS rows FROM {relation} AS j JOIN {schema}.op AS o ON o.id = j."~op"
WHERE o.batch = %(batch)s AND ({from})

-- name: is_there
SELECT EXISTS (SELECT FROM {table} WHERE {key}::text = %(id)s) AS there

-- name: old_batches
SELECT b.id FROM {schema}.batch AS b JOIN {schema}.run AS r ON r.id = b.run
WHERE (r.source = %(source)s OR (r.source_schema = %(source_schema)s AND r.source_name = %(source_name)s))
  AND b.at < now() - CAST(%(age)s AS interval) ORDER BY b.id

-- name: count_old
SELECT count(*) AS rows FROM {relation} WHERE "~op" IN (SELECT id FROM {schema}.op WHERE batch = ANY (%(batches)s::bigint[]))

-- name: forget_old
DELETE FROM {relation} WHERE "~op" IN (SELECT id FROM {schema}.op WHERE batch = ANY (%(batches)s::bigint[]))

-- name: forget_batches
DELETE FROM {schema}.batch WHERE id = ANY (%(batches)s::bigint[])
