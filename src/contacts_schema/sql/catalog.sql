-- name: find_table
-- Lock: none beyond reading the catalog.
SELECT c.oid::bigint AS oid
FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE n.nspname = %(schema)s AND c.relname = %(name)s AND c.relkind IN ('r', 'p', 'f', 'v', 'm')

-- name: existing
SELECT c.oid::bigint AS oid FROM pg_catalog.pg_class AS c WHERE c.oid = ANY (%(oids)s::oid[])

-- name: similar_tables
SELECT n.nspname || '.' || c.relname AS label
FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'f', 'v', 'm') AND NOT c.relispartition
  AND n.nspname !~ '^pg_' AND n.nspname NOT IN ('information_schema', %(private_schema)s) AND c.relname <> 'alembic_version'
ORDER BY 1

-- name: role
SELECT current_user AS name, pg_catalog.current_database() AS database,
       pg_catalog.has_database_privilege(pg_catalog.current_database(), 'CREATE') AS can_create_schema,
       pg_catalog.has_database_privilege(pg_catalog.current_database(), 'TEMP') AS can_create_temp

-- name: private_schema
-- Ours has the whole registry, or nothing at all yet: no type or function of somebody's either.
SELECT pg_catalog.pg_has_role(n.nspowner, 'USAGE') AS owned,
       (SELECT count(*) FROM pg_catalog.pg_class AS c WHERE c.relnamespace = n.oid AND c.relname IN ('run', 'batch', 'relation', 'op')) = 4
       OR NOT EXISTS (SELECT FROM pg_catalog.pg_depend AS d WHERE d.refclassid = 'pg_catalog.pg_namespace'::pg_catalog.regclass AND d.refobjid = n.oid
                      AND d.classid <> 'pg_catalog.pg_default_acl'::pg_catalog.regclass) AS ours
FROM pg_catalog.pg_namespace AS n WHERE n.nspname = %(schema)s

-- name: reachable
-- Every table whose rows can hang, directly or through others, on the rows of the given ones.
WITH RECURSIVE reached(oid) AS (
    SELECT pg_catalog.unnest(%(roots)s::oid[])
  UNION
    SELECT k.conrelid FROM pg_catalog.pg_constraint AS k JOIN reached AS r ON k.confrelid = r.oid WHERE k.contype = 'f'
)
SELECT oid::bigint FROM reached

