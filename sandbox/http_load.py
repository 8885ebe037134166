"""Providers that call the example's webhook over HTTP: eight clients, new phones always from two of them at once."""

from __future__ import annotations

import itertools
import os
import random
import statistics
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx
import psycopg
from tenacity import retry, retry_if_exception_type, stop_after_delay, wait_fixed

from sandbox.alembic_command import ROOT
from sandbox.ports import free_port

__all__ = ["CLIENTS", "Answer", "Load", "Summary", "fill", "loaded", "served", "wrong"]

CLIENTS: Final = 8
WORKSPACE: Final = "00000000-0000-0000-0000-000000000001"
SCHEMA: Final = ROOT / "examples" / "webhook" / "schema.sql"
STOP_SECONDS: Final = 15

# Every tenth phone twice, every hundredth three times; a message each.
FILL: Final = """
INSERT INTO contacts (workspace_id, phone, name, created_at)
SELECT %(workspace)s, '+1666' || n, 'person ' || n, timestamptz '2026-01-01 00:00Z' + n * interval '1 second'
FROM generate_series(1, %(contacts)s) AS n, generate_series(0, (n %% 10 = 0)::int + (n %% 100 = 0)::int);
INSERT INTO messages (workspace_id, contact_id, provider_id, body)
SELECT workspace_id, id, 'old ' || id, 'from before' FROM contacts;
"""
WRONG: Final = """
SELECT format('message %%s is stored %%s times', provider_id, count(m.id))
FROM unnest(%(messages)s::text[]) AS sent (provider_id) LEFT JOIN messages AS m USING (provider_id)
GROUP BY provider_id HAVING count(m.id) <> 1
UNION ALL
SELECT format('message %%s hangs on another contact', provider_id)
FROM unnest(%(messages)s::text[], %(phones)s::text[]) AS sent (provider_id, phone)
JOIN messages AS m USING (provider_id) JOIN contacts AS c ON c.id = m.contact_id
WHERE (c.workspace_id, c.phone) IS DISTINCT FROM (%(workspace)s::uuid, sent.phone)
UNION ALL
SELECT format('%%s contacts have one phone, among them %%s', count(*), min(id))
FROM contacts GROUP BY workspace_id, phone HAVING count(*) > 1
"""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """One request: in which phase it began, how many seconds it took, its status (0 for none), and what it carried."""

    phase: str
    seconds: float
    status: int
    message: str
    phone: str


@dataclass(frozen=True, kw_only=True)
class Summary:
    """What the clients noticed in one phase; waits in seconds."""

    phase: str
    requests: int
    failed: int
    median: float
    longest: float


class Load:
    """The clients. `phase` may be changed at any time; requests are counted for the phase they began in."""

    def __init__(self, address: str, contacts: int, rate: float) -> None:
        self.address, self.contacts, self.rate = address, contacts, rate
        self.phase = "calm"
        self.answers: list[Answer] = []
        self._numbers = itertools.count()
        self._stopped = threading.Event()

    def client(self, seed: int) -> None:
        """Post until stopped, at an even pace."""
        chance = random.Random(seed)
        with httpx.Client(base_url=self.address, timeout=60) as client:
            due = time.monotonic()
            while not self._stopped.wait(max(0.0, due - time.monotonic())):
                due = max(due, time.monotonic() - 1) + CLIENTS / self.rate
                self._post(client, *self._message(chance))

    def _message(self, chance: random.Random) -> tuple[str, str]:
        number = next(self._numbers)
        if number % 20 == 19 and self.answers:
            # Delivered once more, as providers do.
            earlier = chance.choice(self.answers)
            return earlier.message, earlier.phone
        new, old = f"+1888{number // 2}", f"+1666{chance.randint(1, self.contacts)}"
        return f"new {number}", new if number % 4 < 2 else old

    def _post(self, client: httpx.Client, message: str, phone: str) -> None:
        phase, start = self.phase, time.monotonic()
        sent = {"workspace_id": WORKSPACE, "provider_id": message, "phone": phone, "body": "hello"}
        try:
            status = client.post("/webhooks/messages", json=sent).status_code
        except httpx.TransportError:
            status = 0
        seconds = time.monotonic() - start
        self.answers.append(Answer(phase=phase, seconds=seconds, status=status, message=message, phone=phone))

    def stop(self) -> None:
        """Let every client end after the request at hand."""
        self._stopped.set()

    def count(self, phase: str) -> int:
        """How many requests of this phase have been answered."""
        return sum(1 for answer in list(self.answers) if answer.phase == phase)

    def statuses(self) -> Counter[int]:
        """How often each status was answered."""
        return Counter(answer.status for answer in self.answers)

    def summaries(self) -> list[Summary]:
        """What was noticed, phase by phase in their order."""
        phases = list(dict.fromkeys(answer.phase for answer in self.answers))
        return [_summary(phase, [a for a in self.answers if a.phase == phase]) for phase in phases]


def _summary(phase: str, answers: Sequence[Answer]) -> Summary:
    waits = [answer.seconds for answer in answers]
    failed = sum(1 for answer in answers if answer.status != 200)
    return Summary(phase=phase, requests=len(waits), failed=failed, median=statistics.median(waits), longest=max(waits))


def fill(url: str, contacts: int) -> None:
    """Make the example's tables in an empty database, with `contacts` phones and their duplicates."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(SCHEMA.read_bytes())
        for statement in FILL.split(";")[:-1]:
            connection.execute(statement.encode(), {"workspace": WORKSPACE, "contacts": contacts})
        connection.execute("ANALYZE")


@contextmanager
def served(url: str) -> Iterator[str]:
    """The example service as a process of its own; gives its address."""
    port = free_port()
    command = [sys.executable, "-m", "examples.webhook", "--port", str(port)]
    environment = os.environ | {"DATABASE_URL": url, "PYTHONPATH": _path()}
    with subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL) as process:
        try:
            _answers(f"http://127.0.0.1:{port}/metrics")
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait(STOP_SECONDS)


def _path() -> str:
    return os.pathsep.join(filter(None, [str(Path(ROOT)), os.environ.get("PYTHONPATH", "")]))


@retry(retry=retry_if_exception_type(httpx.TransportError), stop=stop_after_delay(30), wait=wait_fixed(0.05), reraise=True)
def _answers(address: str) -> None:
    httpx.get(address).raise_for_status()


@contextmanager
def loaded(address: str, contacts: int, rate: float) -> Iterator[Load]:
    """Clients at work, `rate` requests a second together, until the block ends."""
    load = Load(address, contacts, rate)
    clients = [threading.Thread(target=load.client, args=[seed]) for seed in range(CLIENTS)]
    for client in clients:
        client.start()
    try:
        yield load
    finally:
        load.stop()
        for client in clients:
            client.join()


def wrong(url: str, load: Load) -> list[str]:
    """What is not as it should be after everything: messages lost, doubled or astray, phones with several contacts."""
    stored: dict[str, Any] = {answer.message: answer.phone for answer in load.answers if answer.status == 200}
    values = {"messages": list(stored), "phones": list(stored.values()), "workspace": WORKSPACE}
    with psycopg.connect(url) as connection:
        return [line for (line,) in connection.execute(WRONG, values)]
