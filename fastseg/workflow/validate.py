"""Checks of a workflow definition; every problem is found in one go, with its place and what is allowed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

import numpy as np
from pydantic import ValidationError

from fastseg.errors import Problems
from fastseg.operators.registry import registry, unknown_operator
from fastseg.operators.spec import Input, OpSpec
from fastseg.workflow.schema import SCHEMA_VERSION, Result, Step, Workflow


@dataclass(frozen=True)
class _Made:
    """Kind and dimensions of a step's result; None where a problem makes them unknown."""

    kind: str | None
    dims: int | None


_UNKNOWN = _Made(None, None)


def parse(data: Any, where: str) -> Workflow:
    """A validated definition.

    Parameters
    ----------
    data : mapping
        As read from YAML or JSON.
    where : str
        File or name for messages.

    Raises
    ------
    Problems
        With every problem of the definition.
    """
    if not isinstance(data, Mapping):
        raise Problems(
            where, [f"a workflow is a mapping with 'steps' and 'result', this is {_kind_name(data)}"]
        )
    version = data.get("schema_version")
    if version != SCHEMA_VERSION:
        given = "is missing" if version is None else f"is {version!r}"
        raise Problems(where, [f"schema_version: {given}; this release reads version {SCHEMA_VERSION}"])
    try:
        workflow = Workflow.model_validate(dict(data))
    except ValidationError as error:
        raise Problems(where, [_structure_problem(dict(item), data) for item in error.errors()]) from None
    problems = find_problems(workflow)
    if problems:
        raise Problems(where, problems)
    return workflow


def _kind_name(data: Any) -> str:
    return "empty" if data is None else f"a {type(data).__name__}"


def _structure_problem(item: dict[str, Any], data: Any) -> str:
    parts = list(item["loc"])
    place = ".".join(str(p) for p in parts)
    if len(parts) >= 2 and parts[0] == "steps" and isinstance(parts[1], int):
        step = data["steps"][parts[1]]
        if isinstance(step, Mapping) and isinstance(step.get("id"), str):
            place = ".".join(["steps", step["id"], *map(str, parts[2:])])
    if item["type"] == "extra_forbidden":
        fields = Step.model_fields if len(parts) > 2 and parts[0] == "steps" else Workflow.model_fields
        if parts[0] == "result" and len(parts) > 1:
            fields = Result.model_fields
        return f"{place}: unknown key; known keys are {', '.join(fields)}"
    if item["type"] == "missing":
        return f"{place}: is required"
    if item["type"] == "string_pattern_mismatch":
        return f"{place}: {item['input']!r} is not a name; use letters, digits and _, a letter first"
    message = item["msg"]
    return f"{place}: {message[:1].lower()}{message[1:]} (given: {item['input']!r})"


def find_problems(workflow: Workflow) -> list[str]:
    """Every problem of a definition whose structure is right."""
    return _Checker(workflow).problems()


