"""A network between a client and a server on the loopback address, which can be cut, stalled and half closed."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Final

from sqlalchemy import make_url

BLOCK: Final = 1 << 16
RESET: Final = struct.pack("ii", 1, 0)  # SO_LINGER: on, 0 seconds


@dataclass(frozen=True, kw_only=True)
class Pair:
    """One connection: the client's socket and the server's; it passes on what it gets as long as `flows` is set."""

    client: socket.socket
    server: socket.socket
    flows: threading.Event = field(default_factory=threading.Event)


class Proxy:
    """Listens on the loopback address and leads every connection to `target`."""

    def __init__(self, target: tuple[str, int]) -> None:
        self._target = target
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._pairs: list[Pair] = []
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    @property
    def port(self) -> int:
        return int(self._listener.getsockname()[1])

    def stall(self) -> None:
        """Hold back what comes, in both directions."""
        for pair in self._pairs:
            pair.flows.clear()

    def flow(self) -> None:
        """Pass on what was held back."""
        for pair in self._pairs:
            pair.flows.set()

    def cut(self, *, reset: bool) -> None:
        """End all connections on both sides, with a reset or in good order."""
        for pair in self._pairs:
            _end(pair.client, reset=reset)
            _end(pair.server, reset=reset)

    def cut_clients(self) -> None:
        """End the clients' side alone: the server notices nothing until `flow`."""
        self.stall()
        for pair in self._pairs:
            _end(pair.client, reset=True)

    def half_close(self) -> None:
        """Tell the server that nothing more will come; its answers still get through."""
        for pair in self._pairs:
            with suppress(OSError):
                pair.server.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        """End everything."""
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.flow()
        self.cut(reset=True)
        for thread in self._threads:
            thread.join()
        for pair in self._pairs:
            pair.client.close()
            pair.server.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                self._connect(client)

    def _connect(self, client: socket.socket) -> None:
        try:
            pair = Pair(client=client, server=socket.create_connection(self._target))
        except OSError:
            client.close()
            return
        pair.flows.set()
        self._pairs.append(pair)
        for source, sink in ((pair.client, pair.server), (pair.server, pair.client)):
            source.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            thread = threading.Thread(target=_pass_on, args=(source, sink, pair.flows), daemon=True)
            thread.start()
            self._threads.append(thread)


def _pass_on(source: socket.socket, sink: socket.socket, flows: threading.Event) -> None:
    with suppress(OSError):
        while block := source.recv(BLOCK):
            flows.wait()
            sink.sendall(block)
    flows.wait()
    with suppress(OSError):
        sink.shutdown(socket.SHUT_WR)


@contextmanager
def through_proxy(url: str) -> Iterator[tuple[str, Proxy]]:
    """The same URL by way of a proxy, and the proxy."""
    made = make_url(url)
    proxy = Proxy((made.host or "127.0.0.1", made.port or 5432))
    try:
        yield made.set(host="127.0.0.1", port=proxy.port).render_as_string(hide_password=False), proxy
    finally:
        proxy.close()


def _end(end: socket.socket, *, reset: bool) -> None:
    with suppress(OSError):
        if reset:
            end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        # A thread that reads from it holds it open; this wakes it up, and with a reset to come tells nobody else.
        end.shutdown(socket.SHUT_RD if reset else socket.SHUT_RDWR)
    end.close()
