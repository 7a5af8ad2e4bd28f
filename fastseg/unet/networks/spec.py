"""The declaration of a network architecture."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from fastseg.errors import Problems
from fastseg.unet.graph import Graph
from fastseg.unet.wording import field_problems


class NetworkParams(BaseModel):
    """What every network can be told; architectures add their own.

    Attributes
    ----------
    channels : int
        Channels of the image.
    classes : tuple of int
        Classes of each output: the main one first, then the auxiliary ones that help training.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    channels: int = Field(default=1, ge=1, le=64)
    classes: tuple[int, ...] = (2, 2, 2)


Shapes = Mapping[str, tuple[int, ...]]
"""Shape of every tensor of a checkpoint."""


@dataclass(frozen=True)
class NetworkSpec:
    """One architecture: how to build its graph from parameters, and how to know it again in a checkpoint.

    Attributes
    ----------
    name, summary : str
    outputs : int
        Number of outputs; `NetworkParams.classes` has as many entries.
    params : type of NetworkParams
    build : callable
        ``build(params) -> Graph``.
    recognise : callable
        ``recognise(shapes) -> parameters`` of the checkpoint with these tensors as a dictionary; None if it holds
        another network.
    config_name : str
        What the reference's configuration files call it; empty if they cannot.
    advice : str
        When to use it.
    """

    name: str
    summary: str
    outputs: int
    params: type[NetworkParams]
    build: Callable[[Any], Graph]
    recognise: Callable[[Shapes], dict[str, Any] | None]
    config_name: str = ""
    advice: str = ""

    def check(self, given: Mapping[str, Any]) -> NetworkParams:
        """Validated parameters.

        Raises
        ------
        Problems
            All of them, by name.
        """
        given = {"classes": (2,) * self.outputs, **given}
        try:
            params = self.params.model_validate(given)
        except ValidationError as error:
            problems = field_problems(error, self.params, "parameter")
            raise Problems(f"network {self.name}", problems) from None
        if len(params.classes) != self.outputs or min(params.classes, default=0) < 1:
            raise Problems(
                f"network {self.name}",
                [f"classes: {list(params.classes)} given; {self.outputs} numbers of at least 1 are needed"],
            )
        return params
