"""What `alembic check` holds the database against: a contacts table with the constraint, and nothing else."""

from typing import Any

from sqlalchemy import Column, MetaData, Table, UniqueConstraint
from sqlalchemy.schema import SchemaItem
from sqlalchemy.types import NullType

from contacts_schema.settings import Settings


def expected(settings: Settings) -> dict[str, Any]:
    """Return arguments for `context.configure` that let Alembic see a missing constraint and nothing else.

    An index by the constraint's name that no constraint has, valid or not, is no constraint.
    """
    metadata = MetaData()
    columns = [Column(name, NullType()) for name in settings.columns]
    Table(settings.table, metadata, *columns, UniqueConstraint(*settings.columns, name=settings.constraint))

    def ours(_: SchemaItem, name: str | None, kind: str, *__: object) -> bool:
        return name == (settings.table if kind == "table" else settings.constraint)

    return {"target_metadata": metadata, "include_object": ours}
