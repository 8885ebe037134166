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

-- name: version_readers
-- The roles of an API, as Supabase names them, that may read Alembic's table, or will be by default privileges.
SELECT r.rolname::text FROM pg_catalog.pg_roles AS r, pg_catalog.pg_namespace AS n
LEFT JOIN pg_catalog.pg_class AS c ON c.relnamespace = n.oid AND c.relname = 'alembic_version' AND c.relkind = 'r'
WHERE n.nspname = %(schema)s AND r.rolname IN ('anon', 'authenticated') AND pg_catalog.has_schema_privilege(r.oid, n.oid, 'USAGE')
  AND (pg_catalog.has_table_privilege(r.oid, c.oid, 'SELECT')
       OR (c.oid IS NULL AND EXISTS (
           SELECT FROM pg_catalog.pg_default_acl AS d CROSS JOIN LATERAL pg_catalog.aclexplode(d.defaclacl) AS a
           WHERE d.defaclobjtype = 'r' AND d.defaclnamespace IN (n.oid, 0) AND pg_catalog.pg_get_userbyid(d.defaclrole) = current_user
             AND a.privilege_type = 'SELECT' AND (a.grantee = 0 OR pg_catalog.pg_has_role(r.oid, a.grantee, 'USAGE')))))
ORDER BY 1

-- name: statement_timeout
-- As the session began with; NULL where there is no limit.
SELECT nullif(reset_val, '0') || unit FROM pg_catalog.pg_settings WHERE name = 'statement_timeout'
