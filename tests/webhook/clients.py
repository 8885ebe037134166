"""Every kind of connection that find_or_create takes, each as two racers that run one transaction at a time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, AbstractContextManager, asynccontextmanager, contextmanager
from threading import Barrier
from typing import Any

import psycopg
import sqlalchemy
from psycopg import IsolationLevel
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import Session

from contacts_schema.webhook import Contact, find_or_create

WORKSPACE = "00000000-0000-0000-0000-000000000009"
RACERS = 2
# At REPEATABLE READ a loser of a race has to begin again.
TRIES = 20

Outcome = tuple[Contact, Contact]


def sqlstate(error: BaseException) -> str | None:
    """The server's code, from psycopg, psycopg2 and asyncpg, with SQLAlchemy around it or without."""
    driver: Any = getattr(error, "orig", error)
    return getattr(driver, "sqlstate", None) or getattr(driver, "pgcode", None)


@contextmanager
def with_psycopg(url: str, level: str) -> Iterator[Callable[[], AbstractContextManager[Any]]]:
    with psycopg.connect(url) as connection:
        connection.isolation_level = IsolationLevel[level.replace(" ", "_")]

        @contextmanager
        def begin() -> Iterator[Any]:
            with connection.transaction():
                yield connection

        yield begin


@contextmanager
def with_autocommit(url: str, level: str) -> Iterator[Callable[[], AbstractContextManager[Any]]]:
    """Each call is a transaction of its own."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"SET default_transaction_isolation = '{level.lower()}'")

        @contextmanager
        def begin() -> Iterator[Any]:
            yield connection

        yield begin


def _engine(url: str, driver: str, level: str) -> sqlalchemy.Engine:
    return sqlalchemy.create_engine(sqlalchemy.make_url(url).set(drivername=f"postgresql+{driver}"), isolation_level=level)


def with_connection(driver: str) -> Callable[..., AbstractContextManager[Any]]:
    @contextmanager
    def opened(url: str, level: str) -> Iterator[Callable[[], AbstractContextManager[Any]]]:
        engine = _engine(url, driver, level)
        with engine.connect() as connection:

            @contextmanager
            def begin() -> Iterator[Any]:
                with connection.begin():
                    yield connection

            yield begin
        engine.dispose()

    return opened


@contextmanager
def with_session(url: str, level: str) -> Iterator[Callable[[], AbstractContextManager[Any]]]:
    engine = _engine(url, "psycopg", level)
    with Session(engine) as session:

        @contextmanager
        def begin() -> Iterator[Any]:
            with session.begin():
                yield session

        yield begin
    engine.dispose()


@asynccontextmanager
async def with_async_psycopg(url: str, level: str) -> AsyncIterator[Callable[[], AbstractAsyncContextManager[Any]]]:
    async with await psycopg.AsyncConnection.connect(url) as connection:
        await connection.set_isolation_level(IsolationLevel[level.replace(" ", "_")])

        @asynccontextmanager
        async def begin() -> AsyncIterator[Any]:
            async with connection.transaction():
                yield connection

        yield begin


def with_async_connection(driver: str) -> Callable[..., AbstractAsyncContextManager[Any]]:
    @asynccontextmanager
    async def opened(url: str, level: str) -> AsyncIterator[Callable[[], AbstractAsyncContextManager[Any]]]:
        target = sqlalchemy.make_url(url).set(drivername=f"postgresql+{driver}")
        engine = create_async_engine(target, isolation_level=level)
        async with engine.connect() as connection:

            @asynccontextmanager
            async def begin() -> AsyncIterator[Any]:
                async with connection.begin():
                    yield connection

            yield begin
        await engine.dispose()

    return opened


@asynccontextmanager
async def with_async_session(url: str, level: str) -> AsyncIterator[Callable[[], AbstractAsyncContextManager[Any]]]:
    engine = create_async_engine(sqlalchemy.make_url(url).set(drivername="postgresql+asyncpg"), isolation_level=level)
    async with AsyncSession(engine) as session:

        @asynccontextmanager
        async def begin() -> AsyncIterator[Any]:
            async with session.begin():
                yield session

        yield begin
    await engine.dispose()


def race(opened: Callable[..., AbstractContextManager[Any]], url: str, level: str, phones: Sequence[str]) -> list[Outcome]:
    """Both racers ask for each phone at the same moment, each in a thread of its own."""
    barrier = Barrier(RACERS)

    def racer() -> list[Contact]:
        with opened(url, level) as begin:
            return [contact for phone in phones if barrier.wait(30) + 1 for contact in [persistent(begin, phone)]]

    with ThreadPoolExecutor(RACERS) as threads:
        racers = [threads.submit(racer) for _ in range(RACERS)]
        first, second = (each.result(120) for each in racers)
    return list(zip(first, second, strict=True))


def persistent(begin: Callable[[], AbstractContextManager[Any]], phone: str) -> Contact:
    for _ in range(TRIES):
        try:
            with begin() as connection:
                contact: Contact = find_or_create(connection, WORKSPACE, phone, name="raced")
                return contact
        except Exception as error:
            if sqlstate(error) != "40001":
                raise
    raise AssertionError(phone)


def race_async(
    opened: Callable[..., AbstractAsyncContextManager[Any]], url: str, level: str, phones: Sequence[str]
) -> list[Outcome]:
    """The same in two tasks of one event loop."""

    async def racing() -> list[Outcome]:
        barrier = asyncio.Barrier(RACERS)
        first, second = await asyncio.gather(*(racer(barrier) for _ in range(RACERS)))
        return list(zip(first, second, strict=True))

    async def racer(barrier: asyncio.Barrier) -> list[Contact]:
        contacts = []
        async with opened(url, level) as begin:
            for phone in phones:
                await barrier.wait()
                contacts.append(await persistent_async(begin, phone))
        return contacts

    return asyncio.run(asyncio.wait_for(racing(), 120))


async def persistent_async(begin: Callable[[], AbstractAsyncContextManager[Any]], phone: str) -> Contact:
    for _ in range(TRIES):
        try:
            async with begin() as connection:
                asked: Awaitable[Contact] = find_or_create(connection, WORKSPACE, phone, name="raced")
                return await asked
        except Exception as error:
            if sqlstate(error) != "40001":
                raise
    raise AssertionError(phone)


SYNC = {
    "psycopg": with_psycopg,
    "psycopg in autocommit": with_autocommit,
    "SQLAlchemy, psycopg": with_connection("psycopg"),
    "SQLAlchemy, psycopg2": with_connection("psycopg2"),
    "Session": with_session,
}
ASYNC = {
    "async psycopg": with_async_psycopg,
    "async SQLAlchemy, psycopg": with_async_connection("psycopg"),
    "async SQLAlchemy, asyncpg": with_async_connection("asyncpg"),
    "AsyncSession": with_async_session,
}
