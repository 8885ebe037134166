"""What the ways to a throwaway server have in common."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["Choice", "ServerUnavailable"]


class ServerUnavailable(RuntimeError):
    """A throwaway server cannot be had that way; the message says what is missing."""


@dataclass(frozen=True, kw_only=True)
class Choice:
    """A way to a server, what it takes (a URL, an image or a folder of binaries), and why it was chosen."""

    way: Literal["url", "container", "embedded"]
    target: str
    reason: str

    def __str__(self) -> str:
        return f"{_WORDS[self.way]}, because {self.reason}"


_WORDS = {"url": "given by URL", "container": "in a container", "embedded": "embedded"}
