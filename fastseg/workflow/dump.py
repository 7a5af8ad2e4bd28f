"""Writing definitions as YAML, laid out like the library's own files."""

from __future__ import annotations

from typing import Any

import yaml

from fastseg.workflow.schema import Step, Workflow
from fastseg.workflow.yaml_text import Dumper


def dump_yaml(workflow: Workflow) -> str:
    """The text of a definition file: a block for each step, lists and parameters on one line, empty keys left out.

    Reading it gives an equal definition.
    """
    lines = [f"schema_version: {workflow.schema_version}", f"name: {_scalar(workflow.name)}"]
    facts = {"title": workflow.title, "structure": workflow.structure, "source": workflow.source}
    lines += [f"{key}: {_scalar(text)}" for key, text in facts.items() if text]
    lines.append(f"rescale: {workflow.rescale}")
    if workflow.tuned_yx_um is not None:
        lines.append(f"tuned_yx_um: {_flow(workflow.tuned_yx_um)}")
    lines += [f"inputs: {_flow(workflow.inputs)}", "steps:"]
    for step in workflow.steps:
        first, *rest = _step(step)
        lines += [f"  - {first}", *(f"    {line}" for line in rest)]
    lines.append(f"result: {_flow(workflow.result.model_dump())}")
    for key, names in (("exposes", workflow.exposes), ("exposes_compat", workflow.exposes_compat)):
        if names:
            lines.append(f"{key}:")
            lines += [f"  {_scalar(name)}: {_scalar(step_id)}" for name, step_id in names.items()]
    if workflow.notes:
        lines += ["notes:", *(f"  - {_quoted(note)}" for note in workflow.notes)]
    return "\n".join(lines) + "\n"


def _step(step: Step) -> list[str]:
    lines = [
        f"id: {_scalar(step.id)}",
        f"operator: {_scalar(step.operator)}",
        f"inputs: {_flow(step.inputs)}",
    ]
    if step.parameters:
        lines.append(f"parameters: {_flow(step.parameters)}")
    if step.when:
        lines.append(f"when: {step.when}")
    if step.times_ratio:
        lines.append(f"times_ratio: {_flow(step.times_ratio)}")
    if step.note:
        lines.append(f"note: {_quoted(step.note)}")
    return lines


def _flow(value: Any) -> str:
    return _emit(value, default_flow_style=True)


def _scalar(text: str) -> str:
    return _emit(text)


def _quoted(text: str) -> str:
    return _emit(text, default_style='"')


def _emit(value: Any, **style: Any) -> str:
    text: str = yaml.dump(
        value, Dumper=Dumper, sort_keys=False, allow_unicode=True, width=float("inf"), **style
    )
    return text.removesuffix("\n").removesuffix("\n...")
