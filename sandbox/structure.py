"""What a database is made of, beside its rows: to prove that it is left as it was found."""

from __future__ import annotations

from typing import Final

import psycopg

__all__ = ["structure"]

# Every object whose name or definition an upgrade could touch, one line each; the state of triggers included.
STRUCTURE: Final = """
    WITH theirs AS (
        SELECT oid FROM pg_namespace WHERE nspname !~ '^pg_' AND nspname <> 'information_schema'
    )
    SELECT format('schema %I, rights %s', nspname, nspacl) FROM pg_namespace WHERE nspname !~ '^pg_'
    UNION ALL
    SELECT format('relation %s, kind %s, rights %s, row security %s', oid::regclass, relkind, relacl,
        relrowsecurity OR relforcerowsecurity)
    FROM pg_class WHERE relnamespace IN (TABLE theirs)
    UNION ALL
    SELECT format('column %s.%I, %s, %s', attrelid::regclass, attname,
        format_type(atttypid, atttypmod), attnotnull)
    FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid
    WHERE relnamespace IN (TABLE theirs) AND attnum > 0 AND NOT attisdropped
    UNION ALL
    SELECT format('index %s, valid %s', pg_get_indexdef(indexrelid), indisvalid)
    FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid
    WHERE relnamespace IN (TABLE theirs)
    UNION ALL
    SELECT format('constraint %s.%I, %s', conrelid::regclass, conname, pg_get_constraintdef(oid))
    FROM pg_constraint WHERE connamespace IN (TABLE theirs)
    UNION ALL
    SELECT format('trigger %s, %s', pg_get_triggerdef(oid), tgenabled) FROM pg_trigger WHERE NOT tgisinternal
    UNION ALL
    -- The triggers that enforce foreign keys have names made of numbers.
    SELECT format('enforcing trigger of %s.%I on %s, %s', conrelid::regclass, conname,
        tgrelid::regclass, tgenabled)
    FROM pg_trigger JOIN pg_constraint ON pg_constraint.oid = tgconstraint WHERE tgisinternal
    UNION ALL
    SELECT format('function %s, rights %s', oid::regprocedure, proacl)
    FROM pg_proc WHERE pronamespace IN (TABLE theirs)
    UNION ALL
    SELECT format('policy %I on %s', polname, polrelid::regclass) FROM pg_policy
"""


def structure(url: str) -> frozenset[str]:
    """One line for each schema, relation, column, index, constraint, trigger, function and policy.

    `alembic_version` is left out: Alembic keeps it, empty, after a downgrade.
    """
    with psycopg.connect(url) as connection:
        connection.execute("SET LOCAL search_path = ''")
        lines = connection.execute(STRUCTURE)
        return frozenset(line for (line,) in lines if "alembic_version" not in line)
