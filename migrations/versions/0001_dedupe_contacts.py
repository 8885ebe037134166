"""Merge duplicate contacts, one left per workspace and phone."""

# mypy: disable-error-code=attr-defined
# (these directives come from the plugin, which type stubs of Alembic do not know)

from alembic import op

revision = "dedupe_contacts"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.merge_duplicates()


def downgrade() -> None:
    op.restore_duplicates()
