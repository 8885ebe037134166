-- name: key_columns
-- The columns of a unique constraint, in their order, as everybody may look them up.
SELECT k.column_name::text AS name
FROM information_schema.table_constraints AS c
JOIN information_schema.key_column_usage AS k USING (constraint_schema, constraint_name, table_schema, table_name)
WHERE c.constraint_type = 'UNIQUE' AND c.constraint_name = %(constraint)s
  AND c.table_schema = %(schema)s AND c.table_name = %(table)s
ORDER BY k.ordinal_position

-- name: count_groups
SELECT count(*) AS rows FROM (SELECT FROM {table} WHERE {has_key} GROUP BY {keys} HAVING count(*) > 1) AS "~groups"

-- name: count_dangling
-- Rows that refer to nothing. A foreign key of several columns refers where none of them is NULL.
SELECT count(*) AS rows FROM {table} AS {name}
WHERE {refers} AND {condition} AND NOT EXISTS (SELECT FROM {parent} AS "~p" WHERE {joined})

-- name: columns
-- What a new row of a table needs: each column that can be written, its type, and what it must be.
SELECT a.attname::text AS name, pg_catalog.format_type(a.atttypid, a.atttypmod) AS type, b.typcategory::text AS category,
       a.attnotnull AS not_null, a.atthasdef AND d.expression NOT LIKE '%%nextval(%%' AS has_default,
       EXISTS (SELECT FROM pg_catalog.pg_index AS i
               WHERE i.indrelid = a.attrelid AND (i.indisunique OR i.indisexclusion) AND (a.attnum = ANY (i.indkey)
                     OR EXISTS (SELECT FROM pg_catalog.pg_depend AS m WHERE m.classid = 'pg_catalog.pg_class'::regclass
                                AND m.objid = i.indexrelid AND m.refobjid = a.attrelid AND m.refobjsubid = a.attnum))) AS is_unique,
       f.confrelid AS parent, p.attname::text AS parent_column
FROM pg_catalog.pg_attribute AS a
JOIN pg_catalog.pg_type AS t ON t.oid = a.atttypid
JOIN pg_catalog.pg_type AS b ON b.oid = CASE WHEN t.typtype = 'd' THEN t.typbasetype ELSE t.oid END
LEFT JOIN LATERAL (
    SELECT pg_catalog.pg_get_expr(e.adbin, e.adrelid) AS expression FROM pg_catalog.pg_attrdef AS e
    WHERE e.adrelid = a.attrelid AND e.adnum = a.attnum
) AS d ON true
LEFT JOIN LATERAL (
    SELECT k.confrelid, k.confkey[1] AS number FROM pg_catalog.pg_constraint AS k
    WHERE k.conrelid = a.attrelid AND k.contype = 'f' AND k.conkey = ARRAY[a.attnum] AND k.conparentid = 0 LIMIT 1
) AS f ON true
LEFT JOIN pg_catalog.pg_attribute AS p ON p.attrelid = f.confrelid AND p.attnum = f.number
WHERE a.attrelid = %(table)s AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''
ORDER BY a.attnum

-- name: named
SELECT n.nspname::text AS schema, c.relname::text AS name
FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace WHERE c.oid = %(table)s

-- name: real_row
-- One that has the whole key, to make others from.
SELECT ctid::text AS ctid, {workspace}::text AS workspace, {phone}::text AS phone FROM {table} WHERE {has_key} LIMIT 1

-- name: other_parent
-- A workspace that has no contact with this phone.
SELECT "~p".{column}::text AS value FROM {parent} AS "~p"
WHERE NOT EXISTS (SELECT FROM {table} WHERE {workspace} = "~p".{column} AND {phone} = CAST(%(phone)s AS {type})) LIMIT 1

-- name: has_key_already
SELECT EXISTS (SELECT FROM {table} WHERE {workspace} = CAST(%(workspace)s AS {workspace_type}) AND {phone} = CAST(%(phone)s AS {phone_type})) AS there

-- name: insert
INSERT INTO {table} ({columns}) OVERRIDING SYSTEM VALUE SELECT {values} {source} {unless} RETURNING {returned}

-- name: first_label
SELECT e.enumlabel::text AS label FROM pg_catalog.pg_enum AS e
WHERE e.enumtypid = pg_catalog.to_regtype(%(type)s) ORDER BY e.enumsortorder LIMIT 1
