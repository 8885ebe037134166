"""What the API's roles see of ours, through a real PostgREST with grants as Supabase has had them."""

from __future__ import annotations

import secrets

import postgrest
import pytest

from sandbox.postgrest import npm, served
from tests.migration.observed import execute, value

pytestmark = pytest.mark.skipif(npm() is None, reason="PostgREST comes by npm, and there is none")


@pytest.fixture
def anon(postgres, crm_url):
    """A role that may use whatever anybody makes, as `anon` could under the older defaults."""
    role = f"anon_{secrets.token_hex(4)}"
    execute(postgres.url, f"CREATE ROLE {role} NOLOGIN")
    execute(
        crm_url,
        f"GRANT USAGE ON SCHEMA public TO {role}",
        f"GRANT ALL ON ALL TABLES IN SCHEMA public TO {role}",
        f"ALTER DEFAULT PRIVILEGES GRANT ALL ON TABLES TO {role}",
        f"ALTER DEFAULT PRIVILEGES GRANT ALL ON SEQUENCES TO {role}",
        f"ALTER DEFAULT PRIVILEGES GRANT ALL ON FUNCTIONS TO {role}",
        f"ALTER DEFAULT PRIVILEGES GRANT ALL ON SCHEMAS TO {role}",
    )
    yield role
    execute(crm_url, f"DROP OWNED BY {role}")
    execute(postgres.url, f"DROP ROLE {role}")


def test_who_may_ask_for_contacts_may_ask_for_nothing_of_the_archive(anon, crm_url, upgraded):
    upgraded(crm_url, "upgrade", "head")
    tables = "SELECT array_agg(relname) FROM pg_class WHERE relnamespace = 'contacts_schema'::regnamespace AND relkind = 'r'"

    with served(crm_url, anon, "public,contacts_schema") as address:
        with postgrest.SyncPostgrestClient(address) as client:
            client.from_("contacts").select("id").limit(1).execute()
        with postgrest.SyncPostgrestClient(address, schema="contacts_schema") as client:
            for table in value(crm_url, tables):
                with pytest.raises(postgrest.APIError) as refused:
                    client.from_(table).select("*").execute()
                assert refused.value.code in {"42501", "PGRST205", "42P01"}, table
                with pytest.raises(postgrest.APIError):
                    client.from_(table).insert({}).execute()