class _Checker:
    def __init__(self, workflow: Workflow) -> None:
        self.workflow = workflow
        self.found: list[str] = []

    def problems(self) -> list[str]:
        workflow = self.workflow
        self._names()
        cyclic = self._cycles()
        results: dict[str, _Made] = {name: _Made("image", 3) for name in workflow.inputs}
        waiting = list(workflow.steps)
        while waiting:
            ready = [s for s in waiting if all(i in results or not self._is_step(i) for i in s.inputs)]
            if not ready:  # what is left depends on a cycle; parameters can still be checked
                ready = waiting
            for step in list(ready):
                results.setdefault(step.id, self._step(step, results))
                waiting.remove(step)
        self._result(results, cyclic)
        self._exposes()
        return self.found

    def _is_step(self, name: str) -> bool:
        return any(s.id == name for s in self.workflow.steps)

    def _say(self, place: str, message: str) -> None:
        self.found.append(f"{place}: {message}")

    def _known(self) -> list[str]:
        return [*self.workflow.inputs, *(s.id for s in self.workflow.steps)]

    def _unknown(self, place: str, name: str, own: str = "") -> None:
        known = [k for k in self._known() if k != own]
        near = get_close_matches(name, known, n=1)
        hint = f"did you mean '{near[0]}'?" if near else f"steps and inputs are {', '.join(known)}"
        self._say(place, f"there is no step or input '{name}'; {hint}")

    def _names(self) -> None:
        seen: set[str] = set(self.workflow.inputs)
        for i, step in enumerate(self.workflow.steps):
            if step.id in seen:
                taken = "an input" if step.id in self.workflow.inputs else "another step"
                self._say(f"steps.{i}.id", f"'{step.id}' is already the name of {taken}")
            seen.add(step.id)

    def _cycles(self) -> bool:
        parents = {s.id: [i for i in s.inputs if self._is_step(i)] for s in self.workflow.steps}
        done: set[str] = set()
        while ready := [
            name for name, needs in parents.items() if name not in done and done.issuperset(needs)
        ]:
            done.update(ready)
        rest = [name for name in parents if name not in done]
        if not rest:
            return False
        path = [rest[0]]
        while True:
            following = next(p for p in parents[path[-1]] if p not in done)
            if following in path:
                loop = [*path[path.index(following) :], following]
                break
            path.append(following)
        self._say(f"steps.{loop[0]}.inputs", f"the steps form a cycle: {' <- '.join(loop)}")
        return True

    def _step(self, step: Step, results: Mapping[str, _Made]) -> _Made:
        place = f"steps.{step.id}"
        given = [self._input(step, name, i, results) for i, name in enumerate(step.inputs)]
        spec = registry().get(step.operator)
        if spec is None:
            self._say(f"{place}.operator", unknown_operator(step.operator))
            return _UNKNOWN
        self._parameters(step, spec)
        self._kinds(step, spec, given)
        first = next(
            (g for g, i in zip(given, spec.inputs) if not i.shape_only and i.kinds != ("scalar",)), _UNKNOWN
        )
        return _Made(spec.output.kind, spec.output.dims or first.dims)

    def _input(self, step: Step, name: str, number: int, results: Mapping[str, _Made]) -> _Made:
        if name not in results and not self._is_step(name):
            self._unknown(f"steps.{step.id}.inputs.{number}", name, step.id)
        return results.get(name, _UNKNOWN)

    def _parameters(self, step: Step, spec: OpSpec) -> None:
        place = f"steps.{step.id}"
        parameters = dict(step.parameters)
        if step.when == "rescale":
            if step.operator != "rescale_xy":
                self._say(
                    f"{place}.when", f"'rescale' belongs to the operator rescale_xy, not to {step.operator}"
                )
            elif "ratio" in parameters:
                self._say(
                    f"{place}.parameters.ratio",
                    "is taken from the request when 'when: rescale' is set; leave it out",
                )
            else:
                parameters["ratio"] = 1.0
        _, problems = spec.check(parameters)
        for problem in problems:
            self._say(f"{place}.parameters.{problem.place}".rstrip("."), problem.message)
        for name in step.times_ratio:
            value = parameters.get(name, getattr(spec.params.model_fields.get(name), "default", None))
            if name not in spec.params.model_fields:
                known = ", ".join(spec.params.model_fields) or "none"
                self._say(
                    f"{place}.times_ratio",
                    f"'{spec.name}' has no parameter '{name}' (its parameters: {known})",
                )
            elif isinstance(value, bool) or not isinstance(value, int | float):
                self._say(f"{place}.times_ratio", f"'{name}' is {value!r}; only a number can be multiplied")

    def _kinds(self, step: Step, spec: OpSpec, given: Sequence[_Made]) -> None:
        declared = list(spec.inputs)
        if declared[-1].many:
            declared += [declared[-1]] * (len(given) - len(declared))
        if len(given) != len(declared):
            names = ", ".join(i.name + (", ..." if i.many else "") for i in spec.inputs)
            self._say(
                f"steps.{step.id}.inputs",
                f"{len(given)} given, '{spec.name}' takes {len(spec.inputs)}: {names}",
            )
            return
        for number, (item, result) in enumerate(zip(declared, given, strict=True)):
            message = _mismatch(spec, item, result)
            if message:
                self._say(f"steps.{step.id}.inputs.{number}", f"'{step.inputs[number]}' {message}")

    def _result(self, results: Mapping[str, _Made], cyclic: bool) -> None:
        workflow = self.workflow
        result = workflow.result
        if not self._is_step(result.step):
            self._unknown("result.step", result.step)
        elif not cyclic:
            last = results[result.step]
            if last.kind not in (None, "mask", "labels") or last.dims not in (None, 3):
                self._say(
                    "result.step", f"'{result.step}' is {_words(last)}; a result is a 3-D mask or labels"
                )
        if result.foreground > np.iinfo(result.dtype).max:
            self._say("result.foreground", f"{result.foreground} does not fit into {result.dtype}")

    def _exposes(self) -> None:
        for name, step in self.workflow.exposes.items():
            if not self._is_step(step):
                self._unknown(f"exposes.{name}", step)
        other = self.workflow.exposes_compat
        for name, step in other.items():
            place = f"exposes_compat.{name}"
            if name not in self.workflow.exposes:
                self._say(place, f"replaces an exposed name, but 'exposes' has no '{name}'{self._near(name)}")
            if not self._is_step(step):
                self._unknown(place, step)
            elif other.get(step, step) != step:  # asking for `step` would then give yet another one
                self._say(place, f"'{step}' is itself a name that stands for another step")

    def _near(self, name: str) -> str:
        known = self.workflow.exposes
        near = get_close_matches(name, known, n=1)
        if near:
            return f"; did you mean '{near[0]}'?"
        return f"; it has {', '.join(known)}" if known else ""


def _words(result: _Made) -> str:
    article = "an" if result.kind == "image" else "a"
    return f"{article} {result.kind}" + (f" ({result.dims}-D)" if result.dims else "")


def _mismatch(spec: OpSpec, item: Input, result: _Made) -> str:
    """What is wrong with handing `result` to an input; empty if nothing."""
    if result.kind is None:
        return ""
    allowed = " or ".join(item.kinds)
    if result.kind not in item.kinds:
        return f"is {_words(result)}; '{spec.name}' needs {allowed} for '{item.name}'"
    if result.dims is not None and item.dims and result.dims not in item.dims:
        dims = " or ".join(f"{d}-D" for d in item.dims)
        return f"is {result.dims}-D; '{spec.name}' needs {dims} for '{item.name}'"
    return ""
