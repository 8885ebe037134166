"""The text forms of single settings: names, lists of names, lengths of time, references.

Every function raises ValueError whose text goes on from the setting's name: `is not a whole number from 1`.
Names are taken as written, without folding to lower case; double quotes allow any character in them.
"""

import re
from typing import Final

_QUOTED = r'"(?:[^"]|"")+"'
_PLAIN = r"[\w$]+"
_PATH = rf"(?:{_QUOTED}|{_PLAIN})(?:\.(?:{_QUOTED}|{_PLAIN}))*"
_ENTRY = re.compile(
    rf"(?P<source>{_PATH})(?:\s*->\s*(?P<target>{_PATH}))?(?:\s+where\b\s*(?P<condition>\S.*))?",
    re.DOTALL | re.IGNORECASE,
)
_PIECE = re.compile(r"""'(?:[^']|'')*'|"(?:[^"]|"")*"|--|/\*|.""", re.DOTALL)
_LONGEST_NAME: Final = 63
_UNITS: Final = {"": 1, "ms": 1, "s": 1000, "min": 60_000}
# Of an integer setting in PostgreSQL, such as lock_timeout.
_LARGEST: Final = 2**31 - 1
_NO_COUNT: Final = "is not a whole number from 1"


def quoted(name: str) -> str:
    """Return `name` as it has to be written in a setting, in double quotes only where it needs them."""
    return name if re.fullmatch(_PLAIN, name) else '"' + name.replace('"', '""') + '"'


def dotted(*names: str | None) -> str:
    """Return the names that are not None, quoted as needed and joined by dots."""
    return ".".join(quoted(name) for name in names if name is not None)


def _is_unicode(text: str) -> bool:
    # Bytes of the command line or the environment that are not UTF-8 arrive as surrogates.
    return not any("\ud800" <= character <= "\udfff" for character in text)


def name_fault(name: str) -> str | None:
    """Return what keeps `name` from naming anything in PostgreSQL, or None."""
    if not _is_unicode(name):
        return "is no text that PostgreSQL can store"
    if not name:
        return "is empty; give a name"
    if "\0" in name:
        return "holds a NUL character, which no name can"
    too_long = len(name.encode()) > _LONGEST_NAME
    return f"is longer than the {_LONGEST_NAME} bytes of a name in PostgreSQL" if too_long else None


def checked_name(name: str) -> str:
    """Return `name`; raise ValueError if it cannot be a name."""
    if fault := name_fault(name):
        raise ValueError(fault)
    return name


def parse_name(text: str) -> str:
    """Return the one name that `text` gives, as written or in double quotes."""
    text = text.strip()
    if re.fullmatch(_QUOTED, text):
        return checked_name(text[1:-1].replace('""', '"'))
    if '"' in text:
        raise ValueError('has a stray double quote; write it as "...", with a quote inside doubled')
    if "." in text:
        raise ValueError("holds a dot; give one bare name, or put it in double quotes if the dot belongs to it")
    return checked_name(text)


def parse_path(text: str, *lengths: int) -> tuple[str, ...]:
    """Return the names of a dotted path, of which there must be one of `lengths`."""
    text = text.strip()
    if not re.fullmatch(_PATH, text):
        raise ValueError('needs names joined by dots, in double quotes if they hold more than letters, digits, "_" and "$"')
    names = tuple(
        checked_name(part[1:-1].replace('""', '"') if part.startswith('"') else part)
        for part in re.findall(rf"{_QUOTED}|{_PLAIN}", text)
    )
    if len(names) not in lengths:
        raise ValueError(f"needs {' or '.join(map(str, lengths))} names joined by dots, not {len(names)}")
    return names


def split(text: str, separators: str) -> list[str]:
    """Split at single characters outside quotes and parentheses; drop empty parts."""
    parts, depth = [""], 0
    for piece in _PIECE.findall(text):
        depth += (piece == "(") - (piece == ")")
        if piece in ("'", '"') or depth < 0:
            raise ValueError("has a quote or a parenthesis without its partner")
        if depth == 0 and len(piece) == 1 and piece in separators:
            parts.append("")
        else:
            parts[-1] += piece
    if depth:
        raise ValueError("has a quote or a parenthesis without its partner")
    return [part.strip() for part in parts if part.strip()]


