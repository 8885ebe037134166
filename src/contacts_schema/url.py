"""Reads a database URL as people have it: any of three schemes, any characters in the password."""

import re
from collections.abc import Iterator, Mapping
from typing import Final
from urllib.parse import unquote_to_bytes

from psycopg.pq import Conninfo
from sqlalchemy import URL
from sqlalchemy.exc import ArgumentError

from contacts_schema.errors import UrlError

VARIABLE: Final = "DATABASE_URL"
_FORM: Final = "postgresql://USER:PASSWORD@HOST:PORT/DATABASE"
_SCHEMES: Final = ("postgres", "postgresql", "postgresql+psycopg")
_HOST: Final = r"(?:\[[0-9A-Fa-f:.%\w]*\]|[^\s/?#@,:\[\]]*)(?::[0-9]*)?"
_HOSTS: Final = rf"(?P<hosts>{_HOST}(?:,{_HOST})*)"
_TAIL: Final = re.compile(rf"{_HOSTS}(?:/(?P<database>[^/?#]*))?(?:\?(?P<query>.*))?", re.DOTALL)
_KNOWN: Final = frozenset(option.keyword.decode() for option in Conninfo.get_defaults())


def database_url(environment: Mapping[str, str]) -> URL:
    """Return the URL in DATABASE_URL, never a default. Raises UrlError."""
    text = environment.get(VARIABLE, "")
    if not text.strip():
        raise UrlError
    return driver_url(text)


def driver_url(text: str) -> URL:
    """Return `text` as a URL for SQLAlchemy and psycopg 3.

    Takes `postgres://`, `postgresql://` and `postgresql+psycopg://`. The password may be percent-encoded or
    raw: the last `@` that a host can follow ends it, so `% # / @ ? :` need no encoding; `%40` always is `@`.
    Parameters after `?` go to PostgreSQL's client library as they are.

    Raises UrlError, whose message never shows the password.
    """
    _require_text(text)
    scheme, separator, rest = text.strip().partition("://")
    if not separator:
        raise UrlError(f"{VARIABLE} is not a URL; write it as {_FORM}")
    if scheme.lower() not in _SCHEMES:
        raise UrlError(f"{VARIABLE} has {_scheme(scheme)}; use {', '.join(f'{known}://' for known in _SCHEMES)}")
    userinfo, tail = _divided(rest)
    user, colon, password = userinfo.partition(":")
    query = dict(_parameters(tail["query"] or ""))
    database = _decoded(tail["database"] or "")
    if not (database or {"dbname", "service"} & set(query)):
        raise UrlError(f"{VARIABLE} names no database; end it with /DATABASE")
    host, port, several = _hosts(tail["hosts"])
    url = URL.create(
        "postgresql+psycopg",
        username=_decoded(user) or None,
        password=_decoded(password) if colon else None,
        host=host,
        port=port,
        database=database or None,
        query={**query, **({"host": several} if several else {})},
    )
    _require_arguments(url)
    return url


def _require_arguments(url: URL) -> None:
    """Raise UrlError where SQLAlchemy would not know what to connect to, and would say so in a traceback."""
    try:
        url.get_dialect()().create_connect_args(url)
    except (ArgumentError, ValueError):
        raise UrlError(f"{VARIABLE} has hosts and ports that do not go together; write each port behind its host") from None


def _require_text(text: str) -> None:
    """Raise UrlError for what no connection string can hold: libpq ends at a NUL, and would go elsewhere."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise UrlError(f"{VARIABLE} holds bytes that are not UTF-8; write it in UTF-8") from None
    if "\0" in text or "%00" in text:
        raise UrlError(f'{VARIABLE} holds a NUL character (%00), which nothing in it can; a "%" is written "%25"')


def _scheme(scheme: str) -> str:
    # What stands before "://" may be half a password when the scheme is missing.
    return f'the scheme "{scheme}"' if re.fullmatch(r"[a-z]+(\+[a-z0-9]+)?", scheme) else "no known scheme"


def _divided(rest: str) -> tuple[str, re.Match[str]]:
    """Return the user part and the match of what follows it."""
    splits = [(rest[:at], _TAIL.fullmatch(rest[at + 1 :])) for at, sign in enumerate(rest) if sign == "@"]
    fitting = [(userinfo, tail) for userinfo, tail in splits if tail]
    # A parameter's value may hold "@" too: where known parameters follow, the first division is right.
    for userinfo, tail in fitting:
        if tail["query"] and all(part.partition("=")[0] in _KNOWN for part in tail["query"].split("&")):
            return userinfo, tail
    if fitting:
        return fitting[-1]
    whole = _TAIL.fullmatch(rest)
    if whole is None or splits:
        raise UrlError(f"{VARIABLE} has no readable host; write it as {_FORM}, percent-encoded where needed")
    return "", whole


def _hosts(text: str) -> tuple[str | None, int | None, tuple[str, ...]]:
    """Return the one host and its port, or all of several as `host:port`."""
    if "," in text:
        return None, None, tuple(_decoded(host) for host in text.split(","))
    host, port = re.findall(r"^(\[.*\]|[^:]*):?([0-9]*)$", text)[0]
    if port and (len(port) > 5 or not 1 <= int(port) <= 65535):
        raise UrlError(f"{VARIABLE} has the port {port[:12]}; a port is a number from 1 to 65535")
    return _decoded(host.strip("[]")) or None, int(port) if port else None, ()


def _parameters(query: str) -> Iterator[tuple[str, str]]:
    for part in filter(None, query.split("&")):
        name, _, value = part.partition("=")
        if name not in _KNOWN:
            shown = f'the parameter "{name}"' if re.fullmatch(r"\w{1,40}", name) else "a parameter"
            raise UrlError(f"{VARIABLE} has {shown}, which PostgreSQL's client does not know; remove it")
        yield name, _decoded(value)


def _decoded(text: str) -> str:
    """Undo percent-encoding; a `%` that begins none, or bytes that are no text, stay as they are."""
    try:
        return unquote_to_bytes(text).decode()
    except UnicodeDecodeError:
        return text
