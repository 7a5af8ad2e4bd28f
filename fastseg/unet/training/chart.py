"""Line charts as SVG text: no library, no script, nothing to load."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from math import ceil, floor, isfinite, log10

_WIDTH, _HEIGHT = 560, 270
_LEFT, _RIGHT, _TOP, _BOTTOM = 62, 14, 14, 40
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
    x_label: str,
    y_label: str,
    mark: float | None = None,
    mark_label: str = "",
    bounds: tuple[float, float] | None = None,
) -> str:
    """An SVG element.

    Parameters
    ----------
    lines : sequence of Line
        Those without points are left out.
    x_label, y_label : str
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
    low_high = _logarithms(values) if log else list(bounds or values)
    y_axis = _Axis.around(low_high, _HEIGHT - _BOTTOM, _TOP, tight=bounds is not None, decades=log)
    parts = [f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{escape(y_label)}">']
    parts += _grid(x_axis, y_axis, log)
    parts.append(
        f'<text x="{(_LEFT + _WIDTH - _RIGHT) / 2:.0f}" y="{_HEIGHT - 6}" class="axis">{escape(x_label)}</text>'
    )
    parts.append(
        f'<text transform="translate(13 {(_TOP + _HEIGHT - _BOTTOM) / 2:.0f}) rotate(-90)" class="axis">'
        f"{escape(y_label)}</text>"
    )
    if mark is not None:
        x = x_axis.place(mark)
        side = "end" if x > _WIDTH - 120 else "start"
        shift = -4 if side == "end" else 4
        parts.append(f'<line x1="{x:.1f}" y1="{_TOP}" x2="{x:.1f}" y2="{_HEIGHT - _BOTTOM}" class="mark"/>')
        parts.append(
            f'<text x="{x + shift:.1f}" y="{_HEIGHT - _BOTTOM - 6}" class="marked" text-anchor="{side}">'
            f"{escape(mark_label)}</text>"
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
    def around(
        cls,
        values: Sequence[float],
        start: float,
        end: float,
        *,
        whole: bool = False,
        tight: bool = False,
        decades: bool = False,
    ) -> _Axis:
        low, high = min(values), max(values)
        if high <= low:
            low, high = (
                (low - 0.5, high + 0.5) if whole or not low else (low - abs(low) / 2, high + abs(low) / 2)
            )
        step = _nice((high - low) / 5)
        if whole or decades:
            step = max(1.0, round(step))
        if not (whole or tight):
            low, high = floor(low / step) * step, ceil(high / step) * step
        first = ceil(low / step - 1e-9)
        ticks = tuple(i * step for i in range(first, floor(high / step + 1e-9) + 1))
        return cls(low, high, start, end, ticks)

    def place(self, value: float) -> float:
        return self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start)


def _nice(step: float) -> float:
    """The next of 1, 2, 5 times a power of ten."""
    power = 10.0 ** floor(log10(step))
    return next(power * n for n in (1, 2, 5, 10) if power * n >= step * (1 - 1e-9))


def _logarithms(values: Sequence[float]) -> list[float]:
    return [log10(v) for v in values]


def _grid(x_axis: _Axis, y_axis: _Axis, log: bool) -> list[str]:
    parts = []
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
    return f"{value:.4g}".replace("e-0", "e-").replace("e+0", "e")
