-- name: biggest_groups
-- The groups with the most rows. A group larger than a batch is listed several times.
SELECT {others} AS "key", {phone}::text AS phone, sum("~size")::bigint + 1 AS rows
FROM pg_temp."~work" GROUP BY {keys} ORDER BY 3 DESC, min("~n") LIMIT %(limit)s

-- name: workspaces
SELECT {others} AS "key", count(*) AS groups, sum("~size")::bigint AS duplicates
FROM (SELECT {keys}, sum("~size") AS "~size" FROM pg_temp."~work" GROUP BY {keys}) AS "~groups"
GROUP BY {grouped} ORDER BY 3 DESC, 1 LIMIT %(limit)s

-- name: near
-- Phones of one workspace that are one as soon as blanks and punctuation are left out. Reads the table once.
SELECT count(*) AS groups FROM (
    SELECT FROM {table} WHERE {has_key} GROUP BY {keys}
    HAVING min({phone}::text COLLATE pg_catalog."C") <> max({phone}::text COLLATE pg_catalog."C")
) AS "~near"

-- name: fillable
-- Groups, by column, whose survivor has NULL where a duplicate has a value.
SELECT {counts} FROM (
    SELECT {lacking} FROM {rows} AS "~r"
    JOIN {table} AS "~d" ON "~d".ctid = "~r"."~tid" AND coalesce("~d".tableoid = "~r"."~rel", false)
    JOIN {table} AS "~s" ON "~s".ctid = "~r"."~keeper" AND coalesce("~s".tableoid = "~r"."~keeper_rel", false)
    GROUP BY "~r"."~keeper_rel", "~r"."~keeper"
) AS "~groups"

-- name: samples
-- The biggest groups with their first rows, the survivor before the others.
WITH "~some" AS (
    SELECT "~keeper_rel", "~keeper", count(*) AS duplicates, row_number() OVER (ORDER BY count(*) DESC, "~keeper") AS "~n"
    FROM {rows} GROUP BY "~keeper_rel", "~keeper" ORDER BY 3 DESC, "~keeper" LIMIT %(limit)s
), "~shown" AS (
    SELECT "~n", duplicates, 1 AS "~rank", "~keeper_rel" AS "~rel", "~keeper" AS "~tid" FROM "~some"
  UNION ALL
    SELECT "~n", duplicates, "~r"."~unit", "~r"."~rel", "~r"."~tid"
    FROM "~some" JOIN {rows} AS "~r" USING ("~keeper_rel", "~keeper") WHERE "~r"."~unit" <= %(rows)s
)
SELECT "~n" AS number, duplicates, {values} AS values
FROM "~shown" JOIN {table} AS "~t" ON "~t".ctid = "~shown"."~tid" AND coalesce("~t".tableoid = "~shown"."~rel", false)
ORDER BY "~n", "~rank"
