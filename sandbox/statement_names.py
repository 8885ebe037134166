"""Tells which named statement of the package a text is that was sent to a server."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Final

from contacts_schema.sql import load

__all__ = ["all_names", "name_of", "text_of", "used"]

PLACEHOLDER: Final = re.compile(r"(?<!\{)\{\w+\}(?!\})")
COMMENT: Final = re.compile(r"--[^\n]*(?:\n|$)")


def all_names() -> list[str]:
    """Every named statement, as `family.name`."""
    return sorted(_parts())


def text_of(name: str) -> str:
    """The statement as it stands in its file, with placeholders."""
    family, _, statement = name.partition(".")
    return load(family)[statement].as_string(None)


@cache
def name_of(text: str) -> str | None:
    """The named statement that `text` is from beginning to end; of several alike the likeliest."""
    bare = _bare(text)

    def rank(name: str) -> tuple[bool, int, bool, str]:
        comment = next(iter(text_of(name).splitlines()))
        told = comment.startswith("--") and comment in text
        return not told, -sum(map(len, _parts()[name])), name.partition(".")[0] not in text, name

    return min((name for name, parts in _parts().items() if _is(parts, bare)), key=rank, default=None)


def used(texts: Iterable[str]) -> set[str]:
    """The named statements that these texts are, or that a part of them is."""
    # The body of a function is sent as a string, in which quotes are doubled.
    bare = {form for text in texts for form in (_bare(text), _bare(text).replace("''", "'"))}
    return {name for name, parts in _parts().items() if any(_holds(parts, text) for text in bare)}


@cache
def _parts() -> Mapping[str, tuple[str, ...]]:
    """The fixed parts of each statement: what stands between its placeholders."""
    names = [Path(item.name).stem for item in files("contacts_schema.sql").iterdir() if item.name.endswith(".sql")]
    return {
        f"{family}.{name}": tuple(
            part.strip().replace("{{}}", "{}") for part in PLACEHOLDER.split(_bare(template.as_string(None)))
        )
        for family in names
        for name, template in load(family).items()
    }


def _is(parts: Sequence[str], text: str) -> bool:
    return text.startswith(parts[0]) and text.endswith(parts[-1]) and _holds(parts, text)


def _holds(parts: Sequence[str], text: str) -> bool:
    """Whether the parts are in the text, one after the other."""
    place = 0
    for part in parts:
        place = text.find(part, place)
        if place < 0:
            return False
        place += len(part)
    return True


def _bare(text: str) -> str:
    """Without comments and line breaks."""
    return " ".join(COMMENT.sub("", text).replace("%%", "%").split())
