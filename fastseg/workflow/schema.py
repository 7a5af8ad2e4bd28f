"""Workflow definitions as data: what a file may contain."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

SCHEMA_VERSION = 1

_ID = r"^[A-Za-z][A-Za-z0-9_]*$"


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Step(_Strict):
    """One step of a workflow.

    Attributes
    ----------
    id : str
        Name of the step and of its result.
    operator : str
        Name of an operator.
    inputs : list of str
        Ids of other steps, or inputs of the workflow, in the operator's order.
    parameters : dict
        The operator's parameters; those left out have their defaults.
    when : {"rescale"}, optional
        Run the step only if a rescale ratio is given (which becomes its ``ratio``); otherwise its result is its input.
    times_ratio : list of str
        Parameters that are multiplied by the rescale ratio when there is one.
    note : str
        A remark for readers.
    """

    id: str = Field(pattern=_ID)
    operator: str
    inputs: list[str] = Field(min_length=1)
    parameters: dict[str, Any] = Field(default_factory=dict)
    when: Literal["rescale"] | None = None
    times_ratio: list[str] = Field(default_factory=list)
    note: str = ""


class Result(_Strict):
    """What a workflow returns: a step's non-zero voxels as `foreground`, in an integer dtype."""

    step: str
    dtype: Literal["uint8", "uint16"] = "uint8"
    foreground: int = Field(default=255, ge=1, le=65535)


class Workflow(_Strict):
    """A workflow definition.

    Attributes
    ----------
    schema_version : int
    name : str
        Unique name, used on the command line.
    title, structure, source : str
        Display name; the cellular structure; where the definition comes from.
    rescale : {"supported", "ignored"}
        Whether a rescale ratio has an effect.
    tuned_yx_um : float, optional
        Pixel size along y and x, in micrometres, of the images the parameters were chosen for.
    inputs : list of str
        Names of the images the workflow takes.
    steps : list of Step
        In any order without cycles.
    result : Result
    exposes : dict of str to str
        Names of intermediate images in the reference, and the steps that make them.
    exposes_compat : dict of str to str
        The steps that `exposes` means with the switch `compat`, where the reference puts something else under a name.
    notes : list of str
    """

    schema_version: int
    name: str = Field(pattern=_ID)
    title: str = ""
    structure: str = ""
    source: str = ""
    rescale: Literal["supported", "ignored"] = "supported"
    tuned_yx_um: float | None = Field(default=None, gt=0)
    inputs: list[str] = Field(default_factory=lambda: ["image"], min_length=1, max_length=1)
    steps: list[Step] = Field(min_length=1)
    result: Result
    exposes: dict[str, str] = Field(default_factory=dict)
    exposes_compat: dict[str, str] = Field(default_factory=dict)
    notes: list[str] = Field(default_factory=list)

    def step(self, step_id: str) -> Step:
        """The step with this id."""
        return next(s for s in self.steps if s.id == step_id)

    def exposed(self, compat: bool = False) -> dict[str, str]:
        """The exposed names and their steps, with `compat` those of the reference."""
        return {**self.exposes, **self.exposes_compat} if compat else dict(self.exposes)

    def ordered(self) -> list[Step]:
        """The steps in an order in which every step comes after its inputs; file order where there is a choice.

        Only for definitions that passed `validate`.
        """
        done = set(self.inputs)
        waiting = list(self.steps)
        order: list[Step] = []
        while waiting:
            ready = next(s for s in waiting if done.issuperset(s.inputs))
            waiting.remove(ready)
            order.append(ready)
            done.add(ready.id)
        return order