-- name: tables
SELECT c.oid::bigint AS oid, n.nspname AS schema, c.relname AS name, c.relkind::text AS kind,
       c.relispartition AS is_partition,
       EXISTS (SELECT FROM pg_catalog.pg_inherits AS i WHERE (i.inhparent = c.oid AND c.relkind <> 'p')
               OR (i.inhrelid = c.oid AND NOT c.relispartition)) AS has_heirs,
       CASE WHEN c.relkind = 'p' THEN (SELECT coalesce(sum(greatest(p.reltuples, 0)), 0) FROM pg_catalog.pg_partition_tree(c.oid) AS t
            JOIN pg_catalog.pg_class AS p ON p.oid = t.relid) ELSE c.reltuples END::float8 AS rows,
       CASE WHEN c.relkind = 'p' THEN (SELECT coalesce(sum(p.relpages), 0) FROM pg_catalog.pg_partition_tree(c.oid) AS t
            JOIN pg_catalog.pg_class AS p ON p.oid = t.relid) ELSE c.relpages END::int AS pages,
       pg_catalog.row_security_active(c.oid) AS row_security_active,
       coalesce((SELECT pg_catalog.array_agg(r.rulename::text ORDER BY r.rulename) FROM pg_catalog.pg_rewrite AS r
                 WHERE r.ev_class = c.oid AND r.ev_type IN ('2', '3', '4') AND c.relkind NOT IN ('v', 'm')), '{{}}') AS rules,
       coalesce((SELECT pg_catalog.array_agg(DISTINCT p.pubname::text) FROM pg_catalog.pg_publication AS p
                 WHERE (p.pubupdate OR p.pubdelete) AND (p.puballtables
                   OR EXISTS (SELECT FROM pg_catalog.pg_publication_rel AS pr WHERE pr.prpubid = p.oid AND pr.prrelid = c.oid)
                   OR EXISTS (SELECT FROM pg_catalog.pg_publication_namespace AS pn WHERE pn.pnpubid = p.oid AND pn.pnnspid = n.oid))), '{{}}') AS published,
       c.relreplident::text AS replica_identity,
       -- The columns that decide where a row lies, 0 for an expression, and what holds of the rows in each partition.
       coalesce((SELECT pg_catalog.array_agg(DISTINCT coalesce(mine.attnum, 0))::int[] FROM pg_catalog.pg_partition_tree(c.oid) AS t
                 JOIN pg_catalog.pg_partitioned_table AS pt ON pt.partrelid = t.relid CROSS JOIN pg_catalog.unnest(pt.partattrs::int2[]) AS k(attnum)
                 LEFT JOIN pg_catalog.pg_attribute AS theirs ON theirs.attrelid = pt.partrelid AND theirs.attnum = k.attnum AND k.attnum > 0
                 LEFT JOIN pg_catalog.pg_attribute AS mine ON mine.attrelid = c.oid AND mine.attname = theirs.attname
                 WHERE c.relkind = 'p'), '{{}}') AS partitioned_by,
       coalesce((SELECT pg_catalog.array_agg(pg_catalog.pg_get_partition_constraintdef(t.relid)) FROM pg_catalog.pg_partition_tree(c.oid) AS t
                 WHERE c.relkind = 'p' AND t.isleaf), '{{}}') AS partitions,
       -- Triggers of partitions that the table itself does not have, or not in that state.
       coalesce((SELECT pg_catalog.array_agg(pg_catalog.concat_ws('.', ln.nspname, l.relname, g.tgname) ORDER BY g.tgrelid, g.tgname)
                 FROM pg_catalog.pg_partition_tree(c.oid) AS t JOIN pg_catalog.pg_class AS l ON l.oid = t.relid
                 JOIN pg_catalog.pg_namespace AS ln ON ln.oid = l.relnamespace JOIN pg_catalog.pg_trigger AS g ON g.tgrelid = t.relid AND NOT g.tgisinternal
                 LEFT JOIN pg_catalog.pg_trigger AS p ON p.oid = g.tgparentid
                 WHERE c.relkind = 'p' AND t.relid <> c.oid AND (g.tgtype & 1) <> 0 AND g.tgenabled IS DISTINCT FROM coalesce(p.tgenabled, 'D')), '{{}}') AS partition_triggers,
       pg_catalog.pg_get_userbyid(c.relowner)::text AS owner, pg_catalog.pg_has_role(c.relowner, 'USAGE') AS owned,
       (SELECT r.rolsuper FROM pg_catalog.pg_roles AS r WHERE r.oid = c.relowner) AS owner_is_superuser,
       pg_catalog.has_table_privilege(c.oid, 'SELECT') AS can_select,
       pg_catalog.has_table_privilege(c.oid, 'INSERT') AS can_insert,
       pg_catalog.has_table_privilege(c.oid, 'UPDATE') AS can_update,
       pg_catalog.has_table_privilege(c.oid, 'DELETE') AS can_delete,
       pg_catalog.has_schema_privilege(n.oid, 'USAGE') AS schema_usage,
       pg_catalog.has_schema_privilege(n.oid, 'CREATE') AS schema_create
FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.oid = ANY (%(oids)s::oid[])

-- name: distributed
-- Citus keeps its distributed tables in pg_dist_partition; 'h' means distributed by hash.
SELECT logicalrelid::oid::bigint AS oid FROM pg_catalog.pg_dist_partition

-- name: has_citus
SELECT pg_catalog.to_regclass('pg_catalog.pg_dist_partition') IS NOT NULL AS present

