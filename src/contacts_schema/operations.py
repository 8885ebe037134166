"""The directives that the plugin adds to Alembic's `op`. Light: every `alembic` command imports this."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from alembic.operations import MigrateOperation, Operations

if TYPE_CHECKING:
    from contacts_schema.report import Report
    from contacts_schema.settings_arguments import Arguments


class OnlineOperation(MigrateOperation):
    """One of the directives with its arguments. What is None comes from the settings."""

    directive: ClassVar[str]
    inverse: ClassVar[type[OnlineOperation]]

    def __init__(self, given: Arguments) -> None:
        self.given = given

    def reverse(self) -> OnlineOperation:
        """Return the operation that takes this one back."""
        return self.inverse(self.given)


@Operations.register_operation("merge_duplicates")
class MergeDuplicatesOp(OnlineOperation):
    """Merge the rows that share a key into one each, archive the others, and keep new duplicates out."""

    directive = "merge_duplicates"

    @classmethod
    def merge_duplicates(
        cls,
        operations: Operations,
        table_name: str | None = None,
        columns: Sequence[str] | None = None,
        *,
        schema: str | None = None,
        constraint_name: str | None = None,
        **options: Any,
    ) -> Report:
        """Merge duplicates. `options` are settings by name, as text or as values."""
        return run(cls, operations, _arguments(table_name, columns, schema, constraint_name, options))


@Operations.register_operation("restore_duplicates")
class RestoreDuplicatesOp(OnlineOperation):
    """Bring back the rows that `merge_duplicates` archived, and what hung on them."""

    directive = "restore_duplicates"

    @classmethod
    def restore_duplicates(
        cls,
        operations: Operations,
        table_name: str | None = None,
        columns: Sequence[str] | None = None,
        *,
        schema: str | None = None,
        constraint_name: str | None = None,
        **options: Any,
    ) -> Report:
        """Restore duplicates. `options` as in `merge_duplicates`."""
        return run(cls, operations, _arguments(table_name, columns, schema, constraint_name, options))


@Operations.register_operation("create_unique_constraint_online")
class CreateUniqueConstraintOnlineOp(OnlineOperation):
    """Put the unique constraint in place while writers go on; merges what is left first."""

    directive = "create_unique_constraint_online"

    @classmethod
    def create_unique_constraint_online(
        cls,
        operations: Operations,
        constraint_name: str | None = None,
        table_name: str | None = None,
        columns: Sequence[str] | None = None,
        *,
        schema: str | None = None,
        **options: Any,
    ) -> Report:
        """Create the constraint. `options` as in `merge_duplicates`."""
        return run(cls, operations, _arguments(table_name, columns, schema, constraint_name, options))


@Operations.register_operation("drop_unique_constraint_online")
class DropUniqueConstraintOnlineOp(OnlineOperation):
    """Drop the unique constraint, or what an upgrade that died left of it."""

    directive = "drop_unique_constraint_online"

    @classmethod
    def drop_unique_constraint_online(
        cls,
        operations: Operations,
        constraint_name: str | None = None,
        table_name: str | None = None,
        columns: Sequence[str] | None = None,
        *,
        schema: str | None = None,
        **options: Any,
    ) -> Report:
        """Drop the constraint. `options` as in `merge_duplicates`."""
        return run(cls, operations, _arguments(table_name, columns, schema, constraint_name, options))


MergeDuplicatesOp.inverse, RestoreDuplicatesOp.inverse = RestoreDuplicatesOp, MergeDuplicatesOp
CreateUniqueConstraintOnlineOp.inverse = DropUniqueConstraintOnlineOp
DropUniqueConstraintOnlineOp.inverse = CreateUniqueConstraintOnlineOp


@Operations.implementation_for(MergeDuplicatesOp)
@Operations.implementation_for(RestoreDuplicatesOp)
@Operations.implementation_for(CreateUniqueConstraintOnlineOp)
@Operations.implementation_for(DropUniqueConstraintOnlineOp)
def perform(operations: Operations, operation: OnlineOperation) -> Report:
    """Do what the operation says. Raises ContactsSchemaError."""
    # Imported here: psycopg, rich and the engine are no business of a project's `alembic history`.
    from contacts_schema import running

    return running.run(operations.migration_context, operation.directive, operation.given)


def _arguments(*given: Any) -> Arguments:
    # Imported here: our errors are Alembic's, which is not whole yet when it imports this.
    from contacts_schema.settings_arguments import arguments

    return arguments(*given)


def run(kind: type[OnlineOperation], operations: Operations, given: Arguments) -> Report:
    """Hand an operation to Alembic, which finds `perform` for it."""
    report: Report = operations.invoke(kind(given))
    return report
