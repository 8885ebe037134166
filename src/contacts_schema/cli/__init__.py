"""The command `contacts-schema`: look before an upgrade, prove it afterwards, and go back from any state."""

import sys

import click

from contacts_schema.cli.commands import commands
from contacts_schema.errors import ContactsSchemaError, Interrupted

__all__ = ["main"]

_FAILED = 1
_INTERRUPTED = 130


def main() -> None:
    """Run the command line. Whatever goes wrong is a message on stderr and exit code 1; 2 is `plan`'s for work to do."""
    try:
        code = commands.main(prog_name="contacts-schema", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        code = _FAILED
    except click.Abort:
        click.echo(str(Interrupted()), err=True)
        code = _INTERRUPTED
    except OSError as error:
        click.echo(f"the output cannot be written: {error.strerror}", err=True)
        code = _FAILED
    except ContactsSchemaError as error:
        click.echo(str(error), err=True)
        code = _FAILED
    sys.exit(code)
