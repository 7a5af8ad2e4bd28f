"""The declaration of an operator: everything that the rest of fastseg knows about it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError

from fastseg.tiling.rules import Halo, Local, Rule, kind_of

Kind: TypeAlias = Literal["image", "mask", "labels", "scalar"]


class Params(BaseModel):
    """Base of operator parameters: typed, frozen, finite, unknown names rejected, no conversion of strings."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


def _tuples(value: Any) -> Any:
    """Lists, as they come from YAML and JSON, become tuples at every level."""
    return tuple(_tuples(v) for v in value) if isinstance(value, list | tuple) else value


Listed = BeforeValidator(_tuples)
"""Annotation for tuple fields: accepts lists as well."""

Pairs: TypeAlias = Annotated[tuple[tuple[float, float], ...], Listed]
"""Pairs (scale, cutoff)."""


class NoParams(Params):
    """An operator without parameters."""


@dataclass(frozen=True)
class Input:
    """An input of an operator.

    Attributes
    ----------
    name : str
    kinds : tuple of {"image", "mask", "labels", "scalar"}
        What is accepted. Image inputs take any real dtype and are used as float32.
    dims : tuple of int
        Accepted numbers of dimensions: 3 for (z, y, x), 2 for (y, x).
    summary : str
    many : bool
        One or more arrays may be given (last input only).
    shape_only : bool
        Only the shape matters; it may differ from that of the other inputs.
    """

    name: str
    kinds: tuple[Kind, ...]
    dims: tuple[int, ...] = (3,)
    summary: str = ""
    many: bool = False
    shape_only: bool = False


@dataclass(frozen=True)
class Output:
    """The output of an operator: its kind, and its dimensions (None: those of the first input)."""

    kind: Kind
    dims: int | None = None
    summary: str = ""


@dataclass(frozen=True)
class Problem:
    """Something wrong with one parameter.

    Attributes
    ----------
    place : str
        The parameter, such as ``scaling.1``.
    message : str
        What is wrong and what is allowed.
    """

    place: str
    message: str


@dataclass(frozen=True)
class OpSpec:
    """One operator.

    Attributes
    ----------
    name : str
        Name in workflow files and in `fastseg.operators`.
    summary : str
        One line.
    inputs : tuple of Input
    output : Output
    rule : Rule
        The array code and how it tiles.
    params : type of Params
    halo : callable, optional
        ``halo(params) -> (z, y, x)``: the widest halo any pass of a chain needs. Taken from the rule where it is Local.
    scratch : float
        Bytes per voxel needed beside inputs and output.
    category : str
        Heading in listings.
    reference : str
        Name of the function in the reference implementation; empty if it has none.
    paper : str
        Where the method is published; empty for elementary operations.
    """

    name: str
    summary: str
    inputs: tuple[Input, ...]
    output: Output
    rule: Rule
    params: type[Params] = NoParams
    halo: Callable[[Any], Halo] | None = None
    scratch: float = 0.0
    category: str = ""
    reference: str = ""
    paper: str = ""
    description: str = ""

    @property
    def tiling(self) -> str:
        """Name of the tiling rule."""
        return kind_of(self.rule)

    def halo_of(self, params: Params) -> Halo:
        """Widest halo in voxels (z, y, x) that a pass of this operator needs."""
        if self.halo is not None:
            return self.halo(params)
        return self.rule.halo(params) if isinstance(self.rule, Local) else (0, 0, 0)

    def check(self, parameters: Mapping[str, Any]) -> tuple[Params | None, list[Problem]]:
        """Validated parameters, or every problem with them."""
        try:
            return self.params.model_validate(dict(parameters)), []
        except ValidationError as error:
            return None, [self._problem(dict(item)) for item in error.errors()]

    def _problem(self, item: dict[str, Any]) -> Problem:
        place = ".".join(str(p) for p in item["loc"])
        if item["type"] == "extra_forbidden":
            known = ", ".join(self.params.model_fields) or "none"
            return Problem(place, f"'{self.name}' has no parameter '{place}' (its parameters: {known})")
        if item["type"] == "missing":
            return Problem(place, "is required")
        message = item["msg"].removeprefix("Value error, ")
        return Problem(place, f"{message[:1].lower()}{message[1:]} (given: {item['input']!r})")
