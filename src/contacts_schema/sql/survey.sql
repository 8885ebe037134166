-- name: blanks
SELECT count(*) AS rows FROM {table} WHERE {blank}

-- name: unblanked
-- Rows that a CHECK would not take once their blank phone is NULL.
SELECT count(*) AS rows FROM (SELECT {columns} FROM {table} WHERE {blank}) AS {name} WHERE NOT {kept}

-- name: polymorphic
-- Whether a type column names the table whose rows are merged. Reads until it finds one.
SELECT EXISTS (SELECT FROM {table} WHERE pg_catalog.lower({column}::text) = ANY (%(names)s::text[])) AS found

-- name: hashable
-- The guard hashes keys with the types' own hash functions; a type without one says so here.
SELECT pg_catalog.hash_record_extended(ROW({columns}), 0) FROM {table} LIMIT 1

-- name: plan_order
-- Planned, not run: whether the user's ORDER BY list means anything here.
-- In an aggregate, which takes no set-returning function and no other aggregate.
EXPLAIN SELECT pg_catalog.count({name}.ctid ORDER BY {text}, {name}.ctid) FROM {table} AS {name}

-- name: plan_condition
EXPLAIN SELECT FROM {table} AS {name} WHERE ({text})

-- name: ask_condition
-- Run, not only planned: a condition may fail on a value.
SELECT count(*) FROM {table} AS {name} WHERE ({text})
