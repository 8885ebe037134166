"""`make docs`: writes docs/statements.md, what the server is really sent by an upgrade and a downgrade."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from importlib.resources import files
from itertools import groupby
from pathlib import Path
from typing import Any, Final

import psycopg

from contacts_schema import execute
from contacts_schema.report import Progress, Report
from contacts_schema.settings import Settings
from contacts_schema.sql import load
from sandbox.alembic_command import ROOT
from sandbox.recording import Statement, recording
from sandbox.server_databases import database
from sandbox.servers import choose, server

__all__ = ["FAMILIES", "FILE", "names_of", "record", "rendered"]

FILE: Final = ROOT / "docs" / "statements.md"
FAMILIES: Final = tuple(
    sorted(
        Path(item.name).stem for item in files("contacts_schema.sql").iterdir() if item.name.endswith(".sql")
    )
)
EXAMPLE: Final = Settings(fill=("email",))

Locks = frozenset[tuple[str, str]]
Work = Callable[[psycopg.Connection[Any], Settings, Progress], Report]
RUNS: Final[tuple[tuple[str, str, Work], ...]] = (
    ("Upgrade, revision `dedupe_contacts`", "op.merge_duplicates", execute.merge_duplicates),
    ("Upgrade, revision `unique_phone_workspace`", "op.create_unique_constraint_online", execute.add_constraint),
    ("Downgrade, revision `unique_phone_workspace`", "op.drop_unique_constraint_online", execute.drop_constraint),
    ("Downgrade, revision `dedupe_contacts`", "op.restore_duplicates", execute.restore_duplicates),
)
# Whatever differs from one database to the next: oids, and what is hashed from them.
CHANGING: Final = (
    (re.compile(r"(?<=[a-z]_)[0-9]{5,}(?![0-9])"), "OID"),
    (re.compile(r"(?<![0-9a-f])[0-9a-f]{12,32}(?![0-9a-f])"), "HASH"),
)
PLACEHOLDER: Final = re.compile(r"(?<!\{)\{\w+\}(?!\})")
COMMENT: Final = re.compile(r"--[^\n]*(?:\n|$)")
WEAKEST: Final = "AccessShareLock"
TOGETHER: Final = {"[`catalog.": "reads the catalog:", "sets `": "sets"}

INTRODUCTION: Final = """\
# The statements of an upgrade and of a downgrade

Written by `make docs`; do not edit it. [how-it-works.md](how-it-works.md) explains it.

What follows was recorded on a real server, from a run over the tables of
[sandbox/example.sql](../sandbox/example.sql) with `fill = email` and otherwise the default settings. Other tables give
other columns, and more or fewer of the same statements. `%(name)s` and `%s` stand for values; `OID` stands for the
object id of a table and `HASH` for a hash over such. Names with `~` belong to the session's temporary tables and to
the archive.

First comes the order. A line such as "ROW EXCLUSIVE on deals" says which table locks the transaction has gained by
the statement, as `pg_locks` showed them right after it. Locks on rows do not show there: the comment of a statement
names them. Statements of a transaction stand below the word; the others are transactions of their own, and what
they lock is in their comments too. A statement or a transaction that was repeated within a step stands there once.
"""
TEXTS: Final = """\
# The texts

Each named statement of `src/contacts_schema/sql/` that ran, with the names of the example filled in. Below one name
stand all the forms that it took.
"""
REST: Final = """\
# What the example did not need

Statements for other settings, other tables, and for states that an interrupted run leaves. They are shown as they
are in `src/contacts_schema/sql/`: `{name}` is replaced by an identifier or by a part of a statement.
"""


def main() -> None:
    """Run the example on a throwaway server and write the file."""
    with server(choose(os.environ | {"TEST_SERVER": "embedded"})) as running, database(running.url) as url:
        FILE.write_text(rendered(record(url)), encoding="utf-8")
    print(FILE.relative_to(ROOT))


def record(url: str) -> list[list[Statement]]:
    """Load the example into the empty database at `url`; give what each directive sent, up and down again."""
    with psycopg.connect(url) as connection:
        connection.execute(files("sandbox").joinpath("example.sql").read_bytes())
    return [_recorded(url, work) for _, _, work in RUNS]


def _recorded(url: str, work: Work) -> list[Statement]:
    with recording(url) as (connection, recorder):
        report = work(connection, EXAMPLE, recorder)
        assert report.kept == ()
        return recorder.statements


def rendered(recorded: Sequence[Sequence[Statement]]) -> str:
    """The whole document."""
    texts = _texts([statement for statements in recorded for statement in statements])
    parts = [INTRODUCTION]
    for (title, directive, _), statements in zip(RUNS, recorded, strict=True):
        parts += [f"# {title}", f"`{directive}()`", *_steps(statements)]
    parts.append(TEXTS)
    parts += [_entry(name, found) for name, found in sorted(texts.items())]
    parts.append(REST)
    parts += [_entry(name, [_plain(name)]) for name in sorted({*_all()} - _used(recorded))]
    return "\n\n".join(part.strip() for part in parts) + "\n"


def _steps(statements: Sequence[Statement]) -> Iterator[str]:
    for step, of_step in groupby(statements, lambda statement: statement.step):
        yield f"## {step[0].upper()}{step[1:]}"
        yield "\n".join(_lines(list(of_step)))


def _lines(statements: Sequence[Statement]) -> Iterator[str]:
    """A line for each statement of a step; those of a transaction below a line of their own."""
    transactions: dict[tuple[str, ...], list[dict[str, Locks]]] = {}
    for transaction, group in groupby(statements, lambda statement: statement.transaction):
        for unit in ([list(group)] if transaction else ([statement] for statement in group)):
            lines = _with_locks(unit)
            transactions.setdefault((transaction and "", *lines), []).append(lines)
    for several, found in groupby(transactions.items(), lambda item: item[0][0] is not None):
        if several:
            for names, repeated in found:
                yield f"- a transaction{f', {len(repeated)} times' if len(repeated) > 1 else ''}:"
                yield from (f"  - {line}" for line in _said(names[1:], repeated))
        else:
            yield from (f"- {line}" for line in _said([names[1] for names, _ in found], []))


def _with_locks(statements: Sequence[Statement]) -> dict[str, Locks]:
    """What is sent, each once, with the locks that it adds; of one table's only the stronger ones."""
    held: Locks = frozenset()
    found: dict[str, Locks] = {}
    for statement in statements:
        locked = {table for mode, table in statement.locks if mode != WEAKEST}
        locks = frozenset(lock for lock in statement.locks if lock[0] != WEAKEST or lock[1] not in locked)
        name = _reference(statement)
        found[name] = found.get(name, frozenset()) | (locks - held)
        held |= locks
    return found


