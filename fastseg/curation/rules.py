"""Rules in a few words: which objects of the second segmentation to take, and which voxels not to learn from.

::

    rule        = alternative { ";" alternative }        every alternative adds to the result
    taking      = [ "replace:" ] objects
    excluding   = "saturated" | "disagreement" | "planes:" FIRST "-" LAST
                | "raw" COMPARISON NUMBER | "focus" COMPARISON NUMBER | objects
    objects     = condition { " and " condition }
    condition   = QUANTITY COMPARISON NUMBER | "points:" FILE
    COMPARISON  = "<" | "<=" | ">" | ">="
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from types import MappingProxyType
from typing import Any, TypeAlias

import numpy as np

from fastseg.errors import Problems

COMPARISONS: Mapping[str, Callable[[Any, Any], Any]] = MappingProxyType(
    {"<=": np.less_equal, ">=": np.greater_equal, "<": np.less, ">": np.greater}
)

QUANTITIES: Mapping[str, str] = MappingProxyType(
    {
        "size": "voxels of the object",
        "volume_um3": "volume in cubic micrometres",
        "mean_intensity": "mean of the normalised image",
        "max_intensity": "maximum of the normalised image",
        "mean_raw": "mean of the raw image",
        "max_raw": "maximum of the raw image",
        "overlap": "part of the object that the first segmentation covers, 0 to 1 (taking only)",
    }
)
"""What conditions on objects compare."""

VOXELS: Mapping[str, str] = MappingProxyType(
    {
        "saturated": "voxels at the greatest value of the raw image's integer type",
        "raw": "voxels by the value of the raw image, such as raw>=4095",
        "focus": "planes by their sharpness relative to the sharpest, such as focus<0.3",
        "disagreement": "voxels that two segmentations do not agree on",
        "planes": "planes from 0, such as planes:0-3",
    }
)
"""What excluding rules know beside objects."""

_NONE = "none"
_COMPARED_VOXELS = ("raw", "focus")
_COMPARED = re.compile(r"(?P<name>\w+)\s*(?P<sign><=|>=|<|>)\s*(?P<number>[^\s<>=]\S*)")
_RANGE = re.compile(r"planes\s*:\s*(?P<first>\d+)(?:\s*-\s*(?P<last>\d+))?")


@dataclass(frozen=True)
class Condition:
    """A quantity compared with a number."""

    quantity: str
    comparison: str
    value: float

    def holds(self, values: Any) -> Any:
        """Whether it does, for each of the values."""
        return COMPARISONS[self.comparison](values, self.value)


@dataclass(frozen=True)
class ObjectRule:
    """Objects that fulfil all conditions.

    Attributes
    ----------
    conditions : tuple of Condition
    points_file : str
        Objects that a point of this file names; empty for no such condition.
    points : tuple of (z, y, x)
        The points of the image, once the file has been read.
    replaces : bool
        Objects of the first segmentation that they touch are removed.
    """

    conditions: tuple[Condition, ...] = ()
    points_file: str = ""
    points: tuple[tuple[int, int, int], ...] = ()
    replaces: bool = False

    def with_points(self, points: tuple[tuple[int, int, int], ...]) -> ObjectRule:
        """The same with the points of an image."""
        return replace(self, points=points)


@dataclass(frozen=True)
class VoxelRule:
    """Voxels or planes of one of `VOXELS`.

    Attributes
    ----------
    kind : str
    condition : Condition or None
        Of ``raw`` and ``focus``.
    planes : (int, int) or None
        First and last of ``planes``.
    """

    kind: str
    condition: Condition | None = None
    planes: tuple[int, int] | None = None


ExcludingRule: TypeAlias = ObjectRule | VoxelRule


def parse_taking(text: str) -> tuple[ObjectRule, ...]:
    """A rule for objects of the second segmentation; nothing, and ``none``, is no rule.

    Raises
    ------
    Problems
        Everything that is wrong with it.
    """
    problems: list[str] = []
    found = []
    for part in _alternatives(text):
        replaces = part.startswith("replace:")
        rule = _objects(part.removeprefix("replace:").strip(), QUANTITIES, problems)
        found.append(replace(rule, replaces=replaces))
    _raise(text, problems)
    return tuple(found)


def parse_excluding(text: str) -> tuple[ExcludingRule, ...]:
    """A rule for voxels that cost nothing; nothing, and ``none``, is no rule.

    Raises
    ------
    Problems
        Everything that is wrong with it.
    """
    problems: list[str] = []
    found = [_excluding(part, problems) for part in _alternatives(text)]
    _raise(text, problems)
    return tuple(found)


def _alternatives(text: str) -> list[str]:
    parts = [part.strip() for part in text.split(";")]
    return [] if text.strip() in ("", _NONE) else parts


def _raise(text: str, problems: Sequence[str]) -> None:
    if problems:
        raise Problems(f"rule '{text}'", problems)


def _excluding(part: str, problems: list[str]) -> ExcludingRule:
    if part in ("saturated", "disagreement"):
        return VoxelRule(part)
    if part.startswith("planes"):
        match = _RANGE.fullmatch(part)
        first = int(match["first"]) if match else 0
        last = int(match["last"] or first) if match else -1
        if last < first:
            problems.append(f"'{part}' names no planes: write planes:FIRST-LAST, counted from 0")
        return VoxelRule("planes", planes=(first, last))
    match = _COMPARED.fullmatch(part)
    if match and match["name"] in _COMPARED_VOXELS:
        return VoxelRule(match["name"], _condition(match, problems))
    known = {name: text for name, text in QUANTITIES.items() if name != "overlap"}
    return _objects(part, known, problems, VOXELS)


def _objects(
    text: str,
    known: Mapping[str, str],
    problems: list[str],
    others: Mapping[str, str] = MappingProxyType({}),
) -> ObjectRule:
    conditions: list[Condition] = []
    points = ""
    for part in (p.strip() for p in re.split(r"\s+and\s+", text)):
        if part.startswith("points:"):
            if points:
                problems.append("points: is there twice")
            points = part.removeprefix("points:").strip()
            if not points:
                problems.append("points: names no file")
            continue
        match = _COMPARED.fullmatch(part)
        if match is None or match["name"] not in known:
            problems.append(_unknown(part, match, known, others))
            continue
        conditions.append(_condition(match, problems))
    return ObjectRule(tuple(conditions), points)


def _condition(match: re.Match[str], problems: list[str]) -> Condition:
    try:
        value = float(match["number"])
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        problems.append(f"'{match[0]}': '{match['number']}' is no number")
    return Condition(match["name"], match["sign"], value)


def _unknown(
    part: str, match: re.Match[str] | None, known: Mapping[str, str], others: Mapping[str, str]
) -> str:
    names = [*known, "points", *others]
    word = re.match(r"\w*", part)
    name = word[0] if word else ""
    if match is None and (name in known or (others and name in _COMPARED_VOXELS)):
        return f"'{part}' compares nothing: write {name} and one of {' '.join(COMPARISONS)} with a number"
    near = get_close_matches(name, names, n=2)
    hint = f"did you mean {' or '.join(near)}?" if near else f"known are {', '.join(names)}"
    return f"'{part}' is unknown: {hint}"