-- name: columns
SELECT a.attrelid::bigint AS table, a.attnum::int AS number, a.attname AS name,
       pg_catalog.format_type(a.atttypid, a.atttypmod) AS type,
       pg_catalog.format_type(CASE WHEN t.typtype = 'd' THEN t.typbasetype ELSE t.oid END, -1) AS base_type,
       t.typcategory::text AS category, a.attnotnull AS not_null, a.attgenerated::text AS generated,
       a.attidentity::text AS identity, a.attcollation::bigint AS collation,
       (SELECT pg_catalog.format('OPERATOR(%%I.%%s)', n.nspname, o.oprname)
        FROM pg_catalog.pg_opclass AS oc
        JOIN pg_catalog.pg_am AS m ON m.oid = oc.opcmethod AND m.amname = 'btree'
        JOIN pg_catalog.pg_type AS it ON it.oid = oc.opcintype
        JOIN pg_catalog.pg_amop AS ao ON ao.amopfamily = oc.opcfamily AND ao.amopstrategy = 3
             AND ao.amoplefttype = oc.opcintype AND ao.amoprighttype = oc.opcintype
        JOIN pg_catalog.pg_operator AS o ON o.oid = ao.amopopr
        JOIN pg_catalog.pg_namespace AS n ON n.oid = o.oprnamespace
        WHERE oc.opcdefault AND (oc.opcintype = b.oid
           OR (b.typcategory = 'A' AND it.typname = 'anyarray') OR (b.typtype = 'e' AND it.typname = 'anyenum')
           OR (b.typtype = 'r' AND it.typname = 'anyrange') OR (b.typtype = 'm' AND it.typname = 'anymultirange')
           OR (b.typtype = 'c' AND it.typname = 'record')
           OR EXISTS (SELECT FROM pg_catalog.pg_cast AS k WHERE k.castsource = b.oid AND k.casttarget = oc.opcintype
                      AND k.castmethod = 'b' AND k.castcontext = 'i'))
        ORDER BY oc.opcintype = b.oid DESC, it.typispreferred DESC LIMIT 1) AS equality
FROM pg_catalog.pg_attribute AS a
JOIN pg_catalog.pg_type AS t ON t.oid = a.atttypid
JOIN pg_catalog.pg_type AS b ON b.oid = CASE WHEN t.typtype = 'd' THEN t.typbasetype ELSE t.oid END
WHERE a.attrelid = ANY (%(oids)s::oid[]) AND a.attnum > 0 AND NOT a.attisdropped
ORDER BY a.attrelid, a.attnum

-- name: defaults
SELECT d.adrelid::bigint AS table, d.adnum::int AS number, pg_catalog.pg_get_expr(d.adbin, d.adrelid) AS expression
FROM pg_catalog.pg_attrdef AS d WHERE d.adrelid = ANY (%(oids)s::oid[])

-- name: indexes
-- The equality operator of a key is the "=" of its operator class, not the one that a search_path would find.
SELECT i.indrelid::bigint AS table, c.relname AS name, m.amname AS method,
       (i.indkey::int2[])[0:i.indnkeyatts - 1]::int[] AS columns,
       coalesce((i.indkey::int2[])[i.indnkeyatts:]::int[], '{{}}') AS included,
       keys.keys AS keys, keys.equality AS equality, keys.plain AS plain,
       coalesce((SELECT pg_catalog.array_agg(DISTINCT p.refobjsubid ORDER BY p.refobjsubid) FROM pg_catalog.pg_depend AS p
                 WHERE p.classid = 'pg_catalog.pg_class'::regclass AND p.objid = i.indexrelid AND p.refobjid = i.indrelid
                   AND p.refobjsubid > 0 AND (i.indexprs IS NOT NULL OR i.indpred IS NOT NULL)), '{{}}') AS mentions,
       pg_catalog.pg_get_expr(i.indpred, i.indrelid) AS predicate,
       i.indisunique AS unique, i.indisprimary AS primary, i.indisexclusion AS exclusion,
       i.indisvalid AS valid, i.indisready AS ready, i.indnullsnotdistinct AS nulls_not_distinct,
       k.conname AS constraint, coalesce(k.condeferrable, false) AS deferrable
