"""The writers' waits over time, one line a way, as an SVG picture."""

from __future__ import annotations

from collections.abc import Sequence
from math import log10
from typing import Final
from xml.etree import ElementTree as ET

from benchmarks.measure import Measured
from benchmarks.ways import OURS

__all__ = ["chart"]

WIDTH, HEIGHT = 960, 420
LEFT, RIGHT, TOP, BOTTOM = 70, 20, 40, 70
COLOURS: Final = ("#c0392b", "#e67e22", "#8e44ad", "#7f8c8d", "#2980b9", "#1e8449")
MARKS: Final = (1, 10, 100, 1_000, 10_000, 100_000)
LEAST: Final = 1.0

Point = tuple[float, float]


def chart(measured: Sequence[Measured]) -> str:
    """Milliseconds (logarithmic) against seconds since the start; our steps are marked where they begin."""
    shown = [m for m in measured if m.picture]
    seconds = max(m.seconds for m in shown) + 1
    longest = max(wait for m in shown for _, wait in m.picture) * 1000
    scale = _Scale(seconds, longest)
    root = ET.Element("svg", xmlns="http://www.w3.org/2000/svg", viewBox=f"0 0 {WIDTH} {HEIGHT}")
    ET.SubElement(root, "rect", width=str(WIDTH), height=str(HEIGHT), fill="white")
    _grid(root, scale)
    for m in shown:
        if m.way == OURS:
            _steps(root, scale, m)
    for number, m in enumerate(shown):
        _line(root, scale, m, COLOURS[number % len(COLOURS)])
        _legend(root, m.way, number)
    return ET.tostring(root, encoding="unicode") + "\n"


class _Scale:
    def __init__(self, seconds: float, longest: float) -> None:
        self.seconds, self.most = seconds, next((m for m in MARKS if m >= longest), MARKS[-1])

    def x(self, seconds: float) -> float:
        return round(LEFT + (WIDTH - LEFT - RIGHT) * (seconds + 1) / (self.seconds + 1), 1)

    def y(self, milliseconds: float) -> float:
        share = log10(max(LEAST, milliseconds)) / log10(self.most)
        return round(HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * share, 1)


def _grid(root: ET.Element, scale: _Scale) -> None:
    for mark in (m for m in MARKS if m <= scale.most):
        y = scale.y(mark)
        _rule(root, (LEFT, y), (WIDTH - RIGHT, y), "#dddddd")
        _text(root, LEFT - 6, y + 4, f"{mark:,} ms", anchor="end")
    step = next(s for s in (1, 2, 5, 10, 20, 50, 100, 200) if scale.seconds / s <= 12)
    for second in range(0, int(scale.seconds) + 1, step):
        _rule(root, (scale.x(second), TOP), (scale.x(second), HEIGHT - BOTTOM), "#eeeeee")
        _text(root, scale.x(second), HEIGHT - BOTTOM + 16, f"{second} s", anchor="middle")


def _steps(root: ET.Element, scale: _Scale, measured: Measured) -> None:
    begun = [(at, line) for at, line in measured.lines if line.endswith(": begins")]
    for number, (at, line) in enumerate(begun):
        _rule(root, (scale.x(at), TOP), (scale.x(at), HEIGHT - BOTTOM), "#1e8449", dashed=True)
        name = line.removesuffix(": begins").partition(" ")[2]
        _text(root, scale.x(at) + 3, TOP + 10 + 12 * number, name, colour="#1e8449")


def _line(root: ET.Element, scale: _Scale, measured: Measured, colour: str) -> None:
    points = " ".join(f"{scale.x(at)},{scale.y(wait * 1000)}" for at, wait in measured.picture)
    ET.SubElement(root, "polyline", {"points": points, "fill": "none", "stroke": colour, "stroke-width": "1.5"})
    end = scale.x(measured.seconds)
    _rule(root, (end, HEIGHT - BOTTOM - 8), (end, HEIGHT - BOTTOM), colour)


def _legend(root: ET.Element, name: str, number: int) -> None:
    x, y = LEFT + number * 145, HEIGHT - 20
    _rule(root, (x, y - 4), (x + 20, y - 4), COLOURS[number % len(COLOURS)])
    _text(root, x + 25, y, name)


def _rule(root: ET.Element, begin: Point, end: Point, colour: str, *, dashed: bool = False) -> None:
    place = dict(zip(("x1", "y1", "x2", "y2"), map(str, (*begin, *end)), strict=True))
    ET.SubElement(root, "line", place | {"stroke": colour} | ({"stroke-dasharray": "4 3"} if dashed else {}))


def _text(root: ET.Element, x: float, y: float, text: str, *, anchor: str = "start", colour: str = "#333333") -> None:
    style = {"font-family": "sans-serif", "font-size": "11", "text-anchor": anchor, "fill": colour}
    ET.SubElement(root, "text", {"x": str(x), "y": str(y), **style}).text = text
