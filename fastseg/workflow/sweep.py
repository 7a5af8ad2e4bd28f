"""Running a workflow over ranges of parameters without computing again what has not changed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from time import perf_counter
from typing import Any

import numpy as np

from fastseg.arrays import to_host
from fastseg.tiling import ArrayVolume, Engine, Volume
from fastseg.types import Array, Box
from fastseg.workflow.run import check_image, check_ratio, needed_for, run_step
from fastseg.workflow.schema import Workflow
from fastseg.workflow.variation import SweepPlan, Variation, plan_sweep


@dataclass(frozen=True)
class SweepPoint:
    """The result of one combination of values.

    Attributes
    ----------
    number : int
        Its number, from 0, the last variation changing fastest.
    values : dict of str to value
        By ``step.parameter``.
    mask : ndarray of bool, (Z, Y, X), or None
        On the grid that the workflow left it on; None where masks are not kept.
    voxels : int
        Foreground voxels.
    objects : int
        Face-connected objects.
    seconds : float
        Time of the steps that had to be computed.
    computed : tuple of str
        Ids of these steps.
    """

    number: int
    values: dict[str, Any]
    mask: np.ndarray | None = field(repr=False)
    voxels: int
    objects: int
    seconds: float
    computed: tuple[str, ...]


def sweep(
    workflow: Workflow,
    image: Array,
    variations: Sequence[Variation],
    *,
    engine: Engine | None = None,
    rescale: float | None = None,
    compat: bool = False,
    keep_masks: bool = True,
    on_point: Callable[[SweepPoint, int, int], None] | None = None,
) -> list[SweepPoint]:
    """Run a workflow for every combination of values.

    Steps that have no part in the result are not run.

    Parameters
    ----------
    workflow : Workflow
    image : array (Z, Y, X)
        Any real dtype, on the engine's device. Never modified.
    variations : sequence of Variation
    engine, rescale, compat, keep_masks, on_point
        As in `run_sweep`.

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
    plan = plan_sweep(workflow, variations)
    return run_sweep(
        plan,
        image,
        engine=engine,
        rescale=rescale,
        compat=compat,
        keep_masks=keep_masks,
        on_point=on_point,
    )


def run_sweep(
    plan: SweepPlan,
    image: Array,
    *,
    engine: Engine | None = None,
    rescale: float | None = None,
    compat: bool = False,
    keep_masks: bool = True,
    on_point: Callable[[SweepPoint, int, int], None] | None = None,
) -> list[SweepPoint]:
    """Run the combinations of a plan.

    A step is computed again only if one of its parameters, or something it depends on, has changed since the point
    before; combinations are run so that the earliest steps change least often. Varying a cutoff thus costs the filter
    once. A step's result is held only as long as a later point reads it.

    Parameters
    ----------
    plan : SweepPlan
    image : array (Z, Y, X)
        Any real dtype, on the engine's device. Never modified.
    engine : Engine, optional
        In memory on the CPU by default.
    rescale, compat
        As in `run_workflow`.
    keep_masks : bool
        Whether the points that are returned hold their masks; those given to `on_point` always do.
    on_point : callable
        Called after every point with the point, how many are done, and how many there are.

    Returns
    -------
    list of SweepPoint
        In the order of the plan's combinations.

    Raises
    ------
    UsageError
        If the ratio is not positive.
    InputError
        If the image is unsuitable.
    """
    engine = engine or Engine()
    check_ratio(rescale)
    rescale = None if plan.workflow.rescale == "ignored" else rescale
    found: dict[int, SweepPoint] = {}
    with engine.ns.active():
        check_image(image, engine.ns)
        results = _Results(plan, image, engine, rescale, compat)
        for done, number in enumerate(plan.run_order, start=1):
            point = results.point(done - 1, number)
            if on_point is not None:
                on_point(point, done, len(plan.run_order))
            found[number] = point if keep_masks else replace(point, mask=None)
    return [found[number] for number in range(len(found))]


class _Results:
    """The steps' latest results, as far as points to come read them.

    A key stands for a step with its parameters and all that it depends on; equal keys mean equal results. The keys of
    all points are known from the start, and so is what is worth holding.
    """

    def __init__(
        self, plan: SweepPlan, image: Array, engine: Engine, rescale: float | None, compat: bool
    ) -> None:
        self.plan = plan
        self.engine = engine
        self.rescale = rescale
        self.compat = compat
        self.source = plan.workflow.inputs[0]
        self.result = plan.workflow.result.step
        # Parameters change from point to point, connections do not.
        self.order = needed_for(plan.workflow, self.result)
        self.keys = self._keys()
        self.useful = self._useful()
        volume = ArrayVolume(engine.ns.xp.ascontiguousarray(image, dtype=np.float32))
        self.held: dict[str, tuple[int, Any]] = {self.source: (self.keys[0][self.source], volume)}

    def point(self, turn: int, number: int) -> SweepPoint:
        """Compute a combination: the `turn`-th that is run, the `number`-th of the plan."""
        keys, definition = self.keys[turn], self.plan.definitions[number]
        self.held = {name: held for name, held in self.held.items() if held[0] == keys[name]}
        missing = self._missing()
        seconds = 0.0
        for i, step_id in enumerate(missing):
            step = definition.step(step_id)
            inputs = [self.held[name][1] for name in step.inputs]
            started = perf_counter()
            value = run_step(step, inputs, self.engine, self.rescale, self.compat)
            seconds += perf_counter() - started
            del inputs
            self.held[step_id] = (keys[step_id], value)
            later = {name for other in missing[i + 1 :] for name in definition.step(other).inputs}
            self._drop(self.useful[turn] | later | {self.result})
        mask = self._mask()
        self._drop(self.useful[turn])
        host = to_host(mask)
        return SweepPoint(
            number=number,
            values=self.plan.named_values(number),
            mask=host,
            voxels=int(np.count_nonzero(host)),
            objects=int(self.engine.ns.ndi.label(mask)[1]),
            seconds=seconds,
            computed=tuple(missing),
        )

    def _keys(self) -> list[dict[str, int]]:
        """The key of every step, for every point in the order of the run."""
        numbers: dict[tuple[Any, ...], int] = {}
        table = []
        for number in self.plan.run_order:
            definition = self.plan.definitions[number]
            keys = {self.source: 0}
            for step in self.order:
                own = definition.step(step.id).model_dump_json()
                keys[step.id] = numbers.setdefault(
                    (own, *(keys[name] for name in step.inputs)), len(numbers) + 1
                )
            table.append(keys)
        return table

    def _useful(self) -> list[set[str]]:
        """For every point, the results that a later one reads before they change."""
        table: list[set[str]] = [set() for _ in self.keys]
        for turn in range(len(self.keys) - 2, -1, -1):
            now, then = self.keys[turn], self.keys[turn + 1]
            read = {name for step in self.order if now[step.id] != then[step.id] for name in step.inputs}
            read |= {self.result} | table[turn + 1]
            table[turn] = {name for name in read if now[name] == then[name]}
        return table

    def _missing(self) -> list[str]:
        """Ids of the steps that have to be computed for the result, in order."""
        needed = {self.result}
        missing = []
        for step in reversed(self.order):
            if step.id in needed and step.id not in self.held:
                missing.append(step.id)
                needed.update(step.inputs)
        return missing[::-1]

    def _drop(self, kept: set[str]) -> None:
        self.held = {name: held for name, held in self.held.items() if name in kept}

    def _mask(self) -> Array:
        value = self.held[self.result][1]
        return (value.read(Box.whole(value.shape)) if isinstance(value, Volume) else value) > 0
