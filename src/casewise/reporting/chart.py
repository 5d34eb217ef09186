"""Small charts as SVG: lines for training curves, bars for comparisons. Text is escaped; the ink is the page's own."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.sax.saxutils import escape

from casewise.reporting.pictures import COLOURS
from casewise.wording import number

_WIDTH, _HEIGHT = 640, 300
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 16, 40, 48
_ROW = 26
_NAMES_WIDTH = 190
_CHARACTER = 8.5  # width of a wide character at 13 pixels
_HEAD = (
    '<svg xmlns="http://www.w3.org/2000/svg" role="img" aria-label="{label}" viewBox="0 0 {width} {height}" width="{width}" '
    'height="{height}" font-family="system-ui, sans-serif" font-size="13" fill="currentColor">'
)


@dataclass(frozen=True)
class LineChart:
    """Lines over a common axis: ``series`` maps a name to its points (x, y); points that are not finite leave a gap."""

    series: Mapping[str, Sequence[tuple[float, float]]]
    title: str = ""
    x_label: str = ""
    y_label: str = ""

    def svg(self) -> str:
        lines = {name: [point for point in points if _finite(point)] for name, points in self.series.items()}
        xs = [x for points in lines.values() for x, _ in points] or [0.0, 1.0]
        ys = [y for points in lines.values() for _, y in points] or [0.0, 1.0]
        x_ticks, y_ticks = ticks(min(xs), max(xs)), ticks(min(ys), max(ys))
        if all(x == round(x) for x in xs):  # steps and stages have no halves
            x_ticks = [tick for tick in x_ticks if abs(tick - round(tick)) < 1e-9]
        x_low, x_high = min(*xs, x_ticks[0]), max(*xs, x_ticks[-1])
        y_low, y_high = min(*ys, y_ticks[0]), max(*ys, y_ticks[-1])

        def place(x: float, y: float) -> tuple[float, float]:
            across = (x - x_low) / (x_high - x_low)
            up = (y - y_low) / (y_high - y_low)
            return _LEFT + across * (_WIDTH - _LEFT - _RIGHT), _HEIGHT - _BOTTOM - up * (_HEIGHT - _TOP - _BOTTOM)

        parts = [_head(self.title or "Line chart", _HEIGHT), _text(_LEFT, 16, self.title, weight=600)]
        for tick in y_ticks:
            y = place(x_low, tick)[1]
            parts.append(f'<path d="M{_LEFT} {y:.1f}H{_WIDTH - _RIGHT}" stroke="currentColor" stroke-opacity=".15" fill="none"/>')
            parts.append(_text(_LEFT - 8, y + 4, number(tick), anchor="end"))
        for tick in x_ticks:
            parts.append(_text(place(tick, y_low)[0], _HEIGHT - _BOTTOM + 18, number(tick), anchor="middle"))
        parts.append(_text((_WIDTH + _LEFT) / 2, _HEIGHT - 8, self.x_label, anchor="middle"))
        parts.append(_text(_LEFT, 33, self.y_label))
        offset = float(_WIDTH - _RIGHT)
        for number_of_line, name in reversed(list(enumerate(lines))):
            colour = _colour(number_of_line)
            runs = _runs(self.series[name])
            path = "".join(_polyline([place(x, y) for x, y in run]) for run in runs)
            parts.append(f'<path d="{path}" stroke="{colour}" stroke-width="2" stroke-linecap="round" fill="none"/>')
            # The text runs from its stroke to the right: how wide it is only the reader's font knows.
            offset -= _CHARACTER * len(name)
            parts.append(_text(offset, 16, name))
            parts.append(f'<path d="M{offset - 6:.0f} 12h-18" stroke="{colour}" stroke-width="3" fill="none"/>')
            offset -= 6 + 18 + 18
        return "".join(parts) + "</svg>"


@dataclass(frozen=True)
class BarChart:
    """One horizontal bar a name, from ``start`` on; ``errors`` maps a name to the ends (low, high) of its interval."""

    values: Mapping[str, float]
    title: str = ""
    errors: Mapping[str, tuple[float, float]] | None = None
    start: float = 0.0

    def svg(self) -> str:
        intervals = self.errors or {}
        ends = [*self.values.values(), *(end for pair in intervals.values() for end in pair), self.start]
        finite = [end for end in ends if math.isfinite(end)]
        low, high = min(finite), max(finite)
        span = (high - low) or 1.0
        available = _WIDTH - _NAMES_WIDTH - 80

        def place(value: float) -> float:
            return _NAMES_WIDTH + (value - low) / span * available

        height = 30 + _ROW * len(self.values) + 8
        parts = [_head(self.title or "Bar chart", height), _text(0, 16, self.title, weight=600)]
        for row, (name, value) in enumerate(self.values.items()):
            middle = 30 + _ROW * row + _ROW / 2
            left, right = sorted((place(self.start), place(value if math.isfinite(value) else self.start)))
            parts.append(_text(_NAMES_WIDTH - 10, middle + 4, name, anchor="end"))
            parts.append(
                f'<rect x="{left:.1f}" y="{middle - 8:.1f}" width="{max(right - left, 1):.1f}" height="16" rx="2" '
                f'fill="{COLOURS[0]}"/>'
            )
            edge = right
            if name in intervals and all(math.isfinite(end) for end in intervals[name]):
                first, last = (place(end) for end in intervals[name])
                parts.append(
                    f'<path d="M{first:.1f} {middle:.1f}H{last:.1f}M{first:.1f} {middle - 4:.1f}v8M{last:.1f} {middle - 4:.1f}v8" '
                    'stroke="currentColor" fill="none"/>'
                )
                edge = max(edge, last)
            parts.append(_text(edge + 8, middle + 4, number(value)))
        return "".join(parts) + "</svg>"


def line_chart(
    series: Mapping[str, Sequence[tuple[float, float]]],
    path: Path,
    *,
    title: str = "",
    x_label: str = "",
    y_label: str = "",
) -> Path:
    """Write :class:`LineChart` as an SVG file."""
    path.write_text(LineChart(series, title, x_label, y_label).svg(), encoding="utf-8")
    return path


def ticks(low: float, high: float, count: int = 5) -> list[float]:
    """About ``count`` round numbers (1, 2 or 5 times a power of ten) from at most ``low`` to at least ``high``; two or more."""
    size = max(abs(low), abs(high))
    if high - low <= 1e-12 * size or size < 1e-100:
        margin = size / 2 if size > 1e-100 else 0.5
        low, high = low - margin, high + margin
    raw = (high - low) / (count - 1)
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= raw * (1 - 1e-9))
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [tick * step for tick in range(first, max(last, first + 1) + 1)]


def _colour(place: int) -> str:
    return COLOURS[place % len(COLOURS)]


def _finite(point: tuple[float, float]) -> bool:
    return math.isfinite(point[0]) and math.isfinite(point[1])


def _runs(points: Sequence[tuple[float, float]]) -> list[list[tuple[float, float]]]:
    runs: list[list[tuple[float, float]]] = [[]]
    for point in points:
        if _finite(point):
            runs[-1].append(point)
        elif runs[-1]:
            runs.append([])
    return [run for run in runs if run]


def _polyline(points: Sequence[tuple[float, float]]) -> str:
    start = f"M{points[0][0]:.1f} {points[0][1]:.1f}"
    # A line of no length, with a round cap, is a single point.
    return start + ("".join(f"L{x:.1f} {y:.1f}" for x, y in points[1:]) or "h0")


def _head(label: str, height: int) -> str:
    return _HEAD.format(label=escape(label, {'"': "&quot;"}), width=_WIDTH, height=height)


def _text(x: float, y: float, text: str, anchor: str = "start", weight: int = 400) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-weight="{weight}">{escape(text)}</text>' if text else ""