def sql_fault(text: str) -> str | None:
    """Return why `text` cannot be a part of a statement, or None. Looks at quotes, `;` and comments only."""
    if "\0" in text or not text.strip():
        return "is empty or holds a NUL character"
    if not _is_unicode(text):
        return "is no text that PostgreSQL can store"
    try:
        split(text, "")
    except ValueError as error:
        return str(error)
    if {";", "--", "/*"} & set(_PIECE.findall(text)):
        return 'holds ";" or a comment; give one expression'
    return None


def parse_sql(text: str) -> str | None:
    """Return SQL text, None for blank text."""
    text = text.strip()
    if text and (fault := sql_fault(text)):
        raise ValueError(fault)
    return text or None


def parse_names(text: str) -> tuple[str, ...]:
    """Return names separated by commas or newlines."""
    return tuple(parse_name(part) for part in split(text, ",\n"))


def parse_columns(text: str) -> tuple[tuple[str | None, str, str], ...]:
    """Return (schema or None, table, column) for each `[schema.]table.column`."""
    paths = [parse_path(part, 2, 3) for part in split(text, ",\n")]
    return tuple((path[-3] if len(path) == 3 else None, path[-2], path[-1]) for path in paths)


def parse_collisions(text: str) -> tuple[tuple[str | None, str, str], ...]:
    """Return (schema or None, table, action) for each `[schema.]table=action`."""
    found: list[tuple[str | None, str, str]] = []
    for part in split(text, ",\n"):
        table, equals, action = part.rpartition("=")
        if not equals or action.strip() not in ("refuse", "merge"):
            raise ValueError('needs entries of the form "[schema.]table=merge" or "=refuse"')
        path = parse_path(table, 1, 2)
        found.append((path[-2] if len(path) == 2 else None, path[-1], action.strip()))
    return tuple(found)


def parse_entry(text: str) -> tuple[tuple[str, ...], tuple[str, ...], str | None]:
    """Return the source path, the target path (empty if none) and the condition of one reference."""
    match = _ENTRY.fullmatch(text.strip())
    if match is None:
        raise ValueError('has an entry that is not "[schema.]table.column [-> [schema.]table[.column]] [where CONDITION]"')
    target = match["target"]
    condition = match["condition"] and parse_sql(match["condition"])
    return parse_path(match["source"], 2, 3), parse_path(target, 1, 2, 3) if target else (), condition or None


def parse_milliseconds(text: str) -> int:
    """Return a length of time in milliseconds."""
    match = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)\s*(ms|s|min)?", text.strip(), re.ASCII)
    length = float(match[1]) * _UNITS[match[2] or ""] if match else 0
    if not 1 <= length <= _LARGEST or length != int(length):
        raise ValueError('is not a length of time above 0; use milliseconds ("100", "100ms"), "1s" or "1min"')
    return int(length)


def count_fault(number: object) -> str | None:
    """Return what keeps `number` from being a count or a length of time in milliseconds, or None."""
    if not isinstance(number, int) or isinstance(number, bool) or number < 1:
        return _NO_COUNT
    return None if number <= _LARGEST else f"is more than {_LARGEST}, which is the most"


def parse_count(text: str) -> int:
    """Return a whole number from 1."""
    if not re.fullmatch(r"[0-9]+", text.strip(), re.ASCII):
        raise ValueError(_NO_COUNT)
    # Python takes a few thousand digits and no more.
    number = int(text.strip().lstrip("0")[:11] or "0")
    if fault := count_fault(number):
        raise ValueError(fault)
    return number


def parse_optional_count(text: str) -> int | None:
    """Return a whole number from 1, None for blank text."""
    return parse_count(text) if text.strip() else None


def parse_blank_phones(text: str) -> str:
    """Return `refuse` or `null`."""
    if text.strip() not in ("refuse", "null"):
        raise ValueError('is neither "refuse" nor "null"')
    return text.strip()
