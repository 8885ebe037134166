-- name: state
-- Everything that decides the next step, by name: is the index there, does it enforce, is somebody building it.
SELECT i.indisvalid AS valid, i.indisready AS ready,
       EXISTS (SELECT FROM pg_catalog.pg_constraint AS k WHERE k.conindid = i.indexrelid AND k.contype = 'u') AS attached,
       EXISTS (SELECT FROM pg_catalog.pg_stat_progress_create_index AS p
               WHERE p.index_relid = i.indexrelid AND p.datname = pg_catalog.current_database()) AS building
FROM pg_catalog.pg_index AS i JOIN pg_catalog.pg_class AS c ON c.oid = i.indexrelid
WHERE i.indrelid = %(table)s AND c.relname = %(name)s

-- name: create_unique_index
-- Lock: SHARE UPDATE EXCLUSIVE, which no writer notices. Named as the constraint, so that an error names the constraint.
CREATE UNIQUE INDEX CONCURRENTLY {name} ON {table} ({columns})

-- name: create_lookup_index
-- Lock: SHARE UPDATE EXCLUSIVE. Not unique: it cannot fail on duplicates.
CREATE INDEX CONCURRENTLY {name} ON {table} ({columns})

-- name: drop_index
-- Lock: SHARE UPDATE EXCLUSIVE, then a wait for those who still read through it.
DROP INDEX CONCURRENTLY IF EXISTS {index}

-- name: add_constraint
-- Lock: ACCESS EXCLUSIVE, for a catalog change of milliseconds: the index is there already.
ALTER TABLE {table} ADD CONSTRAINT {name} UNIQUE USING INDEX {name}

-- name: drop_constraint
-- Lock: ACCESS EXCLUSIVE, for the catalog change alone.
ALTER TABLE {table} DROP CONSTRAINT {name}
