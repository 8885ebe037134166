"""The text of docs/statements.md: what was sent, in its order, and every statement once."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Final, TypeVar

from sandbox.recording import Statement
from sandbox.statement_names import all_names, name_of, text_of, used

__all__ = ["Titled", "rendered"]

Titled = tuple[str, str, Sequence[Statement]]
"""A part's title, the directive, and what it sent."""
Locks = frozenset[tuple[str, str]]
T = TypeVar("T")

WEAKEST: Final = "AccessShareLock"
FIRST_STEP: Final = "session"
TOGETHER: Final = {"[`catalog.": "reads the catalog:", "sets `": "sets"}
# Whatever differs from one database to the next: oids, and what is hashed from them.
CHANGING: Final = (
    (re.compile(r"(?<=[a-z]_)[0-9]{5,}(?![0-9])"), "OID"),
    (re.compile(r"(?<![0-9a-f])[0-9a-f]{12,32}(?![0-9a-f])"), "HASH"),
)

INTRODUCTION: Final = """\
# The statements of an upgrade and of a downgrade

Written by `make docs`; do not edit it. [how-it-works.md](how-it-works.md) explains it.

What follows was recorded on a real server, from a run over the tables of
[sandbox/example.sql](../sandbox/example.sql) with `fill = email` and otherwise the default settings. Other
tables give other columns, and more or fewer of the same statements. `%(name)s` and `%s` stand for values;
`OID` stands for the object id of a table and `HASH` for a hash over such. Names with `~` belong to the
session's temporary tables and to the archive.

First comes the order. A line such as "ROW EXCLUSIVE on deals" says which table locks the transaction has
gained by the statement, as `pg_locks` showed them right after it. Locks on rows do not show there: the
comment of a statement names them. Statements of a transaction stand below the word; the others are
transactions of their own, and what they lock is in their comments too. A statement or a transaction that was
repeated within a step stands there once.
"""
TEXTS: Final = """\
# The texts

Each named statement of `src/contacts_schema/sql/` that ran, with the names of the example filled in. Below
one name stand all the forms that it took.
"""
REST: Final = """\
# What the example did not need

Statements for other settings, other tables, and for states that an interrupted run leaves. They are shown as
they are in `src/contacts_schema/sql/`: `{name}` is replaced by an identifier or by a part of a statement, and
`%%` and `{{}}` stand for `%` and `{}`.
"""


def rendered(runs: Sequence[Titled]) -> str:
    """The whole document."""
    sent = [statement.text for _, _, statements in runs for statement in statements]
    parts = [INTRODUCTION]
    known: list[str] = []
    for title, directive, statements in runs:
        parts += [f"# {title}", f"`{directive}()`", *_steps(statements, known)]
    parts.append(TEXTS)
    parts += [_entry(name, found) for name, found in sorted(_texts(sent).items())]
    parts.append(REST)
    ran = used(sent)
    parts += [_entry(name, [text_of(name)]) for name in all_names() if name not in ran]
    return "\n\n".join(part.strip() for part in parts) + "\n"


def _steps(statements: Sequence[Statement], known: list[str]) -> Iterator[str]:
    """A heading and its lines for each step; how a session begins is said once, and then `known`."""
    for step, of_step in groupby(statements, lambda statement: statement.step):
        yield f"## {step[0].upper()}{step[1:]}"
        lines = list(_lines(list(of_step)))
        if step == FIRST_STEP and known:
            yield "\n".join(["- as above", *(line for line in lines if line not in known)])
        else:
            yield "\n".join(lines)
        if step == FIRST_STEP and not known:
            known += lines


def _lines(statements: Sequence[Statement]) -> Iterator[str]:
    """A line for each statement of a step; those of a transaction below a line of their own."""
    transactions: dict[tuple[str, ...], list[dict[str, Locks]]] = {}
    for transaction, group in groupby(statements, lambda statement: statement.transaction):
        for unit in [list(group)] if transaction else ([statement] for statement in group):
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
    name = name_of(statement.text)
    if name:
        return f"[`{name}`](#{name.replace('.', '')})"
    text = " ".join(_stable(statement.text).split())
    if "set_config" in text:
        return f"sets `{' = '.join(('lock_timeout', *statement.values)[-2:])}`"
    return f"`{text}`"


def _texts(sent: Sequence[str]) -> Mapping[str, Sequence[str]]:
    """The forms that each named statement took. Their order is that of oids, so they are sorted."""
    named = sorted({(name, _stable(text)) for text in sent if (name := name_of(text))})
    return {name: [text for _, text in found] for name, found in groupby(named, lambda each: each[0])}


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


def _stable(text: str) -> str:
    for pattern, word in CHANGING:
        text = pattern.sub(word, text)
    return text


def _unique(items: Iterable[T]) -> list[T]:
    return list(dict.fromkeys(items))