FROM pg_catalog.pg_index AS i
JOIN pg_catalog.pg_class AS c ON c.oid = i.indexrelid
JOIN pg_catalog.pg_am AS m ON m.oid = c.relam
LEFT JOIN pg_catalog.pg_constraint AS k ON k.conindid = i.indexrelid AND k.conrelid = i.indrelid AND k.contype IN ('p', 'u', 'x')
CROSS JOIN LATERAL (
    SELECT pg_catalog.array_agg(
               CASE WHEN coll.collname IS NULL THEN pg_catalog.pg_get_indexdef(i.indexrelid, n, false)
                    ELSE pg_catalog.format('%%s COLLATE %%I.%%I', pg_catalog.pg_get_indexdef(i.indexrelid, n, false), cn.nspname, coll.collname)
               END ORDER BY n) AS keys,
           pg_catalog.array_agg(pg_catalog.format('OPERATOR(%%I.%%s)', oper_n.nspname, oper.oprname) ORDER BY n) AS equality,
           pg_catalog.bool_and(oc.opcdefault AND coll.collname IS NULL AND (i.indoption::int2[])[n - 1] = 0) AS plain
    FROM pg_catalog.generate_series(1, i.indnkeyatts::int) AS n
    JOIN pg_catalog.pg_opclass AS oc ON oc.oid = (i.indclass::oid[])[n - 1]
    LEFT JOIN pg_catalog.pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = (i.indkey::int2[])[n - 1] AND a.attnum > 0
    LEFT JOIN pg_catalog.pg_collation AS coll ON coll.oid = (i.indcollation::oid[])[n - 1]
          AND a.attcollation IS NOT NULL AND coll.oid <> a.attcollation
    LEFT JOIN pg_catalog.pg_namespace AS cn ON cn.oid = coll.collnamespace
    LEFT JOIN pg_catalog.pg_amop AS ao ON ao.amopfamily = oc.opcfamily AND ao.amoplefttype = oc.opcintype
          AND ao.amoprighttype = oc.opcintype AND m.amname = 'btree' AND ao.amopstrategy = 3
    LEFT JOIN pg_catalog.pg_operator AS oper
          ON oper.oid = coalesce((k.conexclop)[n], ao.amopopr)
    LEFT JOIN pg_catalog.pg_namespace AS oper_n ON oper_n.oid = oper.oprnamespace
) AS keys
WHERE i.indrelid = ANY (%(oids)s::oid[]) AND i.indislive
ORDER BY i.indrelid, i.indisprimary DESC, i.indexrelid

-- name: foreign_keys
-- Parent tables of a partitioned table carry clones of its keys; conparentid = 0 are the ones a person declared.
SELECT k.conname AS name, k.conrelid::bigint AS table, k.conkey::int[] AS columns,
       k.confrelid::bigint AS parent, k.confkey::int[] AS parent_columns,
       (SELECT pg_catalog.array_agg(pg_catalog.format('OPERATOR(%%I.%%s)', n.nspname, o.oprname) ORDER BY u.i)
        FROM pg_catalog.unnest(k.conpfeqop) WITH ORDINALITY AS u(op, i)
        JOIN pg_catalog.pg_operator AS o ON o.oid = u.op JOIN pg_catalog.pg_namespace AS n ON n.oid = o.oprnamespace) AS equality,
       k.confupdtype::text AS on_update,
       NOT EXISTS (SELECT FROM pg_catalog.pg_trigger AS t WHERE t.tgconstraint = k.oid AND t.tgenabled IN ('D', 'R')) AS triggers_enabled,
       k.conparentid <> 0 AS inherited
FROM pg_catalog.pg_constraint AS k
WHERE k.contype = 'f' AND k.confrelid = ANY (%(oids)s::oid[])
ORDER BY k.oid

-- name: triggers
SELECT t.tgrelid::bigint AS table, t.tgname AS name, p.proname AS function, n.nspname AS function_schema,
       t.tgenabled::text AS enabled, (t.tgtype & 2) <> 0 AS before, (t.tgtype & 1) <> 0 AS row,
       (t.tgtype & 16) <> 0 AS on_update, (t.tgtype & 8) <> 0 AS on_delete
FROM pg_catalog.pg_trigger AS t JOIN pg_catalog.pg_proc AS p ON p.oid = t.tgfoid
JOIN pg_catalog.pg_namespace AS n ON n.oid = p.pronamespace
WHERE t.tgrelid = ANY (%(oids)s::oid[]) AND NOT t.tgisinternal AND NOT pg_catalog.starts_with(t.tgname, '00_contacts_schema_')
ORDER BY t.tgrelid, t.tgname