def _said(names: Sequence[str], repeated: Sequence[Mapping[str, Locks]]) -> Iterator[str]:
    """Each name and its locks; catalog queries, and settings, in one line each."""
    for kind, group in groupby(names, lambda name: next(filter(name.startswith, TOGETHER), "")):
        if kind:
            yield f"{TOGETHER[kind]} {', '.join(name.removeprefix('sets ') for name in group)}"
            continue
        for name in group:
            yield name + "".join(_by_mode(frozenset().union(*(lines[name] for lines in repeated))))


def _by_mode(locks: Locks) -> Iterator[str]:
    for mode, group in groupby(sorted(locks), lambda lock: lock[0]):
        words = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", mode.removesuffix("Lock")).upper()
        yield f"; {words} on {', '.join(table for _, table in group)}"


def _reference(statement: Statement) -> str:
    names = names_of(statement.text)
    if names:
        return f"[`{names[0]}`](#{names[0].replace('.', '')})"
    text = " ".join(_stable(statement.text).split())
    if "set_config" in text:
        return f"sets `{' = '.join(('lock_timeout', *statement.values)[-2:])}`"
    return f"`{text}`"


def _texts(statements: Sequence[Statement]) -> Mapping[str, Sequence[str]]:
    found: dict[str, list[str]] = {}
    for statement in statements:
        text = _stable(statement.text)
        for name in names_of(statement.text)[:1]:
            found[name] = _unique([*found.get(name, ()), text])
    return found


def _entry(name: str, texts: Sequence[str]) -> str:
    """A name, its comment as a sentence, and the text in each form that it took."""
    comments = _unique(" ".join(_comment(text)) for text in texts)
    blocks = [f"```sql\n{_body(text)}\n```" for text in texts]
    return "\n\n".join([f"## {name}", *filter(None, comments), *blocks])


def _comment(text: str) -> Iterator[str]:
    for line in text.splitlines():
        if not line.startswith("--"):
            return
        yield line.removeprefix("--").strip()


def _body(text: str) -> str:
    lines = text.splitlines()
    return "\n".join(lines[sum(1 for _ in _comment(text)) :])


def names_of(text: str) -> list[str]:
    """The named statements whose text, from its beginning to its end, `text` is; the likeliest first."""
    bare = _bare(text)

    def rank(name: str) -> tuple[int, bool, str]:
        return -sum(map(len, _all()[name])), name.partition(".")[0] not in text, name

    return sorted((name for name, parts in _all().items() if _holds(parts, bare, whole=True)), key=rank)


def _used(recorded: Sequence[Sequence[Statement]]) -> set[str]:
    """Names of statements that ran, be it as a part of another one."""
    bare = {_bare(statement.text) for statements in recorded for statement in statements}
    return {name for name, parts in _all().items() if any(_holds(parts, text, whole=False) for text in bare)}


def _holds(parts: Sequence[str], text: str, *, whole: bool) -> bool:
    """Whether the fixed parts of a statement are in the text, one after the other."""
    if whole and not (text.startswith(parts[0]) and text.endswith(parts[-1])):
        return False
    place = 0
    for part in parts:
        place = text.find(part, place)
        if place < 0:
            return False
        place += len(part)
    return True


@cache
def _all() -> Mapping[str, tuple[str, ...]]:
    """The fixed parts of each named statement: what stands between its placeholders."""
    return {
        f"{family}.{name}": tuple(
            part.strip().replace("{{}}", "{}") for part in PLACEHOLDER.split(_bare(template.as_string(None)))
        )
        for family in FAMILIES
        for name, template in load(family).items()
    }


def _plain(name: str) -> str:
    family, _, statement = name.partition(".")
    return load(family)[statement].as_string(None)


def _bare(text: str) -> str:
    """Without comments and line breaks, as it is sent."""
    return " ".join(COMMENT.sub("", text).replace("%%", "%").split())


def _stable(text: str) -> str:
    for pattern, word in CHANGING:
        text = pattern.sub(word, text)
    return text


def _unique(items: Any) -> list[Any]:
    return list(dict.fromkeys(items))


if __name__ == "__main__":
    main()
