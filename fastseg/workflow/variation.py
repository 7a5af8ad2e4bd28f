"""Ranges of parameters: what a sweep varies, and all its definitions checked before anything is computed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, get_args

import numpy as np

from fastseg.errors import Problems, UsageError
from fastseg.operators.registry import get_operator
from fastseg.workflow.edit import (
    Target,
    find_step,
    parameter_value,
    parse_target,
    parse_value,
    with_parameters,
)
from fastseg.workflow.run import needed_for
from fastseg.workflow.schema import Workflow

MOST_POINTS = 1000
_SHOWN_PROBLEMS = 20
_FORM = "write STEP.PARAMETER=FROM:TO:COUNT or STEP.PARAMETER=A,B,C"


@dataclass(frozen=True)
class Variation:
    """A parameter and the values it takes."""

    target: Target
    values: tuple[Any, ...]


@dataclass(frozen=True)
class SweepPlan:
    """A sweep that has been checked.

    Attributes
    ----------
    workflow : Workflow
        Before anything is varied.
    variations : tuple of Variation
        With values of the parameters' own types.
    values : tuple of tuple
        The combinations, one value for each variation; the last variation changes fastest.
    definitions : tuple of Workflow
        The workflow with each of these combinations.
    run_order : tuple of int
        Numbers of the combinations in the order in which the earliest steps change least often.
    """

    workflow: Workflow
    variations: tuple[Variation, ...]
    values: tuple[tuple[Any, ...], ...]
    definitions: tuple[Workflow, ...]
    run_order: tuple[int, ...]

    def named_values(self, number: int) -> dict[str, Any]:
        """One combination, by ``step.parameter``."""
        return {str(v.target): x for v, x in zip(self.variations, self.values[number], strict=True)}


def parse_variation(text: str) -> Variation:
    """``step.parameter=from:to:count`` (evenly spaced, both ends included) or ``step.parameter=a,b,c``.

    Values that are listed are read as YAML, so ``tri,med`` and ``[1, 10],[2, 10]`` work.

    Raises
    ------
    UsageError
        For another form, or a count that is not 1 to 1000.
    """
    name, sign, value = text.partition("=")
    if not sign or not value.strip():
        raise UsageError(f"'{text}' is not a variation: {_FORM}")
    target = parse_target(name)
    if ":" in value:
        return Variation(target, _spaced(text, value))
    try:
        values = parse_value(f"[{value}]")
    except UsageError:
        raise UsageError(f"'{text}' is not a variation: {_FORM}") from None
    if not values:
        raise UsageError(f"'{text}' is not a variation: {_FORM}")
    return Variation(target, tuple(values))


def _spaced(text: str, value: str) -> tuple[float, ...]:
    try:
        low, high, count = value.split(":")
        start, stop, number = float(low), float(high), int(count)
    except ValueError:
        raise UsageError(f"'{text}' is not a variation: {_FORM}") from None
    if not (math.isfinite(start) and math.isfinite(stop)):
        raise UsageError(f"'{text}': FROM and TO must be finite numbers")
    if not 1 <= number <= MOST_POINTS:
        raise UsageError(f"'{text}': the count must be 1 to {MOST_POINTS}")
    return tuple(np.linspace(start, stop, number).tolist())


def plan_sweep(workflow: Workflow, variations: Sequence[Variation]) -> SweepPlan:
    """Check a sweep and make the definition of every combination.

    Raises
    ------
    UsageError
        If nothing is varied, or for more than 1000 combinations.
    Problems
        With everything else that is wrong: steps and parameters that do not exist or do not matter for the result,
        values that do not fit or appear twice.
    """
    if not variations:
        raise UsageError(f"nothing is varied: {_FORM}")
    what = f"sweep of workflow '{workflow.name}'"
    fitted: list[Variation] = []
    problems: list[str] = []
    for variation in variations:
        try:
            if any(variation.target.overlaps(other.target) for other in fitted):
                raise UsageError(f"{variation.target}: is varied twice")
            fitted.append(_fitting(workflow, variation))
        except UsageError as error:
            problems.append(str(error))
    if problems:
        raise Problems(what, problems)
    count = math.prod(len(v.values) for v in fitted)
    if count > MOST_POINTS:
        raise UsageError(f"{count} combinations are too many for one sweep: at most {MOST_POINTS} are run")
    values = tuple(product(*(v.values for v in fitted)))
    definitions = []
    for combination in values:
        try:
            changes = [(v.target, x) for v, x in zip(fitted, combination, strict=True)]
            definitions.append(with_parameters(workflow, changes))
        except Problems as error:
            problems += [p for p in error.problems if p not in problems]
    if problems:
        rest = len(problems) - _SHOWN_PROBLEMS
        raise Problems(what, problems[:_SHOWN_PROBLEMS] + ([f"and {rest} more"] if rest > 0 else []))
    return SweepPlan(workflow, tuple(fitted), values, tuple(definitions), _run_order(workflow, fitted))


def _run_order(workflow: Workflow, variations: Sequence[Variation]) -> tuple[int, ...]:
    place = {step.id: i for i, step in enumerate(workflow.ordered())}
    slow_first = sorted(range(len(variations)), key=lambda i: place[variations[i].target.step])
    indices = list(product(*(range(len(v.values)) for v in variations)))
    numbers = sorted(range(len(indices)), key=lambda n: [indices[n][i] for i in slow_first])
    return tuple(numbers)


def _fitting(workflow: Workflow, variation: Variation) -> Variation:
    """The variation with whole numbers where the parameter is one, and without noise in the last digits."""
    target = variation.target
    step = find_step(workflow, target)
    parameter_value(step, target)
    if step not in needed_for(workflow, workflow.result.step):
        raise UsageError(f"{target}: step '{step.id}' has no part in the result of '{workflow.name}'")
    field = get_operator(step.operator).params.model_fields[target.parameter]
    kinds = _kinds(field.annotation, len(target.index))
    whole = int in kinds and float not in kinds
    values = tuple(_number(target, value, whole) for value in variation.values)
    for i, value in enumerate(values):
        if value in values[:i]:
            raise UsageError(f"{target}: the value {value!r} appears twice")
    return Variation(target, values)


def _number(target: Target, value: Any, whole: bool) -> Any:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return value
    if not whole:
        return float(f"{value:.10g}")
    if value != round(value):
        raise UsageError(f"{target}: takes whole numbers, not {value:g}")
    return round(value)


def _kinds(annotation: Any, depth: int) -> set[Any]:
    """The types that a parameter, or an entry `depth` lists down, may have."""
    parts = get_args(annotation)
    if not parts:
        return {annotation} if depth == 0 else set()
    if isinstance(annotation, type) or getattr(annotation, "__origin__", None) is tuple:
        return set().union(*(_kinds(p, depth - 1) for p in parts)) if depth else set()
    if hasattr(annotation, "__metadata__"):
        return _kinds(parts[0], depth)
    return set().union(*(_kinds(p, depth) for p in parts))
