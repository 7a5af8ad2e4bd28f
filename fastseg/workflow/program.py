"""Workflows as programs of the tiling engine."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fastseg.operators.registry import get_operator
from fastseg.tiling.block import Block
from fastseg.tiling.program import Node, flatten
from fastseg.tiling.rules import Local
from fastseg.types import Array
from fastseg.workflow.parameters import step_parameters
from fastseg.workflow.schema import Result, Step, Workflow

FOREGROUND = "result:foreground"
"""Name of the node that turns the last step into the workflow's output."""


def as_foreground(found: Array, result: Result) -> Array:
    """0 and the workflow's foreground value, in its integer dtype."""
    dtype = np.dtype(result.dtype)
    if found.dtype == bool and dtype == np.uint8 and found.flags.c_contiguous:
        return found.view(np.uint8) * dtype.type(result.foreground)  # one pass instead of three
    return (found > 0).astype(dtype) * dtype.type(result.foreground)


def _foreground(block: Block) -> Array:
    return as_foreground(block.arrays[0], block.params)


def program_of(
    workflow: Workflow, steps: Sequence[Step], rescale: float | None, compat: bool
) -> tuple[list[Node], dict[str, str]]:
    """The nodes of some steps of a workflow.

    Parameters
    ----------
    workflow : Workflow
    steps : sequence of Step
        In an order in which inputs come first.
    rescale : float or None
    compat : bool

    Returns
    -------
    nodes : list of Node
    names : dict of str to str
        The node (or workflow input) that holds the result of each step: a step that does not run without rescaling is
        its input.
    """
    names = {name: name for name in workflow.inputs}
    nodes: list[Node] = []
    for step in steps:
        if step.when == "rescale" and rescale is None:
            names[step.id] = names[step.inputs[0]]
            continue
        spec = get_operator(step.operator)
        inputs = {f"{number}": names[name] for number, name in enumerate(step.inputs)}
        params = step_parameters(step, rescale, compat)
        nodes += flatten(step.id, spec.rule, inputs, params, step=step.id, scratch=spec.scratch)
        names[step.id] = step.id
    return nodes, names


def result_node(workflow: Workflow, source: str) -> Node:
    """The node that makes the workflow's output of a mask or labels."""
    return Node(FOREGROUND, Local(_foreground), (source,), workflow.result, workflow.result.step)
