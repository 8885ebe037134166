"""One throwaway PostgreSQL server for the tests, the demo and the benchmarks.

TEST_DATABASE_URL names a server to use; else a container is taken where a Docker engine and an image are
there; else an embedded server is started. TEST_SERVER=url|container|embedded forces one way, which then fails
instead of falling back. TEST_IMAGE names the container's image, POSTGRES_BIN the embedded server's binaries.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import Final

import psycopg
from sqlalchemy import make_url

from sandbox import server_embedded
from sandbox.server_choice import Choice, ServerUnavailable

__all__ = ["Choice", "Server", "ServerUnavailable", "choose", "server"]

OLDEST: Final = 150000
OPTIONS: Final = {
    "max_connections": "100",
    "max_prepared_transactions": "10",
    "timezone": "UTC",
    "wal_level": "logical",
}
# A crash of the machine may lose everything, a crash of the server alone loses nothing.
HASTY: Final = {"fsync": "off", "full_page_writes": "off", "max_wal_size": "256MB"}


@dataclass(frozen=True, kw_only=True)
class Server:
    """A running server: `url` is libpq's form of a superuser's way in, `description` one line for people."""

    url: str = field(repr=False)  # it holds a password
    description: str


def choose(environ: Mapping[str, str] = os.environ) -> Choice:
    """Which server is to be used, and why; starts nothing. Raises ServerUnavailable."""
    forced = environ.get("TEST_SERVER", "")
    if forced:
        return _forced(forced, environ)
    if environ.get("TEST_DATABASE_URL"):
        return _url(environ)
    try:
        return _container(environ)
    except ServerUnavailable as unavailable:
        return server_embedded.choose(environ, reason=str(unavailable))


@contextmanager
def server(
    choice: Choice | None = None, *, durable: bool = False, options: Mapping[str, str] | None = None
) -> Iterator[Server]:
    """Start the chosen server for the length of a `with`. Raises ServerUnavailable.

    `durable` leaves fsync on and the files on the disk, for measurements; else they are in memory where there is room.
    `options` are server settings by name. A server given by its URL is taken as it is.
    """
    choice = choice or choose()
    settings = {**OPTIONS, **({} if durable else HASTY), **(options or {})}
    if choice.way == "url":
        yield _described(choice.target, choice)
        return
    with _start(choice, settings, in_memory=not durable) as url:
        yield _described(url, choice)


def _forced(way: str, environ: Mapping[str, str]) -> Choice:
    ways: dict[str, Callable[[Mapping[str, str]], Choice]] = {
        "url": _url,
        "container": _container,
        "embedded": server_embedded.choose,
    }
    if way not in ways:
        msg = f'TEST_SERVER is "{way}"; it may be {", ".join(sorted(ways))}, or unset'
        raise ServerUnavailable(msg)
    try:
        choice = ways[way](environ)
    except ServerUnavailable as unavailable:
        msg = f"TEST_SERVER={way} forces that way, but {unavailable}; provide it or unset TEST_SERVER"
        raise ServerUnavailable(msg) from unavailable
    return Choice(way=choice.way, target=choice.target, reason=f"TEST_SERVER={way}")


def _container(environ: Mapping[str, str]) -> Choice:
    # Imported here and below: the demo gets on without Docker's libraries.
    from sandbox import server_container

    return server_container.choose(environ)


def _start(choice: Choice, settings: Mapping[str, str], *, in_memory: bool) -> AbstractContextManager[str]:
    if choice.way == "embedded":
        return server_embedded.start(choice.target, settings, in_memory=in_memory)
    from sandbox import server_container

    return server_container.start(choice.target, settings, in_memory=in_memory)


def _url(environ: Mapping[str, str]) -> Choice:
    given = environ.get("TEST_DATABASE_URL", "")
    if not given:
        msg = "TEST_DATABASE_URL is not set"
        raise ServerUnavailable(msg)
    url = make_url(given).set(drivername="postgresql").render_as_string(hide_password=False)
    return Choice(way="url", target=url, reason="TEST_DATABASE_URL is set")


def _described(url: str, choice: Choice) -> Server:
    with psycopg.connect(url) as connection:
        number = connection.info.server_version
        row = connection.execute("SHOW server_version").fetchone()
    if number < OLDEST:
        msg = f"PostgreSQL {OLDEST // 10000} or newer is needed; the server ({choice}) is {number // 10000}"
        raise ServerUnavailable(msg)
    return Server(url=url, description=f"PostgreSQL {str(row and row[0]).split()[0]}, {choice}")
