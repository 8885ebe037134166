-- name: blanks
SELECT count(*) AS rows FROM {table} WHERE {blank}

-- name: polymorphic
-- Whether a type column names the table whose rows are merged. Reads until it finds one.
SELECT EXISTS (SELECT FROM {table} WHERE pg_catalog.lower({column}::text) = ANY (%(names)s::text[])) AS found

-- name: hashable
-- The guard hashes keys with the types' own hash functions; a type without one says so here.
SELECT pg_catalog.hash_record_extended(ROW({columns}), 0) FROM {table} LIMIT 1

-- name: analyze
ANALYZE {rows}

-- name: plan_order
-- Planned, not run: whether the user's ORDER BY list means anything here.
EXPLAIN SELECT {name}.ctid, row_number() OVER (PARTITION BY {name}.tableoid ORDER BY {text}, {name}.ctid) FROM {table} AS {name}

-- name: plan_condition
EXPLAIN SELECT FROM {table} AS {name} WHERE ({text})
