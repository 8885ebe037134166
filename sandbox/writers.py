"""Webhook-like writers: they find or create contacts, add messages and race each other, at a steady rate."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from random import Random
from types import TracebackType
from typing import Final, Self

from sandbox.proofs import check
from sandbox.webhook import Webhook, sample
from sandbox.writer_report import CONSTRAINT, Contact, Record, Waits, Write, WriterReport

__all__ = ["CONSTRAINT", "Waits", "Write", "WriterReport", "Writers", "check"]

SAMPLE: Final = 2000
RACERS: Final = 2


class Writers:
    """Threads that write to `contacts` and `messages` of `schema` until they are stopped.

    `rate` is writes a second, of all threads together. `races` of them a second are pairs: two connections
    insert a contact with the same new phone at the same moment. The schedule is open: a write is due at its
    time whether or not the one before it came back, so what a stall delays is counted from when it was due.
    Existing rows are left alone, they only get new messages; with `touch_existing` some are updated, too. No
    timeouts are set. The table must have a contact with a phone to begin with. Use another `seed` to write to
    the same database again.
    """

    def __init__(  # noqa: PLR0913 - each is one thing that a test varies
        self,
        url: str,
        *,
        rate: float = 200,
        races: float = 10,
        threads: int = 6,
        seed: int = 1,
        schema: str = "public",
        touch_existing: bool = False,
    ) -> None:
        racers = RACERS if races else 0
        if threads <= racers or rate <= RACERS * races:
            msg = f"{races} races/s take 2 threads, 2 writes each: raise threads ({threads}) or rate ({rate})"
            raise ValueError(msg)
        self._url, self._schema, self._seed = url, schema, seed
        self._workers, self._racers = threads - racers, racers
        self._rate, self._races = rate - RACERS * races, races
        self._touch_existing = touch_existing
        self._stopping = threading.Event()
        self._pair = threading.Barrier(RACERS)
        self._pool = ThreadPoolExecutor(max_workers=threads, thread_name_prefix="writer")
        # Only one thread renames a contact, so that it is known which name was the last.
        self._own: list[deque[Contact]] = [deque(maxlen=SAMPLE) for _ in range(self._workers)]
        self._existing: list[Contact] = []
        self._running: list[Future[Record]] = []
        self._started = 0.0
        self._report: WriterReport | None = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> Self:
        """Begin to write. Raises ValueError when there is no contact to begin with."""
        self._existing = sample(self._url, self._schema, SAMPLE)
        if not self._existing:
            msg = f'table "{self._schema}.contacts" has no contact with a phone to begin with'
            raise ValueError(msg)
        self._started = time.monotonic()
        self._running = [self._pool.submit(self._work, number) for number in range(self._workers)]
        self._running += [self._pool.submit(self._race, number) for number in range(self._racers)]
        return self

    def stop(self) -> WriterReport:
        """End after the writes under way and report; raises what a thread died of. May be called again."""
        if self._report is None:
            self._stopping.set()
            self._pair.abort()
            self._pool.shutdown()
            records = [running.result() for running in self._running]
            self._report = WriterReport.of(records, started=self._started, stopped=time.monotonic())
        return self._report

    def _schedule(self, rate: float, offset: float = 0.0) -> Iterator[tuple[int, float]]:
        """Number and due time of one write after the other, each when its time has come, until `stop`."""
        turn = 0
        while True:
            due = self._started + (turn + offset) / rate
            if self._stopping.wait(max(0.0, due - time.monotonic())):
                return
            yield turn, due
            turn += 1

    def _work(self, number: int) -> Record:
        chance = Random(f"{self._seed} {number}")
        # Threads share no targets, for the same reason; but there may be fewer contacts than threads.
        known = self._existing[number :: self._workers] or self._existing[:1]
        with Webhook(self._url, self._schema) as hook:
            for turn, due in self._schedule(self._rate / self._workers, number / self._workers):
                self._write(hook, chance, known, number, turn, due)
        return hook.record

    def _write(self, hook: Webhook, chance: Random, known: list[Contact], number: int, turn: int, due: float) -> None:
        own, text, draw = self._own[number], f"writer {self._seed}/{number}/{turn}", chance.random()
        target = chance.choice(own if own and chance.random() < 0.5 else known)
        if draw < 0.3:
            hook.perform("new", due, partial(self._receive_new, hook, chance, number, turn, text))
        elif draw < 0.5:
            hook.perform("found", due, lambda: _receive(hook, target, text))
        elif draw < 0.8 or not (own or self._touch_existing):
            hook.perform("message", due, lambda: _answer(hook, target, text))
        else:
            mine = target if self._touch_existing else chance.choice(own)
            hook.perform("update", due, lambda: hook.rename(mine, text))

    def _receive_new(self, hook: Webhook, chance: Random, number: int, turn: int, text: str) -> None:
        workspace_id = chance.choice(self._existing).workspace_id
        created = hook.receive(workspace_id, f"+1999{self._seed:02}{number:02}{turn:06}", text)
        if created:
            self._own[number].append(created)

    def _race(self, number: int) -> Record:
        with Webhook(self._url, self._schema) as hook:
            for turn, due in self._schedule(self._races):
                try:
                    self._pair.wait()
                except threading.BrokenBarrierError:
                    break
                hook.perform("race", due, partial(self._receive_raced, hook, number, turn))
                hook.record.races += 1
        return hook.record

    def _receive_raced(self, hook: Webhook, number: int, turn: int) -> None:
        workspace_id = self._existing[turn % len(self._existing)].workspace_id
        phone, text = f"+1998{self._seed:02}{turn:08}", f"racer {self._seed}/{number}/{turn}"
        created = hook.receive(workspace_id, phone, text)
        if created:
            self._own[turn % self._workers].append(created)


def _receive(hook: Webhook, contact: Contact, text: str) -> None:
    hook.receive(contact.workspace_id, contact.phone, text)


def _answer(hook: Webhook, contact: Contact, text: str) -> None:
    hook.answer(contact, text)
