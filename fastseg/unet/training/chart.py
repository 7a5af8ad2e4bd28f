"""Line charts as SVG text: no library, no script, nothing to load."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from math import ceil, floor, isfinite, log10

_WIDTH, _HEIGHT = 560, 270
_LEFT, _RIGHT, _TOP, _BOTTOM = 48, 14, 20, 40
_LOG_FROM = 30.0
"""Ratio of largest to smallest value from which the axis is logarithmic."""


@dataclass(frozen=True)
class Line:
    """A series.

    Attributes
    ----------
    name : str
    points : sequence of (float, float)
        x rises. Values that are not finite are left out.
    colour : str
        A CSS class, ``c1`` to ``c4``.
    """

    name: str
    points: Sequence[tuple[float, float]]
    colour: str


def chart(
    lines: Sequence[Line],
    *,
    title: str,
    x_label: str,
    mark: float | None = None,
    mark_label: str = "",
    bounds: tuple[float, float] | None = None,
) -> str:
    """An SVG element.

    Parameters
    ----------
    lines : sequence of Line
        Those without points are left out.
    title : str
        For those who cannot see it.
    x_label : str
    mark : float, optional
        Where a vertical line stands, called `mark_label`.
    bounds : (low, high), optional
        Of y; by default those of the values, logarithmic where they span much.
    """
    shown = [Line(line.name, [p for p in line.points if isfinite(p[1])], line.colour) for line in lines]
    shown = [line for line in shown if line.points]
    if not shown:
        return ""
    values = [y for line in shown for _, y in line.points]
    log = bounds is None and min(values) > 0 and max(values) / min(values) > _LOG_FROM
    x_axis = _Axis.around([x for line in shown for x, _ in line.points], _LEFT, _WIDTH - _RIGHT, whole=True)
    low, high = _HEIGHT - _BOTTOM, _TOP
    y_axis = _logarithmic(values, low, high) if log else _Axis.around(bounds or values, low, high)
    parts = [f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{escape(title)}">']
    parts += _grid(x_axis, y_axis, log)
    parts.append(
        f'<text x="{(_LEFT + _WIDTH - _RIGHT) / 2:.0f}" y="{_HEIGHT - 6}" class="axis">{escape(x_label)}</text>'
    )
    if mark is not None:
        x = x_axis.place(mark)
        side = "end" if x > _WIDTH - 60 else "start" if x < _LEFT + 60 else "middle"
        parts.append(
            f'<line x1="{x:.1f}" y1="{_TOP}" x2="{x:.1f}" y2="{_HEIGHT - _BOTTOM}" class="mark"/>'
            f'<text x="{x:.1f}" y="{_TOP - 6}" class="marked" text-anchor="{side}">{escape(mark_label)}</text>'
        )
    for line in shown:
        parts += _line(line, x_axis, y_axis, log)
    return "".join([*parts, "</svg>"])


def legend(lines: Sequence[Line]) -> str:
    """Names beside their colours, as HTML."""
    keys = [
        f'<span class="key"><i class="{line.colour}"></i>{escape(line.name)}</span>'
        for line in lines
        if line.points
    ]
    return f'<p class="keys">{"".join(keys)}</p>'


@dataclass(frozen=True)
class _Axis:
    """Maps values from `low` to `high` to places between `start` and `end`."""

    low: float
    high: float
    start: float
    end: float
    ticks: tuple[float, ...]

    @classmethod
    def around(cls, values: Sequence[float], start: float, end: float, *, whole: bool = False) -> _Axis:
        """An axis for values; it ends at ticks, or just where the values do if these are `whole` numbers."""
        low, high = min(values), max(values)
        if high <= low:
            margin = 0.5 if whole or not low else abs(low) / 2
            low, high = low - margin, high + margin
        step = _nice((high - low) / 5)
        if whole:
            step = max(1.0, step)
        else:
            low, high = floor(low / step + 1e-9) * step, ceil(high / step - 1e-9) * step
        ticks = range(ceil(low / step - 1e-9), floor(high / step + 1e-9) + 1)
        return cls(low, high, start, end, tuple(i * step for i in ticks))

    def place(self, value: float) -> float:
        return self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start)


def _nice(step: float) -> float:
    """The next of 1, 2, 5 times a power of ten."""
    power = 10.0 ** floor(log10(step))
    return next(power * n for n in (1, 2, 5, 10) if power * n >= step * (1 - 1e-9))


def _logarithmic(values: Sequence[float], start: float, end: float) -> _Axis:
    """An axis of logarithms, with ticks at 1 (and 2 and 5, where there is room) times powers of ten."""
    low, high = log10(min(values)) - 0.04, log10(max(values)) + 0.04
    steps = (1.0,) if high - low > 2.5 else (1.0, 2.0, 5.0)
    marks = [power + log10(n) for power in range(floor(low), ceil(high) + 1) for n in steps]
    return _Axis(low, high, start, end, tuple(m for m in marks if low <= m <= high))


def _grid(x_axis: _Axis, y_axis: _Axis, log: bool) -> list[str]:
    bottom = _HEIGHT - _BOTTOM
    parts = [f'<line x1="{_LEFT}" y1="{bottom}" x2="{_WIDTH - _RIGHT}" y2="{bottom}" class="foot"/>']
    for value in y_axis.ticks:
        y = y_axis.place(value)
        parts.append(f'<line x1="{_LEFT}" y1="{y:.1f}" x2="{_WIDTH - _RIGHT}" y2="{y:.1f}" class="grid"/>')
        text = _spelt(10.0**value if log else value)
        parts.append(f'<text x="{_LEFT - 7}" y="{y + 4:.1f}" class="y">{text}</text>')
    below = _HEIGHT - _BOTTOM + 17
    parts += [
        f'<text x="{x_axis.place(value):.1f}" y="{below}" class="x">{_spelt(value)}</text>'
        for value in x_axis.ticks
    ]
    return parts


def _line(line: Line, x_axis: _Axis, y_axis: _Axis, log: bool) -> list[str]:
    places = [(x_axis.place(x), y_axis.place(log10(y) if log else y)) for x, y in line.points]
    text = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    parts = [f'<polyline points="{text}" class="line {line.colour}"/>']
    if len(places) <= 40:
        parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2.6" class="{line.colour}"/>' for x, y in places]
    return parts


def _spelt(value: float) -> str:
    if value and not 1e-3 <= abs(value) < 1e5:
        digits, power = f"{value:.3e}".split("e")
        return f"{float(digits):g}e{int(power)}"
    return f"{value:.4g}"
