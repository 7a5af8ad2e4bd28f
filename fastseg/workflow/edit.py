"""Changing a definition: single parameters, and new definitions from old ones."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import yaml
from pydantic_core import PydanticUndefined

from fastseg.errors import Problems, UsageError
from fastseg.io.atomic import atomic_output
from fastseg.operators.registry import get_operator
from fastseg.workflow.dump import dump_yaml
from fastseg.workflow.load import get_workflow, library_names, library_text, load_file, parse_text
from fastseg.workflow.schema import Step, Workflow
from fastseg.workflow.validate import find_problems
from fastseg.workflow.yaml_text import Loader


@dataclass(frozen=True)
class Target:
    """A parameter of a step, or one entry of a parameter that is a list.

    Attributes
    ----------
    step, parameter : str
    index : tuple of int
        Entry of the list, from 0; several numbers lead into a list of lists.
    """

    step: str
    parameter: str
    index: tuple[int, ...] = ()

    def __str__(self) -> str:
        return ".".join([self.step, self.parameter, *map(str, self.index)])

    def overlaps(self, other: Target) -> bool:
        """Whether setting both would set something twice."""
        depth = min(len(self.index), len(other.index))
        same = (self.step, self.parameter) == (other.step, other.parameter)
        return same and self.index[:depth] == other.index[:depth]


def parse_target(text: str) -> Target:
    """``step.parameter`` or ``step.parameter.index``.

    Raises
    ------
    UsageError
        For another form.
    """
    match = re.fullmatch(r"(\w+)\.([^\W\d]\w*)((?:\.\d+)*)", text.strip())
    if match is None:
        raise UsageError(f"'{text}' does not name a parameter: write STEP.PARAMETER or STEP.PARAMETER.INDEX")
    return Target(match[1], match[2], tuple(int(i) for i in match[3].split(".")[1:]))


def parse_value(text: str) -> Any:
    """A value as YAML writes it: ``0.1``, ``1e-3``, ``true``, ``tri``, ``[1, 10]``.

    Raises
    ------
    UsageError
        If it is not valid YAML, or is nothing.
    """
    try:
        value = yaml.load(text, Loader=Loader)  # a SafeLoader
    except (yaml.YAMLError, RecursionError, ValueError):
        raise UsageError(f"the value '{text}' cannot be read") from None
    if value is None and not text.strip():
        raise UsageError("no value is given")
    return value


def parse_assignment(text: str) -> tuple[Target, Any]:
    """``step.parameter=value``; for values see `parse_value`.

    Raises
    ------
    UsageError
        For another form.
    """
    name, sign, value = text.partition("=")
    if not sign or not value.strip():
        raise UsageError(f"'{text}' is not an assignment: write STEP.PARAMETER=VALUE")
    target = parse_target(name)
    try:
        return target, parse_value(value)
    except UsageError as error:
        raise UsageError(f"'{text}': {error}") from None


def parameter_value(step: Step, target: Target) -> Any:
    """What a parameter is before it is changed, with the operator's default where the file gives none.

    None where it has neither, such as the ratio of a step that takes it from the request.

    Raises
    ------
    UsageError
        If the step has no such parameter or entry.
    """
    fields = get_operator(step.operator).params.model_fields
    if target.parameter not in fields:
        near = get_close_matches(target.parameter, fields, n=1)
        known = ", ".join(fields) or "none"
        hint = f"did you mean '{near[0]}'?" if near else f"its parameters: {known}"
        raise UsageError(f"{target}: {step.operator} has no parameter '{target.parameter}' ({hint})")
    value = step.parameters.get(target.parameter, fields[target.parameter].default)
    value = None if value is PydanticUndefined else value
    for depth, index in enumerate(target.index):
        place = Target(target.step, target.parameter, target.index[:depth])
        if not isinstance(value, list | tuple):
            raise UsageError(f"{target}: {place} is {value!r}, not a list")
        if index >= len(value):
            raise UsageError(f"{target}: {place} has {len(value)} entries, counted from 0")
        value = value[index]
    return value


def find_step(workflow: Workflow, target: Target) -> Step:
    """The step that a target names.

    Raises
    ------
    UsageError
        If there is none; the message names the nearest ones.
    """
    ids = [step.id for step in workflow.steps]
    if target.step not in ids:
        near = get_close_matches(target.step, ids, n=2)
        hint = f"did you mean {' or '.join(near)}?" if near else f"its steps are {', '.join(ids)}"
        raise UsageError(f"{target}: workflow '{workflow.name}' has no step '{target.step}': {hint}")
    return workflow.step(target.step)


def with_assignments(workflow: Workflow, texts: Sequence[str]) -> Workflow:
    """A definition with other parameters, each given as ``step.parameter=value``.

    Raises
    ------
    Problems
        With everything that is wrong with any of them.
    """
    changes, problems = [], []
    for text in texts:
        try:
            changes.append(parse_assignment(text))
        except UsageError as error:
            problems.append(str(error))
    try:
        workflow = with_parameters(workflow, changes)
    except Problems as more:
        problems += more.problems
    if problems:
        raise Problems(f"changed parameters of workflow '{workflow.name}'", problems)
    return workflow


def with_parameters(workflow: Workflow, changes: Sequence[tuple[Target, Any]]) -> Workflow:
    """A definition with other parameters.

    Parameters
    ----------
    workflow : Workflow
        Not changed.
    changes : sequence of (Target, value)

    Raises
    ------
    Problems
        With everything that is wrong: steps, parameters and entries that do not exist, targets that are set twice, and
        values that do not fit.
    """
    problems: list[str] = []
    seen: list[Target] = []
    changed = workflow
    for target, value in changes:
        if any(target.overlaps(other) for other in seen):
            problems.append(f"{target}: is set twice")
            continue
        seen.append(target)
        try:
            changed = _with_one(changed, target, value)
        except UsageError as error:
            problems.append(str(error))
    problems += find_problems(changed)
    if problems:
        raise Problems(f"changed parameters of workflow '{workflow.name}'", problems)
    return changed


def _with_one(workflow: Workflow, target: Target, value: Any) -> Workflow:
    step = find_step(workflow, target)
    parameter_value(step, target)
    whole = parameter_value(step, Target(target.step, target.parameter))
    parameters = {**step.parameters, target.parameter: _replaced(whole, target.index, value)}
    changed = step.model_copy(update={"parameters": parameters})
    steps = [changed if s.id == step.id else s for s in workflow.steps]
    return workflow.model_copy(update={"steps": steps})


def _replaced(whole: Any, index: tuple[int, ...], value: Any) -> Any:
    if not index:
        return value
    entries = list(whole)
    entries[index[0]] = _replaced(entries[index[0]], index[1:], value)
    return entries


def new_definition(source: str, path: str | Path, *, overwrite: bool = False) -> Workflow:
    """Start a definition file from a workflow of the library or another file, renamed after the file.

    Remarks in the file of the old definition are kept.

    Parameters
    ----------
    source : str
        Name or file.
    path : str or Path
        The new .yaml file.

    Raises
    ------
    UsageError
        If the new file has another suffix or its name cannot be a workflow's; if the source does not exist.
    Problems
        If the source is not a valid definition.
    WriteError
        If the file exists already or cannot be written.
    """
    path = Path(path)
    if path.suffix.lower() not in (".yaml", ".yml"):
        raise UsageError(f"{path} is not a .yaml file")
    name = re.sub(r"\W", "_", path.stem, flags=re.ASCII)
    if not re.match(r"[A-Za-z]", name):
        raise UsageError(f"{path}: the file's name becomes the workflow's and must begin with a letter")
    workflow = get_workflow(source)
    wanted = workflow.model_copy(update={"name": name, "source": f"after {workflow.name}"})
    text = _renamed(_text_of(source, workflow), wanted)
    data = text.encode("utf-8")
    with atomic_output(path, overwrite=overwrite, needed=len(data)) as temporary:
        temporary.write_bytes(data)
    return load_file(path)


def _text_of(source: str, workflow: Workflow) -> str:
    """The file that a workflow was read from; empty for one that is in no file of its own."""
    if source.lower() == workflow.name.lower() and workflow.name in library_names():
        return library_text(workflow.name)
    given = Path(source)
    return given.read_text(encoding="utf-8") if given.is_file() else ""


def _renamed(text: str, wanted: Workflow) -> str:
    """`text` with another name and source if that gives the definition `wanted`, else that definition written anew."""
    source = f"source: {wanted.source}"
    text, found = re.subn(r"^source:.*$", source, text, count=1, flags=re.MULTILINE)
    head = f"name: {wanted.name}" + ("" if found else f"\n{source}")
    text = re.sub(r"^name:.*$", head, text, count=1, flags=re.MULTILINE)
    try:
        if parse_text(text, f"{wanted.name}.yaml") == wanted:
            return text
    except UsageError:
        pass
    return dump_yaml(wanted)
