"""Put the unique constraint on workspace and phone in place."""

# mypy: disable-error-code=attr-defined
# (these directives come from the plugin, which type stubs of Alembic do not know)

from alembic import op

revision = "unique_phone_workspace"
down_revision = "dedupe_contacts"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_unique_constraint_online()


def downgrade() -> None:
    op.drop_unique_constraint_online()
