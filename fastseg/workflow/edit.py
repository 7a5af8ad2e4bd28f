"""Changing a definition: single parameters, and new definitions from old ones."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import yaml

from fastseg.errors import Problems, UsageError
from fastseg.operators.registry import get_operator
from fastseg.workflow.load import get_workflow, library_text
from fastseg.workflow.schema import Step, Workflow
from fastseg.workflow.validate import find_problems


@dataclass(frozen=True)
class Target:
    """A parameter of a step, or one entry of a parameter that is a list.

    Attributes
    ----------
    step, parameter : str
    index : int or None
        Entry of the list, from 0.
    """

    step: str
    parameter: str
    index: int | None = None

    def __str__(self) -> str:
        return f"{self.step}.{self.parameter}" + ("" if self.index is None else f".{self.index}")


def parse_target(text: str) -> Target:
    """``step.parameter`` or ``step.parameter.index``.

    Raises
    ------
    UsageError
        For another form.
    """
    match = re.fullmatch(r"(\w+)\.(\w+?)(?:\.(\d+))?", text.strip())
    if match is None:
        raise UsageError(f"'{text}' does not name a parameter: write STEP.PARAMETER or STEP.PARAMETER.INDEX")
    return Target(match[1], match[2], None if match[3] is None else int(match[3]))


def parse_assignment(text: str) -> tuple[Target, Any]:
    """``step.parameter=value``; the value is read as YAML, so ``0.1``, ``true``, ``tri`` and ``[1, 10]`` work.

    Raises
    ------
    UsageError
        For another form.
    """
    name, sign, value = text.partition("=")
    if not sign or not value.strip():
        raise UsageError(f"'{text}' is not an assignment: write STEP.PARAMETER=VALUE")
    try:
        return parse_target(name), yaml.safe_load(value)
    except yaml.YAMLError:
        raise UsageError(f"'{text}': the value '{value}' cannot be read") from None


def parameter_value(step: Step, target: Target) -> Any:
    """What a parameter is before it is changed, with the operator's default where the file gives none.

    Raises
    ------
    UsageError
        If the step has no such parameter or entry.
    """
    fields = get_operator(step.operator).params.model_fields
    if target.parameter not in fields:
        near = get_close_matches(target.parameter, fields, n=1)
        known = ", ".join(fields) or "none"
        hint = f"did you mean '{near[0]}'?" if near else f"its parameters are: {known}"
        raise UsageError(f"{target}: {step.operator} has no parameter '{target.parameter}': {hint}")
    value = step.parameters.get(target.parameter, fields[target.parameter].default)
    if target.index is None:
        return value
    if not isinstance(value, list | tuple) or target.index >= len(value):
        size = f"has {len(value)} entries" if isinstance(value, list | tuple) else "is not a list"
        raise UsageError(f"{target}: '{target.parameter}' {size}")
    return value[target.index]


def _step(workflow: Workflow, target: Target) -> Step:
    ids = [step.id for step in workflow.steps]
    if target.step not in ids:
        near = get_close_matches(target.step, ids, n=1)
        hint = f"did you mean '{near[0]}'?" if near else f"its steps are {', '.join(ids)}"
        raise UsageError(f"{target}: workflow '{workflow.name}' has no step '{target.step}': {hint}")
    return workflow.step(target.step)


def with_parameters(workflow: Workflow, changes: Sequence[tuple[Target, Any]]) -> Workflow:
    """A definition with other parameters.

    Parameters
    ----------
    workflow : Workflow
        Not changed.
    changes : sequence of (Target, value)

    Raises
    ------
    UsageError
        If a step, parameter or entry does not exist.
    Problems
        If values do not fit; every problem is listed.
    """
    for target, value in changes:
        step = _step(workflow, target)
        before = parameter_value(step, target)
        if isinstance(before, float) and isinstance(value, int) and not isinstance(value, bool):
            value = float(value)
        if target.index is not None:
            whole = list(parameter_value(step, Target(target.step, target.parameter)))
            whole[target.index] = value
            value = whole
        changed = step.model_copy(update={"parameters": {**step.parameters, target.parameter: value}})
        steps = [changed if s.id == step.id else s for s in workflow.steps]
        workflow = workflow.model_copy(update={"steps": steps})
    problems = find_problems(workflow)
    if problems:
        raise Problems(
            f"workflow '{workflow.name}' with {', '.join(str(t) for t, _ in changes)} changed", problems
        )
    return workflow


def new_definition(source: str, path: str | Path, *, overwrite: bool = False) -> Workflow:
    """Start a definition file from a workflow of the library or another file, renamed after the file.

    Parameters
    ----------
    source : str
        Name or file.
    path : str or Path
        The new .yaml file.

    Raises
    ------
    UsageError
        If the file exists, has another suffix, or cannot be written; if the source does not exist.
    """
    path = Path(path)
    if path.suffix.lower() not in (".yaml", ".yml"):
        raise UsageError(f"{path} is not a .yaml file")
    name = re.sub(r"\W", "_", path.stem)
    if not re.match(r"[A-Za-z]", name):
        raise UsageError(f"{path}: the file's name becomes the workflow's and must begin with a letter")
    if path.exists() and not overwrite:
        raise UsageError(f"{path} exists already: choose another name or add --overwrite")
    workflow = get_workflow(source)
    given = Path(source)
    text = given.read_text(encoding="utf-8") if given.is_file() else library_text(workflow.name)
    text, found = re.subn(r"^name: .*$", f"name: {name}", text, count=1, flags=re.MULTILINE)
    if not found:
        raise UsageError(f"{source} has no line 'name: ...' to rename: convert it to the native format first")
    text = re.sub(r"^source: .*$", f"source: after {workflow.name}", text, count=1, flags=re.MULTILINE)
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}") from None
    return get_workflow(path)
