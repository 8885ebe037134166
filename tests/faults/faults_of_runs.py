"""Faults that end a run or a part of it: the client, one of its backends, the server, its disk, the network between."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from tests.faults.scene import Scene, until
from tests.faults.small_disk import filled

WITNESSED = 4.0
"""Seconds for which a fault that may stop a run for ever stays, unless the run ends before."""


@contextmanager
def kill(scene: Scene) -> Iterator[None]:
    """SIGKILL to the client."""
    scene.run.process.kill()
    yield


@contextmanager
def terminate(scene: Scene) -> Iterator[None]:
    """`pg_terminate_backend` of one of the run's backends at work."""
    until(scene.backends, 2)  # between the two revisions there is none
    backends = scene.backends()
    scene.missed = not backends
    if backends:
        with scene.connect() as connection:
            connection.execute("SELECT pg_terminate_backend(%s)", [scene.chance.choice(backends)])
    yield


@contextmanager
def terminate_alembic(scene: Scene) -> Iterator[None]:
    """`pg_terminate_backend` of Alembic's own connection, idle meanwhile, which holds the turn of the run."""
    with scene.connect() as connection:
        ended = connection.execute("""
            SELECT pg_terminate_backend(pid) FROM pg_stat_activity
            WHERE datname = current_database() AND application_name = 'contacts_schema alembic'
        """).fetchall()
    scene.missed = not ended
    yield


@contextmanager
def crash(scene: Scene) -> Iterator[None]:
    """The server is stopped at once, nothing flushed, and started again."""
    assert scene.server is not None
    scene.server.crash()
    scene.server.start()
    yield


@contextmanager
def fill_disk(scene: Scene) -> Iterator[None]:
    """The disk of data and log is full, but for what chance leaves."""
    assert scene.server is not None
    with filled(scene.server.folder, free=scene.chance.choice([0, 0, 100_000, 500_000, 2_000_000])):
        yield
    # A server that could not write its log has stopped, or is about to.
    scene.server.start()


@contextmanager
def cut(scene: Scene) -> Iterator[None]:
    """Every connection of the run is cut on both sides, with a reset or in good order."""
    assert scene.proxy is not None
    scene.proxy.cut(reset=scene.chance.random() < 0.5)
    yield


@contextmanager
def stall(scene: Scene) -> Iterator[None]:
    """Nothing gets through for a while; then what was held back does, or the connections are cut."""
    assert scene.proxy is not None
    scene.proxy.stall()
    scene.run.ended(scene.chance.uniform(0.3, 2.0))
    if scene.chance.random() < 0.5:
        scene.proxy.cut(reset=True)
    scene.proxy.flow()
    yield


@contextmanager
def half_close(scene: Scene) -> Iterator[None]:
    """The server is told that nothing more will come; what it says still gets through."""
    assert scene.proxy is not None
    scene.proxy.half_close()
    yield


@contextmanager
def lose_client(scene: Scene) -> Iterator[None]:
    """The client is told that the connections are gone; the server hears of it two seconds later."""
    assert scene.proxy is not None
    scene.proxy.cut_clients()
    scene.run.ended(2.0)
    scene.claims.append(lambda _: [] if until(lambda: not scene.backends(), 15) else ["a lost client's backend lives on"])
    scene.proxy.flow()
    yield
