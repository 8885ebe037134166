import os
import subprocess
import sys
from pathlib import Path

import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory

from contacts_schema import operations
from contacts_schema.configuration import settings_from
from contacts_schema.errors import SettingsError
from contacts_schema.settings import Settings
from contacts_schema.settings_arguments import arguments
from sandbox.alembic_command import ROOT, environment
from sandbox.alembic_here import run_here

DIRECTIVES = (
    "merge_duplicates",
    "restore_duplicates",
    "create_unique_constraint_online",
    "drop_unique_constraint_online",
)
PAIRS = (
    (operations.MergeDuplicatesOp, operations.RestoreDuplicatesOp),
    (operations.CreateUniqueConstraintOnlineOp, operations.DropUniqueConstraintOnlineOp),
)


def alembic(*command: str, **more: str) -> subprocess.CompletedProcess[str]:
    return run_here(list(command), environment("", **more))


def python(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


@pytest.mark.parametrize("first", ["alembic", "contacts_schema.plugin", "contacts_schema.operations"])
def test_whatever_is_imported_first_op_has_the_directives(first: str) -> None:
    code = f"import {first}; from alembic import op; print(all(hasattr(op, name) for name in {DIRECTIVES}))"
    assert python(code) == "True"


def test_importing_alembic_does_not_import_what_only_a_run_needs() -> None:
    code = "import alembic, sys; print({'rich', 'contacts_schema.running'} & set(sys.modules))"
    assert python(code) == "set()"


@pytest.mark.parametrize(("forth", "back"), PAIRS)
def test_each_operation_reverses_into_its_inverse(
    forth: type[operations.OnlineOperation], back: type[operations.OnlineOperation]
) -> None:
    given = arguments("people", ["org", "tel"], "crm", "uq", {})
    reverse = forth(given).reverse()
    assert (type(reverse), reverse.given) == (back, given)
    assert type(reverse.reverse()) is forth


def test_two_revisions_in_a_line() -> None:
    script = ScriptDirectory.from_config(Config(ROOT / "alembic.ini"))
    assert [revision.revision for revision in script.walk_revisions()] == [
        "unique_phone_workspace",
        "dedupe_contacts",
    ]


def test_our_own_file_leaves_every_setting_at_its_default(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("CONTACTS_SCHEMA_")]:
        monkeypatch.delenv(name)
    assert settings_from(Config(ROOT / "alembic.ini"), only_ours=True) == Settings()


def test_settings_in_a_file(tmp_path: Path) -> None:
    file = tmp_path / "alembic.ini"
    file.write_text(
        "[alembic]\n[contacts_schema]\nlock_timeout = 1s\nreferences =\n    a.b\n    c.d where e LIKE 'x%%'\n",
        encoding="utf-8",
    )
    settings = settings_from(Config(file))
    assert settings.lock_timeout == 1000
    assert [str(reference) for reference in settings.references] == ["a.b", "c.d where e LIKE 'x%'"]


@pytest.mark.parametrize("schema", ["crm", "sales"])
def test_a_setting_counts_though_the_defaults_of_the_file_name_it_too(tmp_path: Path, schema: str) -> None:
    file = tmp_path / "alembic.ini"
    file.write_text(
        f"[DEFAULT]\nschema = crm\nzone = x\n[alembic]\n[contacts_schema]\nschema = {schema}\n", encoding="utf-8"
    )
    assert settings_from(Config(file)).schema == schema


def test_a_single_percent_sign_in_a_file(tmp_path: Path) -> None:
    file = tmp_path / "alembic.ini"
    file.write_text("[alembic]\n[contacts_schema]\nsurvivor_order = id % 2\n", encoding="utf-8")
    with pytest.raises(SettingsError) as error:
        settings_from(Config(file))
    assert str(error.value) == 'survivor_order (from alembic.ini) holds a single "%"; write it as "%%"'


@pytest.mark.parametrize("command", [["heads"], ["--help"]])
def test_what_needs_no_database_asks_for_none(command: list[str]) -> None:
    assert alembic(*command).returncode == 0


def test_with_sql_nothing_is_printed_but_the_refusal() -> None:
    result = alembic("downgrade", "unique_phone_workspace:base", "--sql")
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr.splitlines()[-1] == (
        "a downgrade is rendered from what the archive holds: set DATABASE_URL, so that it can be looked at"
    )


def test_a_misspelt_argument_stops_before_anything_else() -> None:
    result = alembic("-x", "tabel=people", "upgrade", "head", CONTACTS_SCHEMA_BATCH_SIZE="few")
    assert (result.returncode, result.stdout) == (1, "")
    lines = result.stderr.splitlines()
    assert lines[0] == "settings are wrong, 2 problems:"
    assert lines[1].startswith('  1. -x "tabel" is no setting; did you mean table? valid: schema, table, ')
    assert lines[2] == ('  2. batch_size "few" (from environment CONTACTS_SCHEMA_BATCH_SIZE) is not a whole number from 1')
