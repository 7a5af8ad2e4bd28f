"""The files made from one image: what they hold and their names."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from fastseg.io import output_path
from fastseg.io.naming import step_path
from fastseg.operators.registry import get_operator
from fastseg.screen.request import Plan
from fastseg.workflow.run import needed_for
from fastseg.workflow.schema import Workflow

_RESERVED = ("struct_segmentation", "preview", "steps", "sweep")


@dataclass(frozen=True)
class Outputs:
    """Where the results of one image go.

    Attributes
    ----------
    main : Path
        The segmentation, or what the run ended with in its place.
    steps : dict of str to Path
        For the ids of the steps whose results are written beside it and are arrays.
    scalars : dict of str to str
        Ids of the steps whose results are single values, and their names in the file `values`.
    values : Path or None
        May be `main`.
    preview : Path or None
    """

    main: Path
    steps: dict[str, Path] = field(default_factory=dict)
    scalars: dict[str, str] = field(default_factory=dict)
    values: Path | None = None
    preview: Path | None = None

    def paths(self) -> list[Path]:
        """All of them, the main one first."""
        extra = [p for p in (self.values, self.preview) if p is not None and p != self.main]
        return [self.main, *self.steps.values(), *extra]

    def kept(self) -> set[str]:
        """Ids of the steps whose results are needed."""
        return {*self.steps, *self.scalars}


def plan_outputs(plan: Plan, stem: str) -> Outputs:
    """The files that an image of this stem gives."""
    until = plan.until
    compat = plan.request.compat
    names = step_names(plan.workflow, rescaled=plan.rescales, compat=compat)
    if until is not None:
        run = {step.id for step in needed_for(plan.workflow, until)}
        names = {until: step_names(plan.workflow, rescaled=True, compat=compat)[until]} | names
        names = {i: n for i, n in names.items() if i in run}
    wanted = {i: n for i, n in names.items() if plan.request.save_steps or i == until}
    scalars = {
        i: n
        for i, n in wanted.items()
        if get_operator(plan.workflow.step(i).operator).output.kind == "scalar"
    }
    files = {i: step_path(plan.output, stem, n) for i, n in wanted.items() if i not in scalars}
    values = plan.output / f"{stem}_steps.json" if scalars else None
    if until is None:
        main = output_path(plan.output, stem, plan.suffix)
    elif until in scalars:
        assert values is not None
        main = values
    else:
        main = files.pop(until)
    return Outputs(
        main=main,
        steps=files,
        scalars=scalars,
        values=values,
        preview=plan.output / f"{stem}_preview.png" if plan.request.preview else None,
    )


def step_names(workflow: Workflow, rescaled: bool, compat: bool = False) -> dict[str, str]:
    """Names of the steps' results by step id, in the order of the run.

    The name under which the workflow exposes a step, with `compat` as in the reference, or the step's id. Steps that
    only pass their input on because there is no rescale ratio are left out, unless exposed.
    """
    exposed: dict[str, str] = {}
    for name, step_id in workflow.exposed(compat).items():
        exposed.setdefault(step_id, name)
    active = rescaled and workflow.rescale == "supported"
    steps = [s.id for s in workflow.ordered() if active or s.when != "rescale" or s.id in exposed]
    taken = {*_RESERVED, *exposed.values()}
    names: dict[str, str] = {}
    for step_id in steps:
        name = exposed.get(step_id, step_id)
        if step_id not in exposed or name in _RESERVED:
            while name in taken:
                name = f"step_{name}"
            taken.add(name)
        names[step_id] = name
    return names
