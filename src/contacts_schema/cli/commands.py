"""The commands: each reads its settings, does one thing, shows it, and ends with an exit code."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console

from contacts_schema.archived.purge import purge as purged
from contacts_schema.archived.where import where as whereabouts
from contacts_schema.cli import show
from contacts_schema.cli.age import parsed_age
from contacts_schema.cli.place import connected, placed, settings
from contacts_schema.console import progress_for, summary
from contacts_schema.execute import take_back as taken_back
from contacts_schema.preview.look import preview
from contacts_schema.preview.page import page
from contacts_schema.rendering.verify import verify_script
from contacts_schema.report import Silent
from contacts_schema.verification.checks import verify as verified

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["commands"]

_NEW_FILE = click.Path(dir_okay=False, writable=True, path_type=Path)
_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON instead of text.")


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="contacts_schema")
def commands() -> None:
    """Look before `alembic upgrade head`, prove it afterwards, and go back from any state.

    DATABASE_URL says where the database is, as for alembic.
    """


@commands.command()
@placed
@_JSON
@click.option("--html", type=_NEW_FILE, help="Also write a page to this file, to send to whoever approves.")
@click.option("--show-phones", is_flag=True, help="Show phone numbers whole.")
@click.pass_context
def plan(
    context: click.Context, x: tuple[str, ...], config: Path | None, as_json: bool, html: Path | None, show_phones: bool
) -> None:
    """Show what an upgrade would do, and change nothing.

    Exit code 0: nothing to do. 2: there is work to do. 1: an upgrade would refuse, or this failed.
    """
    given = settings(x, config)
    with connected() as connection:
        found = preview(connection, given, samples=html is not None)
    if html is not None:
        _write(html, page(found, show_phones=show_phones))
    if as_json:
        _print_json(found.as_json(show_phones=show_phones))
    else:
        show.plan(_console(), found, show_phones=show_phones)
    context.exit(found.exit_code)


@commands.command()
@placed
@_JSON
@click.option("--sql", "as_sql", is_flag=True, help="Print a script that does the same in psql or an SQL editor.")
@click.pass_context
def verify(context: click.Context, x: tuple[str, ...], config: Path | None, as_json: bool, as_sql: bool) -> None:
    """Prove that the constraint is there and does what it should; leaves no trace.

    Exit code 0: everything holds. 1: something does not, or this failed.
    """
    given = settings(x, config)
    if as_sql:
        if as_json:
            raise click.UsageError("--json and --sql are two different things")
        click.echo(verify_script(given), nl=False)
        return
    with connected() as connection:
        checks = verified(connection, given)
    holds = all(check.ok is not False for check in checks)
    if as_json:
        _print_json({"format": 1, "ok": holds, "checks": [asdict(check) for check in checks]})
    else:
        show.checks(_console(), checks)
    context.exit(0 if holds else 1)


@commands.command()
@placed
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.pass_context
def restore(context: click.Context, x: tuple[str, ...], config: Path | None, yes: bool) -> None:
    """Take an upgrade back from any state, also one that was killed half-way and never stamped.

    Drops the constraint or what is there of it, brings merged rows back, and removes our revisions from alembic_version.
    What cannot come back stays in the archive and is listed. Exit code 0: everything is back. 1: something stays in
    the archive, or this failed.
    """
    given = settings(x, config)
    with connected() as connection:
        if not yes and not _asked(f"Take the upgrade of {given.schema}.{given.table} back?"):
            context.exit(1)
        with progress_for(sys.stderr) as progress:
            report = taken_back(connection, given, progress)
    click.echo(summary(report, "upgrade taken back"))
    context.exit(1 if report.kept else 0)


@commands.command()
@placed
@_JSON
@click.argument("contact_id")
@click.option("--show-phones", is_flag=True, help="Show phone numbers whole.")
@click.pass_context
def where(
    context: click.Context, x: tuple[str, ...], config: Path | None, as_json: bool, contact_id: str, show_phones: bool
) -> None:
    """Show where a contact went, when, and what was kept of it.

    Exit code 0: the contact, or the one that it was merged into, is there. 1: it is not, or this failed.
    """
    given = settings(x, config)
    if not contact_id.isprintable():
        raise click.UsageError("that is no id: it holds what is no text")
    with connected() as connection:
        found = whereabouts(connection, given, contact_id)
    if not show_phones:
        found = found.masked()
    if as_json:
        _print_json({"format": 1, **found.as_json()})
    else:
        show.whereabouts(_console(), found)
    context.exit(0 if found.today is not None else 1)


@commands.command()
@placed
@click.option("--older-than", "age", required=True, callback=parsed_age, metavar="AGE", help="Such as 30d, 12h or 8w.")
@click.option("--yes", is_flag=True, help="Do not ask.")
def purge(x: tuple[str, ...], config: Path | None, age: str, yes: bool) -> None:
    """Empty the archive of what was merged longer ago than AGE. That cannot be brought back any more."""
    given = settings(x, config)

    def agree(counts: Mapping[str, int]) -> bool:
        for table, count in sorted(counts.items()):
            click.echo(f"{table}: {count:,} archived rows and journal entries")
        return yes or _asked("Delete them? They cannot be brought back after that.")

    with connected() as connection:
        gone = purged(connection, given, age, Silent(), agree)
    click.echo(f"{sum(gone.values()):,} archived rows and journal entries deleted")


def _asked(question: str) -> bool:
    """Ask a person; where there is none, say how to do without."""
    if not sys.stdin.isatty():
        raise click.UsageError("nobody can be asked here: give --yes")
    return click.confirm(question, err=True)


def _write(file: Path, text: str) -> None:
    try:
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise click.FileError(str(file), error.strerror) from None


def _print_json(found: Any) -> None:
    click.echo(json.dumps(found, indent=2, ensure_ascii=False))


def _console() -> Console:
    """As wide as the terminal; elsewhere wide enough for most names."""
    return Console(width=None if sys.stdout.isatty() else 140, highlight=False, markup=False, emoji=False)
