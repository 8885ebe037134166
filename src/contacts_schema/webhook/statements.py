"""The SQL of the application's side, for a table of any name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from contacts_schema.webhook.contacts import Contacts

__all__ = ["Statement", "Statements", "plain"]

# So many keys can be held at once by one transaction: a bulk load must not fill the server's lock table.
SLOTS: Final = 2048
_GUARD: Final = "contacts_schema_guard_insert"
_POLITE: Final = 64
_HELD: Final = "contacts_schema.webhook_held"


@dataclass(frozen=True, kw_only=True)
class Statement:
    """SQL with `%(name)s` for a value and `%%` for a percent sign, and the values by name."""

    text: str
    values: Mapping[str, Any]


def plain(text: str) -> Statement:
    """Return a statement without values."""
    return Statement(text=text, values={})


def _quoted(*names: str) -> str:
    return _bare(*names).replace("%", "%%")


def _named(*names: str) -> str:
    """The name of a table or index as a string constant."""
    return "'{}'".format(_bare(*names).replace("'", "''").replace("%", "%%"))


def _bare(*names: str) -> str:
    return ".".join('"{}"'.format(name.replace('"', '""')) for name in names)


class Statements:
    """The statements for one table and one key of it."""

    def __init__(self, names: Contacts) -> None:
        self.names = names
        self.table = _quoted(names.schema, names.table)
        self._regclass = f"CAST({_named(names.schema, names.table)} AS regclass)"
        self.id = _quoted(names.id_column)
        self.workspace = _quoted(names.workspace_column)
        self.phone = _quoted(names.phone_column)

    @cached_property
    def _order(self) -> str:
        order = (self.names.survivor_order or "").strip().replace("%", "%%")
        return f"{order}, {self.id}" if order else self.id

    @cached_property
    def _found(self) -> str:
        key = f"{self.workspace} = %(workspace)s AND {self.phone} = %(phone)s"
        return f"SELECT {self.id} FROM {self.table} WHERE {key} ORDER BY {self._order} LIMIT 1"

    def find(self, workspace_id: Any, phone: str) -> Statement:
        """The contact's id, or no row."""
        return Statement(text=self._found, values={"workspace": workspace_id, "phone": phone})

    @cached_property
    def _constrained(self) -> str:
        """Whether the constraint is there, and will be until our transaction has ended.

        It is asked for twice: in the catalog as the snapshot shows it, and as it is now. Whoever drops it waits for all
        who have looked into the table. An index alone may be on its way in or out, and not check what others wrote.
        """
        index = _named(self.names.schema, self.names.constraint_name)
        return f"""EXISTS (
       SELECT FROM pg_catalog.pg_index AS i JOIN pg_catalog.pg_constraint AS c ON c.conindid = i.indexrelid
       WHERE i.indrelid = {self._regclass} AND i.indisunique AND i.indisvalid AND i.indisready AND c.contype IN ('u', 'p')
       AND i.indexrelid = pg_catalog.to_regclass({index}))"""

    @cached_property
    def _guarded(self) -> str:
        """Whether the guard is there and fires. As long as nobody disables it, it sees what a snapshot does not."""
        return f"""EXISTS (
       SELECT FROM pg_catalog.pg_trigger WHERE tgrelid = {self._regclass}
       AND tgname = '{_GUARD}' AND pg_catalog.pg_get_triggerdef(oid) IS NOT NULL
       AND (tgenabled = 'A' OR tgenabled = 'O' AND pg_catalog.current_setting('session_replication_role') <> 'replica'))"""

    def hold(self, workspace_id: Any, phone: str) -> Statement:
        """Wait for others that are creating this contact, and make them wait until the transaction's end.

        Without the constraint this alone is relied on, for one of so many slots. With it, it keeps numbers of the id's
        sequence from being burned, for the key itself, so that it adds no deadlock, and for the first few only.
        The key is hashed by the columns' own types, so that equal values meet however they are written.
        """
        lock = f"contacts_schema.webhook {self.names.schema}.{self.names.table}"
        held = f"CAST(coalesce(nullif(pg_catalog.current_setting('{_HELD}', true), ''), '0') AS integer)"
        text = f"""
SELECT CASE
    WHEN NOT {self._constrained} THEN pg_catalog.pg_advisory_xact_lock(
        pg_catalog.hashtext(%(lock)s), CAST(pg_catalog.hash_record_extended(key, 0) & {SLOTS - 1} AS integer)) IS NULL
    WHEN {held} < {_POLITE} THEN pg_catalog.concat(
        pg_catalog.set_config('{_HELD}', CAST({held} + 1 AS text), true),
        pg_catalog.pg_advisory_xact_lock(pg_catalog.hash_record_extended(key, pg_catalog.hashtext(%(lock)s)))) IS NULL
    END
FROM (SELECT {self.workspace}, {self.phone} FROM {self.table} WHERE false
      UNION ALL SELECT %(workspace)s, %(phone)s) AS key"""
        return Statement(text=text, values={"lock": lock, "workspace": workspace_id, "phone": phone})

    def insert(self, workspace_id: Any, phone: str | None, attributes: Mapping[str, Any]) -> Statement:
        """Give the new contact's id, the transaction that wrote it, and its isolation level."""
        values = [workspace_id, phone, *attributes.values()]
        columns = [self.workspace, self.phone, *(_quoted(name) for name in attributes)]
        places = (f"%(value{number})s" for number in range(len(values)))
        text = f"""
INSERT INTO {self.table} ({", ".join(columns)}) VALUES ({", ".join(places)})
RETURNING {self.id}, CAST(CAST(xmin AS text) AS bigint), pg_catalog.current_setting('transaction_isolation')"""
        return Statement(text=text, values={f"value{number}": value for number, value in enumerate(values)})

    def isolation(self) -> Statement:
        """The transaction's isolation level."""
        return plain("SELECT pg_catalog.current_setting('transaction_isolation')")

    def unsure(self, transaction: int) -> Statement:
        """Whether `transaction`'s snapshot may have missed a contact that nothing but our lock would have kept out.

        True where somebody has committed between the snapshot and the transaction number of our row, unless the
        constraint or the guard were there, which see what a snapshot does not.
        """
        text = f"""
WITH snapshot AS (
    SELECT CAST(CAST(pg_catalog.pg_snapshot_xmax(pg_catalog.pg_current_snapshot()) AS text) AS bigint) AS next
), passed AS (
    SELECT next, next + ((%(transaction)s - next) & 4294967295) AS own FROM snapshot
), others AS (
    SELECT pg_catalog.pg_snapshot_xip(pg_catalog.pg_current_snapshot()) AS xid
  UNION ALL
    SELECT CAST(CAST(n AS text) AS xid8) FROM passed, pg_catalog.generate_series(next, least(own, next + 10000) - 1) AS n
)
SELECT (EXISTS (SELECT FROM others WHERE pg_catalog.pg_xact_status(xid) = 'committed')
        OR EXISTS (SELECT FROM passed WHERE own > next + 10000))
   AND NOT ({self._constrained} OR {self._guarded})"""
        return Statement(text=text, values={"transaction": transaction})

    def exists(self, contact_id: Any) -> Statement:
        """One row where the contact is there."""
        return Statement(text=f"SELECT {self.id} FROM {self.table} WHERE {self.id} = %(id)s", values={"id": contact_id})

    def archive_is_ours(self) -> Statement:
        """Whether the role may read the archive; no row where there is none."""
        text = """
SELECT pg_catalog.pg_has_role(c.relowner, 'USAGE')
FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE n.nspname = %(schema)s AND c.relname = 'relation'"""
        return Statement(text=text, values={"schema": self.names.private_schema})

    def archives(self) -> Statement:
        """Name, id column and its number in each archive: known by the table's oid, after a dump by its name."""
        text = f"""
SELECT name, key_names[1], keys[1] FROM {_quoted(self.names.private_schema, "relation")}
WHERE kind = 'archive' AND cardinality(keys) = 1 AND (source = {self._regclass}
   OR source_schema = %(schema)s AND source_name = %(table)s) ORDER BY id"""
        return Statement(text=text, values={"schema": self.names.schema, "table": self.names.table})

    def follow(self, archives: Iterable[tuple[str, str, int]], contact_id: Any) -> Statement:
        """The survivor of today, over as many merges as there were; no row where nobody knows the contact."""
        merged = " UNION ALL ".join(
            f"SELECT {_quoted(key)} AS id, {_quoted(f'~into{number}')} AS went"
            f" FROM {_quoted(self.names.private_schema, name)}"
            for name, key, number in archives
        )
        text = f"""
WITH RECURSIVE merged AS ({merged}), went AS (
    SELECT went FROM merged WHERE id = %(id)s UNION SELECT merged.went FROM went JOIN merged ON merged.id = went.went)
SELECT {self.id} FROM {self.table} WHERE {self.id} IN (SELECT went FROM went) LIMIT 1"""
        return Statement(text=text, values={"id": contact_id})