-- name: checks
-- What is enforced (conenforced: PostgreSQL 18). A NOT NULL can be NOT VALID from then on, and is a constraint of its own.
-- What every row keeps is valid, and has nothing in it that may be something else today: a function of the user's own, the
-- time, or a time zone's.
SELECT k.conrelid::bigint AS table, k.conname AS name, coalesce(k.conkey::int[], '{{}}') AS columns, e.expression,
       k.convalidated AND e.expression !~* '\m(now|current_\w+|localtime\w*|\w+_timestamp|timeofday|timezone|to_char|age|random|user|session_user)\M'
       AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend AS d WHERE d.classid = 'pg_catalog.pg_constraint'::regclass AND d.objid = k.oid
                       AND d.refclassid = 'pg_catalog.pg_proc'::regclass)
       AND NOT EXISTS (SELECT FROM pg_catalog.pg_attribute AS a WHERE a.attrelid = k.conrelid AND a.attnum = ANY (k.conkey)
                       AND a.atttypid IN ('timestamptz'::regtype, 'timetz'::regtype)) AS certain
FROM pg_catalog.pg_constraint AS k
CROSS JOIN LATERAL (
    SELECT CASE k.contype WHEN 'c' THEN pg_catalog.pg_get_expr(k.conbin, k.conrelid)
           ELSE (SELECT pg_catalog.format('pg_catalog.num_nulls(%%I) = 0', a.attname) FROM pg_catalog.pg_attribute AS a
                 WHERE a.attrelid = k.conrelid AND a.attnum = k.conkey[1]) END AS expression
) AS e
WHERE (k.contype = 'c' OR (k.contype = 'n' AND NOT k.convalidated)) AND k.conrelid = ANY (%(oids)s::oid[])
  AND coalesce((pg_catalog.to_jsonb(k) ->> 'conenforced')::boolean, true)
ORDER BY k.conrelid, k.conname

-- name: computed
-- Stored columns that a function of the user's computes, which may give something else today. (The cast to the column's type
-- is not in the text.)
SELECT a.attrelid::bigint AS table, a.attname AS name,
       pg_catalog.format('pg_catalog.record_image_eq(ROW(%%I), ROW(CAST((%%s) AS %%s)))', a.attname, pg_catalog.pg_get_expr(d.adbin, d.adrelid),
                         pg_catalog.format_type(a.atttypid, a.atttypmod)) AS expression
FROM pg_catalog.pg_attribute AS a JOIN pg_catalog.pg_attrdef AS d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
WHERE a.attrelid = ANY (%(oids)s::oid[]) AND a.attgenerated = 's' AND NOT a.attisdropped
  AND EXISTS (SELECT FROM pg_catalog.pg_depend AS p WHERE p.refclassid = 'pg_catalog.pg_proc'::regclass
              AND ((p.classid = 'pg_catalog.pg_attrdef'::regclass AND p.objid = d.oid)
                   OR (p.classid = 'pg_catalog.pg_class'::regclass AND p.objid = a.attrelid AND p.objsubid = a.attnum)))
ORDER BY a.attrelid, a.attnum

-- name: needs
-- Foreign keys of these tables as conditions on a row. With a NULL in it a key refers to nothing; under MATCH FULL it may
-- have NULLs alone. (That a row lacks it is not written as NOT of the other: the planner makes an anti join of this alone.)
SELECT k.conrelid::bigint AS table, k.conname AS name, k.conkey::int[] AS columns, k.convalidated AS certain,
       pg_catalog.format('%%s OR EXISTS (%%s)', c.nothing, e.parent) AS expression,
       pg_catalog.format('(%%s) AND NOT EXISTS (%%s)', c.something, e.parent) AS lacking
