"""The parameters a step runs with."""

from __future__ import annotations

from fastseg.errors import UsageError
from fastseg.operators.registry import get_operator
from fastseg.operators.spec import Params
from fastseg.workflow.schema import Step


def step_parameters(step: Step, rescale: float | None = None, compat: bool = False) -> Params:
    """The parameters of a step, with what a rescale ratio and the compat switch change.

    Raises
    ------
    UsageError
        If the ratio puts a parameter out of its range.
    """
    spec = get_operator(step.operator)
    parameters = dict(step.parameters)
    if compat and "compat" in spec.params.model_fields:
        parameters["compat"] = True
    if step.when == "rescale":
        parameters["ratio"] = float(rescale if rescale is not None else 1)
    if rescale is not None:
        for name in step.times_ratio:
            parameters[name] = parameters.get(name, spec.params.model_fields[name].default) * rescale
    params, problems = spec.check(parameters)
    if params is None:
        raise UsageError(f"step '{step.id}': {problems[0].place}: {problems[0].message}")
    return params
