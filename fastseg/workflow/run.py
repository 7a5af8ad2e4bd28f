"""Running a workflow on one image."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from time import perf_counter
from typing import Any

import numpy as np

from fastseg.arrays import Namespace, namespace_of
from fastseg.arrays.host_steps import host_steps
from fastseg.arrays.namespace import is_on_gpu
from fastseg.errors import InputError, UsageError
from fastseg.operators.registry import get_operator
from fastseg.operators.run import execute
from fastseg.tiling import ArrayVolume, Engine, Volume
from fastseg.tiling.program import Node
from fastseg.types import Array, Box
from fastseg.workflow.parameters import step_parameters
from fastseg.workflow.program import as_foreground, program_of
from fastseg.workflow.schema import Step, Workflow
from fastseg.workflow.venue import Venue


@dataclass(frozen=True)
class StepEvent:
    """A step is about to run: its id and operator, its number from 0, and how many steps there are."""

    step: str
    operator: str
    number: int
    total: int


@dataclass
class Outcome:
    """What a workflow produced.

    Attributes
    ----------
    result : array (Z, Y, X)
        Integer, 0 and the workflow's foreground value, on the engine's device; on the host where the memory of that one
        did not suffice.
    steps : dict of str to array or scalar
        The results of the steps that were asked for.
    seconds : dict of str to float
        Time of every step.
    notes : list of str
        Remarks for the user.
    shortages : list of str
        Those of them that say what did not fit into the memory of a GPU, and how it went on.
    """

    result: Array
    steps: dict[str, Any] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    shortages: list[str] = field(default_factory=list)


def _quiet(event: StepEvent) -> None:
    pass


def check_image(image: Array, ns: Namespace) -> None:
    """Refuse what no workflow can segment.

    Raises
    ------
    InputError
        For another number of dimensions than 3, an empty axis, values that are not real, NaN or infinite voxels (which
        are counted), and a constant image.
    """
    xp = ns.xp
    if image.ndim != 3:
        raise InputError(
            f"the image is {image.ndim}-D {tuple(image.shape)}; a workflow needs one (Z, Y, X) stack"
        )
    if 0 in image.shape:
        raise InputError(f"the image has shape {tuple(image.shape)}; no axis may be empty")
    if image.dtype.kind not in "buif":
        raise InputError(f"the image has dtype {image.dtype}; real numbers are needed")
    low, high = image.min(), image.max()  # NaN if there is one
    if image.dtype.kind == "f":
        if not (np.isfinite(float(low)) and np.isfinite(float(high))):
            bad = int(image.size - xp.count_nonzero(xp.isfinite(image)))
            nan = int(xp.count_nonzero(xp.isnan(image)))
            raise InputError(
                f"the image holds {nan} NaN and {bad - nan} infinite voxels of {image.size}; replace them first"
            )
        largest = max(abs(float(low)), abs(float(high)))
        if largest > np.finfo(np.float32).max:
            raise InputError(f"the image holds a value of {largest:g}, beyond float32; rescale it first")
    if low == high:
        raise InputError(
            f"the image is constant (every voxel is {float(low):g}): there is nothing to segment"
        )


def run_workflow(
    workflow: Workflow,
    image: Array,
    *,
    engine: Engine | None = None,
    rescale: float | None = None,
    compat: bool = False,
    until: str | None = None,
    keep: Collection[str] = (),
    on_step: Callable[[StepEvent], None] = _quiet,
    or_cpu: bool = False,
) -> Outcome:
    """Run a workflow on one image.

    Where the memory of a GPU runs out, the steps that are left go tile by tile, with everything between them on the
    host; the result is the same.

    Parameters
    ----------
    workflow : Workflow
        Validated.
    image : array (Z, Y, X)
        Any real dtype; used as float32, never modified. Copied to the engine's device, once, if it is not there.
    engine : Engine, optional
        In memory on the CPU by default.
    rescale : float, optional
        Ratio by which y and x are resampled after normalisation; the result stays on that grid.
    compat : bool
        Set the switch `compat` of every operator that has one: what was fixed on purpose in the reference
        implementation, such as an order that it leaves undefined, is then as it was. Exposed names then mean the
        steps that they mean there.
    until : str, optional
        Id of a step, or the name under which it is exposed: only it and what it needs is run, and its own result (an
        image, a mask, labels or a number) is the outcome's.
    keep : collection of str
        Ids of steps whose results are returned as well.
    on_step : callable
        Called before every step.
    or_cpu : bool
        Go on on the CPU where small tiles do not fit into the memory of the GPU either.

    Raises
    ------
    InputError
        If the image is unsuitable.
    UsageError
        If the ratio is not positive, or there is no step `until`.
    GpuMemoryError
        If the GPU has too little memory for tiles of any size.
    """
    check_ratio(rescale)
    outcome = Outcome(result=None)
    if rescale is not None and workflow.rescale == "ignored":
        outcome.notes.append(
            f"workflow '{workflow.name}' does not rescale: the ratio {rescale:g} has no effect"
        )
        rescale = None
    final = workflow.result.step if until is None else step_id(workflow, until, compat)
    steps = workflow.ordered() if until is None else needed_for(workflow, final)
    last_use = {name: i for i, step in enumerate(steps) for name in step.inputs}
    last_use[final] = len(steps)
    known: dict[str, Any] = {}

    def program() -> tuple[Sequence[Node], Sequence[str]]:
        nodes, names = program_of(workflow, steps, rescale, compat)
        return nodes, [names[final]]

    venue = Venue(engine or Engine(), or_cpu, program, tuple(image.shape))
    held = (known, outcome.steps)
    known[workflow.inputs[0]] = venue.run("the image", lambda engine: _source(image, engine), held)
    for i, step in enumerate(steps):
        on_step(StepEvent(step.id, step.operator, i, len(steps)))
        started = perf_counter()

        def compute(engine: Engine, step: Step = step) -> Any:
            return run_step(step, [known[name] for name in step.inputs], engine, rescale, compat)

        with host_steps() as on_host:
            known[step.id] = venue.run(f"step '{step.id}'", compute, held)
        reasons = dict.fromkeys(found.reason for found in on_host)
        outcome.notes += [f"step '{step.id}' ran on the host, not on the GPU: {reason}" for reason in reasons]
        outcome.seconds[step.id] = perf_counter() - started
        if step.id in keep:
            outcome.steps[step.id] = _array(known[step.id])
        for name in list(known):
            if last_use.get(name, -1) <= i:
                del known[name]

    def finish(engine: Engine) -> Any:
        result = _array(known[final])
        if until is None:
            return as_foreground(result, workflow.result)
        # a step that passes its input on would hand out the caller's image
        return result.copy() if hasattr(result, "shape") and _shared(result, image) else result

    outcome.result = venue.run("the result", finish, held)
    outcome.shortages += venue.notes
    outcome.notes += venue.notes
    return outcome


def _source(image: Array, engine: Engine) -> ArrayVolume:
    """The image where the volumes of an engine are."""
    ns = engine.home
    array = ns.put(image)
    check_image(array, ns)
    return ArrayVolume(ns.xp.ascontiguousarray(array, dtype=np.float32))


def _shared(result: Array, image: Array) -> bool:
    apart = is_on_gpu(result) != is_on_gpu(image)
    return not apart and bool(namespace_of(result).xp.may_share_memory(result, image))


def check_ratio(rescale: float | None) -> None:
    """Refuse a rescale ratio that is not above 0 and at most 100.

    Raises
    ------
    UsageError
        With the ratio.
    """
    if rescale is not None and not 0 < rescale <= 100:
        raise UsageError(f"rescale ratio {rescale:g} is out of range: it must be above 0 and at most 100")


def step_id(workflow: Workflow, name: str, compat: bool = False) -> str:
    """The id of a step by its id or by the name under which the workflow exposes it.

    An id comes before an exposed name. With `compat` a name that means another step in the reference comes first of
    all, an id or not.

    Raises
    ------
    UsageError
        If there is no such step; the message names the nearest ones.
    """
    if compat and name in workflow.exposes_compat:
        return workflow.exposes_compat[name]
    ids = [step.id for step in workflow.ordered()]
    if name in ids:
        return name
    if name in workflow.exposes:
        return workflow.exposes[name]
    near = get_close_matches(name, dict.fromkeys([*ids, *workflow.exposes]), n=2)
    hint = f"did you mean {' or '.join(near)}?" if near else f"its steps are {', '.join(ids)}"
    raise UsageError(f"workflow '{workflow.name}' has no step '{name}': {hint}")


def needed_for(workflow: Workflow, name: str) -> list[Step]:
    """A step, by id or exposed name, and everything that it needs, in order.

    Raises
    ------
    UsageError
        If there is no such step; the message names the nearest ones.
    """
    needed = {step_id(workflow, name)}
    steps = workflow.ordered()
    for step in reversed(steps):
        if step.id in needed:
            needed.update(step.inputs)
    return [step for step in steps if step.id in needed]


def _array(result: Any) -> Any:
    return result.read(Box.whole(result.shape)) if isinstance(result, Volume) else result


def run_step(step: Step, inputs: list[Any], engine: Engine, rescale: float | None, compat: bool) -> Any:
    if step.when == "rescale" and rescale is None:
        return inputs[0]
    spec = get_operator(step.operator)
    try:
        return execute(spec, inputs, step_parameters(step, rescale, compat), engine)
    except InputError as error:
        raise InputError(f"step '{step.id}': {error}") from error