FROM pg_catalog.pg_constraint AS k
JOIN pg_catalog.pg_class AS p ON p.oid = k.confrelid JOIN pg_catalog.pg_namespace AS n ON n.oid = p.relnamespace
CROSS JOIN LATERAL (
    SELECT pg_catalog.string_agg(pg_catalog.format('"~image".%%I IS NULL', a.attname), CASE k.confmatchtype WHEN 'f' THEN ' AND ' ELSE ' OR ' END ORDER BY a.attnum) AS nothing,
           pg_catalog.string_agg(pg_catalog.format('"~image".%%I IS NOT NULL', a.attname), CASE k.confmatchtype WHEN 'f' THEN ' OR ' ELSE ' AND ' END ORDER BY a.attnum) AS something
    FROM pg_catalog.pg_attribute AS a WHERE a.attrelid = k.conrelid AND a.attnum = ANY (k.conkey)
) AS c
CROSS JOIN LATERAL (
    SELECT pg_catalog.format('SELECT FROM %%I.%%I AS "~parent" WHERE ', n.nspname, p.relname)
           || pg_catalog.string_agg(pg_catalog.format('"~parent".%%I OPERATOR(%%I.%%s) "~image".%%I', pa.attname, os.nspname, o.oprname, ca.attname)
              || CASE WHEN pa.attcollation <> ca.attcollation AND 0 NOT IN (pa.attcollation, ca.attcollation)
                      THEN pg_catalog.format(' COLLATE %%I.%%I', ls.nspname, l.collname) ELSE '' END, ' AND ') AS parent
    FROM ROWS FROM (pg_catalog.unnest(k.confkey), pg_catalog.unnest(k.conkey), pg_catalog.unnest(k.conpfeqop)) AS u(parent, child, op)
    JOIN pg_catalog.pg_operator AS o ON o.oid = u.op JOIN pg_catalog.pg_namespace AS os ON os.oid = o.oprnamespace
    JOIN pg_catalog.pg_attribute AS pa ON pa.attrelid = k.confrelid AND pa.attnum = u.parent
    JOIN pg_catalog.pg_attribute AS ca ON ca.attrelid = k.conrelid AND ca.attnum = u.child
    LEFT JOIN pg_catalog.pg_collation AS l ON l.oid = pa.attcollation LEFT JOIN pg_catalog.pg_namespace AS ls ON ls.oid = l.collnamespace
) AS e
WHERE k.contype = 'f' AND k.conparentid = 0 AND k.conrelid = ANY (%(oids)s::oid[])
  AND EXISTS (SELECT FROM pg_catalog.pg_trigger AS t WHERE t.tgconstraint = k.oid AND t.tgrelid = k.conrelid AND t.tgenabled IN ('O', 'A'))
  AND pg_catalog.has_schema_privilege(n.oid, 'USAGE') AND pg_catalog.has_table_privilege(p.oid, 'SELECT') AND NOT pg_catalog.row_security_active(p.oid)
ORDER BY k.oid

-- name: unseen
-- Foreign keys that are NOT VALID, and lead to where this role cannot look.
SELECT k.conrelid::bigint AS table, k.conname AS name, n.nspname || '.' || p.relname AS parent
FROM pg_catalog.pg_constraint AS k
JOIN pg_catalog.pg_class AS p ON p.oid = k.confrelid JOIN pg_catalog.pg_namespace AS n ON n.oid = p.relnamespace
WHERE k.contype = 'f' AND k.conparentid = 0 AND NOT k.convalidated AND k.conrelid = ANY (%(oids)s::oid[])
  AND EXISTS (SELECT FROM pg_catalog.pg_trigger AS t WHERE t.tgconstraint = k.oid AND t.tgrelid = k.conrelid AND t.tgenabled IN ('O', 'A'))
  AND NOT (pg_catalog.has_schema_privilege(n.oid, 'USAGE') AND pg_catalog.has_table_privilege(p.oid, 'SELECT') AND NOT pg_catalog.row_security_active(p.oid))
ORDER BY k.oid

-- name: named_columns
-- Columns whose type is that of a single-column primary key, or an array of it; their names are judged in code.
SELECT a.attrelid::bigint AS table, n.nspname AS schema, c.relname AS name, a.attname AS column,
       pg_catalog.format_type(CASE WHEN t.typtype = 'd' THEN t.typbasetype ELSE t.oid END, -1) AS type,
       (SELECT t2.attname FROM pg_catalog.pg_attribute AS t2 WHERE t2.attrelid = a.attrelid AND t2.attnum > 0 AND NOT t2.attisdropped
          AND t2.attname = pg_catalog.regexp_replace(a.attname, '(_id|Id)$', CASE WHEN a.attname ~ 'Id$' THEN 'Type' ELSE '_type' END)
          AND t2.attname <> a.attname) AS type_column,
       coalesce((SELECT pg_catalog.array_agg(k.confrelid::bigint) FROM pg_catalog.pg_constraint AS k
                 WHERE k.contype = 'f' AND k.conrelid = a.attrelid AND a.attnum = ANY (k.conkey)), '{{}}') AS parents,
       pg_catalog.has_table_privilege(c.oid, 'SELECT') AND pg_catalog.has_schema_privilege(n.oid, 'USAGE') AS readable
