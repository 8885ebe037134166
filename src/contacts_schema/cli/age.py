"""Reads an age as people write it: 30d, 12h."""

from __future__ import annotations

import re
from typing import Final

import click

__all__ = ["parsed_age"]

_UNITS: Final = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def parsed_age(context: click.Context, parameter: click.Parameter, text: str) -> str:  # noqa: ARG001 - click's signature
    """Return an age as an interval of PostgreSQL's."""
    found = re.fullmatch(r"([0-9]{1,4})([mhdw])", text)
    if found is None:
        raise click.BadParameter("write a number and m, h, d or w for minutes, hours, days or weeks, such as 30d")
    return f"{found[1]} {_UNITS[found[2]]}"
