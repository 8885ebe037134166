import pytest

from contacts_schema.remains import Remains
from contacts_schema.settings import Settings

HERE = {"private_schema": "contacts_schema", "schema": "public", "table": "contacts"}


@pytest.mark.parametrize(
    ("found", "said"),
    [
        ({"standing": True}, "that has not ended is here: go on with `alembic upgrade head`, or `alembic stamp head` and"),
        ({"standing": True, "guarded": True}, "is here: new duplicates are rejected; go on with `alembic upgrade head`"),
        ({"constraint": "unique_phone_workspace"}, "is not undone: `alembic stamp head` and `alembic downgrade base` take"),
        ({"constraint": "one_email"}, 'is not undone, under "one_email": downgrade in the Alembic project of that upgrade'),
    ],
)
def test_what_is_more_than_rows_in_the_archive_is_told_with_the_way_on(found, said):
    there = Remains(**HERE, **found)
    assert there.dangerous
    assert said in there.told(Settings())


def test_rows_in_the_archive_alone_are_no_danger():
    there = Remains(**HERE)
    assert not there.dangerous
    assert there.told(Settings()).startswith('rows of "public.contacts" stay in the archive in "contacts_schema"; ')


def test_options_are_what_is_neither_the_default_nor_given():
    there = Remains(
        private_schema="mine", schema="crm", table="contacts", columns=("team", "phone"), standing=True, guarded=True
    )
    told = there.told(Settings(schema="crm", table="people", columns=("team", "phone")))
    assert "`alembic -x schema=crm -x table=contacts -x workspace_column=team -x private_schema=mine upgrade head`" in told


def test_a_key_of_a_projects_own_is_no_option():
    told = Remains(**HERE, columns=("a", "b", "c"), standing=True).told(Settings())
    assert "-x" not in told
