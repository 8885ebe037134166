"""Alembic runs this for every command that looks at the database. DATABASE_URL says which one."""

from contacts_schema.environment import migrate

migrate()
