"""Running a workflow over a range of parameters, computing every distinct step once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import product
from time import perf_counter
from typing import Any

import numpy as np

from fastseg.arrays import to_host
from fastseg.errors import UsageError
from fastseg.operators.registry import get_operator
from fastseg.tiling import ArrayVolume, Engine, Volume
from fastseg.types import Array, Box
from fastseg.workflow.edit import Target, parameter_value, parse_target, with_parameters
from fastseg.workflow.run import check_image, run_step
from fastseg.workflow.schema import Workflow

MOST_POINTS = 1000


@dataclass(frozen=True)
class Variation:
    """A parameter and the values it takes."""

    target: Target
    values: tuple[Any, ...]


@dataclass(frozen=True)
class SweepPoint:
    """The result of one combination of values.

    Attributes
    ----------
    values : dict of str to value
        By ``step.parameter``.
    mask : ndarray of bool, (Z, Y, X)
    voxels : int
        Foreground voxels.
    objects : int
        Face-connected objects.
    seconds : float
        Time of the steps that had to be computed.
    computed : tuple of str
        Ids of these steps.
    """

    values: dict[str, Any]
    mask: np.ndarray = field(repr=False)
    voxels: int
    objects: int
    seconds: float
    computed: tuple[str, ...]


def parse_variation(text: str) -> Variation:
    """``step.parameter=from:to:count`` (both ends included) or ``step.parameter=a,b,c``.

    Raises
    ------
    UsageError
        For another form.
    """
    name, sign, value = text.partition("=")
    form = "write STEP.PARAMETER=FROM:TO:COUNT or STEP.PARAMETER=A,B,C"
    if not sign:
        raise UsageError(f"'{text}' is not a variation: {form}")
    target = parse_target(name)
    try:
        if ":" in value:
            low, high, count = value.split(":")
            if int(count) < 1:
                raise UsageError(f"'{text}': the count must be at least 1")
            values: Sequence[float] = np.linspace(float(low), float(high), int(count)).tolist()
        else:
            values = [float(v) for v in value.split(",")]
    except ValueError:
        raise UsageError(f"'{text}' is not a variation: {form}") from None
    return Variation(target, tuple(values))


def _fitting(workflow: Workflow, variation: Variation) -> Variation:
    """The variation with whole numbers where the parameter is one, and without noise in the last digits."""
    step = workflow.step(variation.target.step)
    before = parameter_value(step, variation.target)
    if isinstance(before, int) and not isinstance(before, bool):
        wanted = get_operator(step.operator).params.model_fields[variation.target.parameter].annotation
        if wanted is int:
            if any(v != round(v) for v in variation.values):
                raise UsageError(f"{variation.target} takes whole numbers, not {list(variation.values)}")
            return Variation(variation.target, tuple(round(v) for v in variation.values))
    return Variation(variation.target, tuple(float(f"{v:.10g}") for v in variation.values))


def sweep(
    workflow: Workflow,
    image: Array,
    variations: Sequence[Variation],
    *,
    engine: Engine | None = None,
    rescale: float | None = None,
    compat: bool = False,
    on_point: Callable[[SweepPoint, int, int], None] | None = None,
) -> list[SweepPoint]:
    """Run a workflow for every combination of values.

    A step is computed again only if one of its parameters, or something it depends on, has changed since the point
    before; combinations are run so that the earliest steps change least often. Varying a cutoff thus costs the filter
    once.

    Parameters
    ----------
    workflow : Workflow
    image : array (Z, Y, X)
    variations : sequence of Variation
    engine : Engine, optional
    rescale, compat
        As in `run_workflow`.
    on_point : callable
        Called after every point with the point, its number from 0 and the number of points.

    Returns
    -------
    list of SweepPoint
        The last variation changing fastest.

    Raises
    ------
    UsageError
        If a parameter does not exist or cannot take a value, or for more than 1000 combinations.
    InputError
        If the image is unsuitable.
    """
    engine = engine or Engine()
    with_parameters(workflow, [(v.target, parameter_value_or_fail(workflow, v)) for v in variations])
    variations = [_fitting(workflow, v) for v in variations]
    points = list(_combinations(workflow, variations))
    if len(points) > MOST_POINTS:
        raise UsageError(
            f"{len(points)} combinations are too many for one sweep: at most {MOST_POINTS} are run"
        )
    definitions = [with_parameters(workflow, list(point.items())) for point in points]
    check_image(image, engine.ns)
    if workflow.rescale == "ignored":
        rescale = None
    cache = _Cache(workflow, image, engine, rescale, compat, {v.target.step for v in variations})
    found: dict[tuple[Any, ...], SweepPoint] = {}
    for number, (point, definition) in enumerate(zip(points, definitions, strict=True)):
        result = cache.run(definition, {str(t): v for t, v in point.items()})
        found[tuple(point[v.target] for v in variations)] = result
        if on_point is not None:
            on_point(result, number, len(points))
    return [found[key] for key in product(*(v.values for v in variations))]


def parameter_value_or_fail(workflow: Workflow, variation: Variation) -> Any:
    """The present value of what is varied; the checks of `with_parameters` apply."""
    steps = {step.id: step for step in workflow.steps}
    if variation.target.step not in steps:
        return variation.values[0]
    value = parameter_value(steps[variation.target.step], variation.target)
    return list(value) if isinstance(value, tuple) else value


def _combinations(workflow: Workflow, variations: Sequence[Variation]) -> Iterator[dict[Target, Any]]:
    """All combinations, the parameters of the earliest steps changing slowest."""
    order = {step.id: i for i, step in enumerate(workflow.ordered())}
    slow_first = sorted(variations, key=lambda v: order[v.target.step])
    for values in product(*(v.values for v in slow_first)):
        yield {v.target: value for v, value in zip(slow_first, values, strict=True)}


class _Cache:
    """The latest result of every step that later points may need."""

    def __init__(
        self,
        workflow: Workflow,
        image: Array,
        engine: Engine,
        rescale: float | None,
        compat: bool,
        varied: set[str],
    ) -> None:
        self.engine = engine
        self.rescale = rescale
        self.compat = compat
        source = workflow.inputs[0]
        volume = ArrayVolume(engine.ns.xp.ascontiguousarray(image, dtype=np.float32))
        self.known: dict[str, tuple[Any, Any]] = {source: ((), volume)}
        changing = set(varied)
        for step in workflow.ordered():
            if changing.intersection(step.inputs):
                changing.add(step.id)
        # what no changing step reads is not needed again once its fixed consumers are done
        self.kept = {source} | {
            name for step in workflow.steps if step.id in changing for name in (*step.inputs, step.id)
        }

    def run(self, definition: Workflow, values: dict[str, Any]) -> SweepPoint:
        seconds, computed = 0.0, []
        steps = definition.ordered()
        for i, step in enumerate(steps):
            key = (
                step.model_dump_json(),
                *(self.known[name][0] for name in step.inputs if name in self.known),
            )
            held = self.known.get(step.id)
            if held is not None and held[0] == key:
                continue
            started = perf_counter()
            inputs = [self.known[name][1] for name in step.inputs]
            self.known[step.id] = (key, run_step(step, inputs, self.engine, self.rescale, self.compat))
            seconds += perf_counter() - started
            computed.append(step.id)
            later = {name for other in steps[i + 1 :] for name in other.inputs} | {definition.result.step}
            for name in list(self.known):
                if name not in later and name not in self.kept:
                    self.known[name] = (self.known[name][0], None)
        result = self.known[definition.result.step][1]
        mask = result.read(Box.whole(result.shape)) > 0 if isinstance(result, Volume) else result > 0
        objects = int(self.engine.ns.ndi.label(mask)[1])
        host = to_host(mask)
        return SweepPoint(values, host, int(np.count_nonzero(host)), objects, seconds, tuple(computed))
