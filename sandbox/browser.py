"""A real browser without a window: Chromium's headless shell, asked over its DevTools protocol."""

from __future__ import annotations

import base64
import itertools
import json
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import httpx
from websockets.sync.client import ClientConnection, connect

__all__ = ["Page", "opened", "program"]

_NAMES: Final = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
_SECONDS: Final = 60
_OPTIONS: Final = (
    "--headless", "--remote-debugging-port=0", "--no-sandbox", "--disable-gpu", "--no-first-run",
    "--disable-dev-shm-usage", "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1",
)  # fmt: skip


def program() -> str | None:
    """The path of a browser; None where there is none."""
    return next(filter(None, map(shutil.which, _NAMES)), None)


class Page:
    """A page that is open. What it asks of the network goes into `requests`."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket, self._numbers = socket, itertools.count(1)
        self.requests: list[str] = []

    def open(self, file: Path) -> None:
        """Load a file, and wait until it is there."""
        for domain in ("Page", "Network", "Runtime"):
            self._ask(f"{domain}.enable")
        self._ask("Page.navigate", url=file.resolve().as_uri())
        while self._receive().get("method") != "Page.loadEventFired":
            pass

    def run(self, script: str) -> Any:
        """Run a script in the page; gives its value. Raises AssertionError with the page's own error."""
        found = self._ask("Runtime.evaluate", expression=script, returnByValue=True, userGesture=True)
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return found["result"].get("value")

    def print(self) -> bytes:
        """Print to a PDF."""
        return base64.b64decode(self._ask("Page.printToPDF")["data"])

    def _ask(self, method: str, **parameters: Any) -> dict[str, Any]:
        number = next(self._numbers)
        self._socket.send(json.dumps({"id": number, "method": method, "params": parameters}))
        while (answer := self._receive()).get("id") != number:
            pass
        assert "error" not in answer, answer
        result: dict[str, Any] = answer["result"]
        return result

    def _receive(self) -> dict[str, Any]:
        message: dict[str, Any] = json.loads(self._socket.recv(timeout=_SECONDS))
        if message.get("method") == "Network.requestWillBeSent":
            self.requests.append(message["params"]["request"]["url"])
        return message


@contextmanager
def opened(file: Path) -> Iterator[Page]:
    """A browser that shows this file, until the block ends."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as home:
        command = [str(program()), *_OPTIONS, f"--user-data-dir={home}", "about:blank"]
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
            try:
                with connect(_address(process), max_size=None) as socket:
                    page = Page(socket)
                    page.open(file)
                    yield page
            finally:
                process.terminate()


def _address(process: subprocess.Popen[str]) -> str:
    """Where the one page can be asked; the browser says on stderr at which port it listens."""
    assert process.stderr is not None
    for line in process.stderr:
        if said := re.search(r"DevTools listening on ws://(127\.0\.0\.1:\d+)/", line):
            targets = httpx.get(f"http://{said[1]}/json/list").json()
            return str(next(each["webSocketDebuggerUrl"] for each in targets if each["type"] == "page"))
    raise AssertionError("the browser has ended")
