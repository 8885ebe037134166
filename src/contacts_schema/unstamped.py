"""On a downgrade at which nothing is stamped: says what upgrades have left in this database all the same."""

import logging
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, Final

from sqlalchemy import Connection, TextClause, text

from contacts_schema.blanks import TRIGGER
from contacts_schema.errors import NothingStamped
from contacts_schema.guard import INSERT_TRIGGER, UPDATE_TRIGGER
from contacts_schema.remains import Remains
from contacts_schema.settings import Settings
from contacts_schema.stamp import REVISIONS

logger = logging.getLogger("alembic.contacts_schema")

# Those that this session may look into; by their comment, since the setting may be forgotten like the others.
_PRIVATE: Final = """
SELECT n.nspname, quote_ident(n.nspname) FROM pg_catalog.pg_namespace AS n
WHERE pg_catalog.starts_with(pg_catalog.obj_description(n.oid, 'pg_namespace'), 'contacts_schema: ')
  AND pg_catalog.pg_has_role(n.nspowner, 'USAGE')
  AND (SELECT count(*) FROM pg_catalog.pg_class AS c
       WHERE c.relnamespace = n.oid AND c.relname IN ('run', 'batch', 'op')
         AND pg_catalog.has_table_privilege(c.oid, 'SELECT')) = 3
ORDER BY 1
"""
# A table is known by its name, as in a restored dump, else by its oid, as after a rename. The newest run's settings.
_ARCHIVED: Final = """
SELECT DISTINCT ON (coalesce(t.nspname, r.source_schema), coalesce(t.relname, r.source_name))
       coalesce(t.nspname, r.source_schema) AS schema, coalesce(t.relname, r.source_name) AS name, r.settings,
       (SELECT k.conname FROM pg_catalog.pg_constraint AS k
        WHERE k.conrelid = t.oid AND k.contype = 'u' AND k.conname = r.settings ->> 'constraint') AS "constraint"
FROM {name}.run AS r LEFT JOIN LATERAL (
    SELECT c.oid, n.nspname, c.relname
    FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
    WHERE c.oid = r.source OR (n.nspname = r.source_schema AND c.relname = r.source_name)
    ORDER BY c.oid = r.source LIMIT 1
) AS t ON true
WHERE EXISTS (SELECT FROM {name}.batch AS b JOIN {name}.op AS o ON o.batch = b.id WHERE b.run = r.id)
ORDER BY 1, 2, r.id DESC
"""
_STANDING: Final = """
SELECT n.nspname AS schema, c.relname AS name, bool_or(s.guards) AS guarded
FROM (
    SELECT t.tgrelid AS source, t.tgname = ANY (:guards) AS guards
    FROM pg_catalog.pg_trigger AS t JOIN pg_catalog.pg_proc AS p ON p.oid = t.tgfoid
    JOIN pg_catalog.pg_namespace AS f ON f.oid = p.pronamespace
    WHERE t.tgname = ANY (:triggers) AND f.nspname = :private
  UNION ALL
    SELECT x.indrelid, false FROM pg_catalog.pg_index AS x JOIN pg_catalog.pg_class AS i ON i.oid = x.indexrelid
    WHERE i.relname = 'contacts_schema_lookup_' || x.indrelid
) AS s JOIN pg_catalog.pg_class AS c ON c.oid = s.source JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
GROUP BY 1, 2
"""
_VERSION_TABLE: Final = """
SELECT pg_catalog.format('%I.%I', n.nspname, c.relname)
FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE n.nspname = :schema AND c.relname = 'alembic_version' AND c.relkind = 'r'
  AND pg_catalog.has_schema_privilege(n.oid, 'USAGE') AND pg_catalog.has_table_privilege(c.oid, 'SELECT')
"""
_STAMPED: Final = "SELECT EXISTS (SELECT FROM {name} WHERE version_num = ANY (:ours))"


def refuse_unstamped(connection: Connection, settings: Settings) -> None:
    """Raise NothingStamped where an upgrade has left more than rows in the archive; those are told and no error."""
    left = find(connection)
    dangerous = [there.told(settings) for there in left if there.dangerous]
    if dangerous:
        raise NothingStamped(dangerous)
    for there in left:
        logger.warning("nothing is stamped here; %s", there.told(settings))


def find(connection: Connection) -> list[Remains]:
    """Return what is there of upgrades, by private schema and table. Changes nothing."""
    return [
        there
        for private, private_quoted in connection.execute(text(_PRIVATE)).all()
        for there in _in_schema(connection, private, private_quoted)
    ]


def _in_schema(connection: Connection, private: str, private_quoted: str) -> Iterable[Remains]:
    found: dict[tuple[str, str], Remains] = {}
    for row in connection.execute(_with_name(_ARCHIVED, private_quoted)).mappings():
        found[row["schema"], row["name"]] = Remains(
            private_schema=private,
            schema=row["schema"],
            table=row["name"],
            columns=_columns(row["settings"]),
            stamped=_stamped(connection, row["schema"]),
            constraint=row["constraint"],
        )
    names = [INSERT_TRIGGER, UPDATE_TRIGGER]
    values = {"private": private, "guards": names, "triggers": [*names, TRIGGER]}
    for row in connection.execute(text(_STANDING), values).mappings():
        there = found.get((row["schema"], row["name"])) or Remains(
            private_schema=private,
            schema=row["schema"],
            table=row["name"],
            stamped=_stamped(connection, row["schema"]),
        )
        found[there.schema, there.table] = replace(there, standing=True, guarded=row["guarded"])
    return found.values()


def _columns(settings: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(settings.get("columns", ()))


def _stamped(connection: Connection, schema: str) -> bool:
    """Whether the version table beside that table says that a revision of ours is done."""
    table = connection.execute(text(_VERSION_TABLE), {"schema": schema}).scalar()
    if table is None:
        return False
    query = _with_name(_STAMPED, table)
    return bool(connection.execute(query, {"ours": list(REVISIONS)}).scalar_one())


def _with_name(statement: str, name: str) -> TextClause:
    """Put in a name that the server has quoted. A colon in it would look like a parameter."""
    return text(statement.format(name=name.replace(":", "\\:")))