FROM pg_catalog.pg_attribute AS a
JOIN pg_catalog.pg_class AS c ON c.oid = a.attrelid
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_type AS t ON t.oid = a.atttypid
WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND c.relpersistence <> 't'
  AND n.nspname !~ '^pg_' AND n.nspname NOT IN ('information_schema', %(private_schema)s)
  AND a.attnum > 0 AND NOT a.attisdropped AND a.attname ~* 'ids?$|uuids?$'
ORDER BY n.nspname, c.relname, a.attnum

-- name: constraint_named
-- What has the constraint's name already: a relation of the table's schema, or a constraint of the table itself.
SELECT pg_catalog.format('the %%s "%%s.%%s"', CASE c.relkind WHEN 'i' THEN 'index' WHEN 'I' THEN 'index' WHEN 'S' THEN 'sequence'
           WHEN 'v' THEN 'view' WHEN 'm' THEN 'materialized view' WHEN 'c' THEN 'type' ELSE 'table' END, n.nspname, c.relname) AS kind
FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE n.nspname = %(schema)s AND c.relname = %(name)s
UNION ALL
SELECT pg_catalog.format('a %%s constraint of "%%s.%%s"',
           CASE k.contype WHEN 'c' THEN 'check' WHEN 'f' THEN 'foreign key' WHEN 'n' THEN 'not null' ELSE 'trigger' END, n.nspname, c.relname)
FROM pg_catalog.pg_constraint AS k JOIN pg_catalog.pg_class AS c ON c.oid = k.conrelid
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE n.nspname = %(schema)s AND c.relname = %(table)s AND k.conname = %(name)s AND k.contype NOT IN ('p', 'u', 'x')

-- name: fingerprint
-- Whatever a merge relies on, the tables' names too. A difference means that the plan no longer fits and must be made anew.
-- The tables are constants: a statement without parameters is planned once and not for every batch.
SELECT pg_catalog.md5(pg_catalog.concat_ws('|',
    (SELECT pg_catalog.string_agg(pg_catalog.concat_ws(',', c.oid, n.nspname, c.relname, c.relkind), ';' ORDER BY c.oid)
     FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace WHERE c.oid = ANY ({oids})),
    (SELECT pg_catalog.string_agg(pg_catalog.concat_ws(',', k.oid, k.conrelid, k.confrelid, k.conkey, k.confkey, k.confdeltype, k.confupdtype), ';' ORDER BY k.oid)
     FROM pg_catalog.pg_constraint AS k WHERE (k.contype = 'f' AND k.confrelid = ANY ({oids})) OR (k.contype IN ('c', 'x', 'u', 'f', 'n') AND k.conrelid = ANY ({oids}))),
    (SELECT pg_catalog.string_agg(pg_catalog.concat_ws(',', i.indexrelid, i.indkey, i.indisready), ';' ORDER BY i.indexrelid)
     FROM pg_catalog.pg_index AS i WHERE i.indrelid = ANY ({oids}) AND i.indisunique),
    (SELECT pg_catalog.string_agg(pg_catalog.concat_ws(',', t.oid, t.tgfoid, t.tgtype, t.tgenabled), ';' ORDER BY t.oid)
     FROM pg_catalog.pg_trigger AS t WHERE t.tgrelid = ANY ({oids}) AND NOT t.tgisinternal AND t.tgname !~ '^(00_|zz_)?contacts_schema_'),
    (SELECT pg_catalog.string_agg(pg_catalog.concat_ws(',', a.attrelid, a.attnum, a.attname, a.atttypid, a.atttypmod, a.attgenerated, a.attisdropped), ';' ORDER BY a.attrelid, a.attnum)
     FROM pg_catalog.pg_attribute AS a WHERE a.attrelid = ANY ({oids}) AND a.attnum > 0))) AS fingerprint
