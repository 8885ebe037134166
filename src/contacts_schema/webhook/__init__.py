"""The application's side: a contact for a phone number, in every phase of an upgrade and of its way back.

Needs a database driver and nothing else; Alembic is not imported.

>>> contact = find_or_create(connection, workspace_id, "+15550001", name="Ann")
>>> contact.id, contact.created
"""

from contacts_schema.webhook.contacts import Contacts
from contacts_schema.webhook.duplicates import is_duplicate
from contacts_schema.webhook.steps import Contact

__all__ = ["Contact", "Contacts", "find_or_create", "is_duplicate", "resolve"]

_contacts = Contacts()

find_or_create = _contacts.find_or_create
resolve = _contacts.resolve
