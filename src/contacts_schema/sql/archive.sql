-- name: create_schema
CREATE SCHEMA IF NOT EXISTS {schema}

-- name: create_run
-- One row for each upgrade that merged something.
CREATE TABLE IF NOT EXISTS {schema}.run (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    source oid NOT NULL, source_schema text NOT NULL, source_name text NOT NULL,
    started_at timestamptz NOT NULL DEFAULT now(), settings jsonb NOT NULL)

-- name: create_batch
CREATE TABLE IF NOT EXISTS {schema}.batch (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    run bigint NOT NULL REFERENCES {schema}.run, at timestamptz NOT NULL DEFAULT now())

-- name: create_relation
-- One row for each archive or journal table. Columns are remembered by attribute number: renames do not matter.
CREATE TABLE IF NOT EXISTS {schema}.relation (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind text NOT NULL CHECK (kind IN ('archive', 'journal')),
    name text NOT NULL UNIQUE, source oid NOT NULL, source_schema text NOT NULL, source_name text NOT NULL,
    numbers int[] NOT NULL, names text[] NOT NULL, keys int[] NOT NULL, key_names text[] NOT NULL, moving int[] NOT NULL,
    shape text NOT NULL, UNIQUE (kind, source, shape))

-- name: create_op
-- What was done, in the order it was done; the way back goes through it backwards.
CREATE TABLE IF NOT EXISTS {schema}.op (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    batch bigint NOT NULL REFERENCES {schema}.batch ON DELETE CASCADE,
    kind text NOT NULL CHECK (kind IN ('move', 'archive', 'fill', 'blank')),
    relations bigint[] NOT NULL)

-- name: index_op
CREATE INDEX IF NOT EXISTS op_batch ON {schema}.op (batch)

-- name: exists
SELECT pg_catalog.to_regclass(%(op)s) IS NOT NULL AS present

-- name: describe_schema
COMMENT ON SCHEMA {schema} IS 'contacts_schema: rows that merging removed, and what it changed in rows that stayed. Dropping it ends the way back.'

-- name: archives
-- Other schemas that were made for this purpose, as their comment says.
SELECT n.nspname::text FROM pg_catalog.pg_namespace AS n
WHERE pg_catalog.starts_with(pg_catalog.obj_description(n.oid, 'pg_namespace'), 'contacts_schema: ')
  AND n.nspname <> %(schema)s AND pg_catalog.pg_has_role(n.nspowner, 'USAGE')
  AND pg_catalog.to_regclass(pg_catalog.format('%%I.run', n.nspname)) IS NOT NULL
ORDER BY 1

-- name: has_runs
SELECT 1 FROM {schema}.run WHERE source = %(source)s LIMIT 1

-- name: sources
SELECT DISTINCT source::bigint, source_schema, source_name FROM {schema}.run

-- name: secure
ALTER TABLE {table} ENABLE ROW LEVEL SECURITY

-- name: insecure
SELECT c.relname AS name FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE n.nspname = %(schema)s AND c.relkind = 'r' AND NOT c.relrowsecurity ORDER BY c.relname

-- name: close
-- Take away whatever everybody but the owner was given on a relation, a sequence, a function or the schema, by default
-- privileges too.
DO $close$
DECLARE
    "~grant" record;
BEGIN
    FOR "~grant" IN
        SELECT DISTINCT g.thing, CASE WHEN a.grantee = 0 THEN 'PUBLIC' ELSE pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(a.grantee)) END AS grantee
        FROM (
            SELECT pg_catalog.format(CASE c.relkind WHEN 'S' THEN 'SEQUENCE %%I.%%I' ELSE 'TABLE %%I.%%I' END, n.nspname, c.relname) AS thing,
                   coalesce(c.relacl, pg_catalog.acldefault(CASE c.relkind WHEN 'S' THEN 's' ELSE 'r' END::"char", c.relowner)) AS acl, c.relowner AS owner
            FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
            WHERE n.nspname = {schema} AND c.relkind IN ('r', 'S')
          UNION ALL
            SELECT 'FUNCTION ' || p.oid::pg_catalog.regprocedure::text, coalesce(p.proacl, pg_catalog.acldefault('f', p.proowner)), p.proowner
            FROM pg_catalog.pg_proc AS p JOIN pg_catalog.pg_namespace AS n ON n.oid = p.pronamespace WHERE n.nspname = {schema}
          UNION ALL
            SELECT pg_catalog.format('SCHEMA %%I', n.nspname), coalesce(n.nspacl, pg_catalog.acldefault('n', n.nspowner)), n.nspowner
            FROM pg_catalog.pg_namespace AS n WHERE n.nspname = {schema}
        ) AS g CROSS JOIN LATERAL pg_catalog.aclexplode(g.acl) AS a
        WHERE a.grantee <> g.owner
    LOOP
        EXECUTE pg_catalog.format('REVOKE ALL ON %%s FROM %%s', "~grant".thing, "~grant".grantee);
    END LOOP;
END $close$

-- name: find_relation
SELECT id, name FROM {schema}.relation WHERE kind = %(kind)s AND source = %(source)s AND shape = %(shape)s

-- name: add_relation
INSERT INTO {schema}.relation (kind, name, source, source_schema, source_name, numbers, names, keys, key_names, moving, shape)
VALUES (%(kind)s, %(name)s, %(source)s, %(source_schema)s, %(source_name)s, %(numbers)s, %(names)s, %(keys)s, %(key_names)s, %(moving)s, %(shape)s)
RETURNING id

-- name: next_relation
SELECT coalesce(max(id), 0) + 1 AS id FROM {schema}.relation

-- name: create_table
-- Typed as the source is, so that every value comes back bit for bit.
CREATE TABLE {table} AS SELECT {columns} FROM {source} WITH NO DATA

-- name: add_identity
ALTER TABLE {table} ADD COLUMN "~id" bigint GENERATED ALWAYS AS IDENTITY, ADD PRIMARY KEY ("~op", "~id")

-- name: index_table
CREATE INDEX ON {table} ({columns})

-- name: add_run
INSERT INTO {schema}.run (source, source_schema, source_name, settings)
VALUES (%(source)s, %(source_schema)s, %(source_name)s, %(settings)s) RETURNING id

-- name: add_batch
WITH "~batch" AS (INSERT INTO {schema}.batch (run) VALUES (%(run)s) RETURNING id)
INSERT INTO {schema}.op (batch, kind, relations)
SELECT "~batch".id, kind, pg_catalog.string_to_array(relations, ',')::bigint[]
FROM "~batch", ROWS FROM (pg_catalog.unnest(%(kinds)s::text[]), pg_catalog.unnest(%(relations)s::text[])) WITH ORDINALITY AS u(kind, relations, n)
ORDER BY n RETURNING id
