"""Normalisation recipes: what is done to an image before it is shown to a network, by number and name.

A model must see images normalised as in its training, so recipes are few, numbered for good, and made of operators:
they tile as these do. Numbers are the reference's; 3, 5, 6, 8 and 9 were never given.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Annotated, Any, TypeAlias

import numpy as np
from pydantic import BeforeValidator, PlainSerializer

from fastseg.errors import UsageError
from fastseg.operators.registry import get_operator
from fastseg.operators.spec import OpSpec
from fastseg.tiling import ArrayVolume, Engine
from fastseg.tiling.program import Node, flatten
from fastseg.types import Array, Box
from fastseg.unet.contrast import CONTRAST, UNIT_RANGE

_EVERYTHING = 1e9
"""Standard deviations that reach beyond the minimum of any image: the deviation is at least range / sqrt(4 voxels)."""


@dataclass(frozen=True)
class Operation:
    """One step of a recipe: an operator and its parameters."""

    operator: str
    parameters: Mapping[str, Any]

    @property
    def spec(self) -> OpSpec:
        own = {spec.name: spec for spec in (CONTRAST, UNIT_RANGE)}
        return own.get(self.operator) or get_operator(self.operator)


@dataclass(frozen=True)
class Recipe:
    """A normalisation.

    Attributes
    ----------
    number : int or None
        The reference's number; None for a recipe of single operations.
    name, summary : str
    operations : tuple of Operation
        In order; none leaves the image as it is.
    """

    number: int | None
    name: str
    summary: str
    operations: tuple[Operation, ...]

    def __str__(self) -> str:
        """The name, with the operations where fastseg does not know the recipe by it."""
        if self in RECIPES:
            return self.name
        steps = (
            f"{op.operator}({', '.join(f'{key}={value}' for key, value in op.parameters.items())})"
            for op in self.operations
        )
        return f"{self.name}: {', '.join(steps)}"


def contrast(low_std: float, high_std: float, below: float = 0.0, above: float = 0.0) -> Operation:
    """Stretch between mean - `low_std` and mean + `high_std` deviations."""
    return Operation(
        "contrast",
        {
            "low_std": float(low_std),
            "high_std": float(high_std),
            "below": float(below),
            "above": float(above),
        },
    )


def background(sigma: float) -> Operation:
    """Subtract a Gaussian of `sigma` voxels along all axes, then stretch to the unit range."""
    return Operation("background_subtract", {"sigma": float(sigma)})


def _recipe(number: int, name: str, summary: str, *operations: Operation) -> Recipe:
    return Recipe(number, name, summary, operations)


_FLAT = background(50)

RECIPES: tuple[Recipe, ...] = (
    _recipe(0, "minmax", "minimum to maximum", Operation("unit_range", {})),
    _recipe(1, "contrast_2_11", "mean - 2 to mean + 11 deviations", contrast(2, 11)),
    _recipe(2, "contrast_2.5_10", "mean - 2.5 to mean + 10 deviations", contrast(2.5, 10)),
    _recipe(4, "contrast_1_15", "mean - 1 to mean + 15 deviations", contrast(1, 15)),
    _recipe(7, "contrast_1_6", "mean - 1 to mean + 6 deviations", contrast(1, 6)),
    _recipe(10, "minimum_25", "minimum to mean + 25 deviations", contrast(_EVERYTHING, 25)),
    _recipe(11, "flat", "without background (sigma 50)", _FLAT),
    _recipe(12, "flat_2.5_10", "without background, then mean - 2.5 to + 10", _FLAT, contrast(2.5, 10)),
    _recipe(13, "flat_2_11", "without background, then mean - 2 to + 11", _FLAT, contrast(2, 11)),
    _recipe(14, "contrast_1_10", "mean - 1 to mean + 10 deviations", contrast(1, 10)),
    _recipe(
        15,
        "flat_below_4000",
        "voxels above 4000 become the minimum, then without background",
        Operation("intensity_clip", {"scaling": (4000.0,)}),
        _FLAT,
    ),
    _recipe(16, "flat_1.5_6", "without background, then mean - 1.5 to + 6", _FLAT, contrast(1.5, 6)),
    _recipe(17, "flat_1_10", "without background, then mean - 1 to + 10", _FLAT, contrast(1, 10)),
    _recipe(18, "flat_1.5_10", "without background, then mean - 1.5 to + 10", _FLAT, contrast(1.5, 10)),
    Recipe(None, "none", "the image as it is (the reference's recipe 0 in effect)", ()),
)

NONE = RECIPES[-1]


def get_recipe(name: str | int | Recipe, *, compat: bool = False) -> Recipe:
    """A recipe by number or name.

    Parameters
    ----------
    name : int or str
        A number may be given as text. ``FILE.yaml`` and ``FILE.yaml:NAME`` take a recipe of one's own from a file.
    compat : bool
        Recipe 0 leaves the image as it is, as in the reference, which documents minimum to maximum.

    Raises
    ------
    UsageError
        If there is none; the message names the choices.
    Problems
        If a file of recipes is wrong.
    """
    from fastseg.unet.recipe_file import names_a_file, recipe_in_file

    if isinstance(name, Recipe):
        return name
    text = str(name).strip()
    if names_a_file(text):
        return recipe_in_file(text)
    for recipe in RECIPES:
        if text in (recipe.name, str(recipe.number)) and text != "None":
            return NONE if compat and recipe.number == 0 else recipe
    near = get_close_matches(text, [r.name for r in RECIPES], n=2)
    numbers = ", ".join(str(r.number) for r in RECIPES if r.number is not None)
    hint = f"did you mean {' or '.join(near)}?" if near else f"there are numbers {numbers}, and 'none'"
    raise UsageError(f"normalisation recipe '{text}' is unknown: {hint}")


def stored_recipe(given: Any) -> str | Recipe:
    """A recipe as models and settings hold it: by name, or whole where only the user knows it.

    Parameters
    ----------
    given : int, str, Recipe or mapping
        As of `get_recipe`, or as `fastseg.unet.recipe_file.as_mapping` writes it.

    Raises
    ------
    ValueError
        If there is none.
    """
    from fastseg.unet.recipe_file import from_mapping

    try:
        found = from_mapping(given) if isinstance(given, Mapping) else get_recipe(given)
    except UsageError as error:
        raise ValueError(" ".join(str(error).split())) from None
    if not found.operations:
        return NONE.name
    return found.name if found in RECIPES else found


def _plain_recipe(recipe: str | Recipe) -> str | dict[str, Any]:
    from fastseg.unet.recipe_file import as_mapping

    return as_mapping(recipe) if isinstance(recipe, Recipe) else recipe


StoredRecipe: TypeAlias = Annotated[
    str | Recipe, BeforeValidator(stored_recipe), PlainSerializer(_plain_recipe)
]
"""For fields of settings that hold a recipe: by name, or with its operations where it is from a user's file."""


def recipe_of(operations: Sequence[Operation]) -> Recipe:
    """A recipe of single operations, as configuration files may list them for a channel."""
    return Recipe(None, "+".join(op.operator for op in operations) or "none", "", tuple(operations))


def recipe_nodes(recipe: Recipe, source: str, name: str) -> tuple[list[Node], str]:
    """The program of a recipe.

    Parameters
    ----------
    recipe : Recipe
    source : str
        What the program calls the image.
    name : str
        What the normalised image is to be called.

    Returns
    -------
    nodes : list of Node
    result : str
        `name`, or `source` where the recipe does nothing.
    """
    nodes: list[Node] = []
    step = f"normalise {source}"
    for number, operation in enumerate(recipe.operations):
        spec = operation.spec
        params, problems = spec.check(operation.parameters)
        if params is None:
            listed = "; ".join(f"{p.place}: {p.message}" for p in problems)
            raise UsageError(f"normalisation '{operation.operator}': {listed}")
        own = name if number == len(recipe.operations) - 1 else f"{name}.{number}"
        nodes += flatten(own, spec.rule, {"image": source}, params, step=step, scratch=spec.scratch)
        source = own
    return nodes, source


def normalize(image: Array, recipe: str | int | Recipe, *, engine: Engine | None = None) -> Array:
    """Apply a recipe to one channel.

    Parameters
    ----------
    image : array (Z, Y, X)
        Any real dtype, used as float32; never modified.
    recipe : int, str or Recipe
    engine : Engine, optional
        In memory on the CPU by default.

    Returns
    -------
    array (Z, Y, X), float32

    Raises
    ------
    InputError
        For NaN, infinite voxels, or limits that do not fit the image.
    UsageError
        If there is no such recipe.
    """
    engine = engine or Engine()
    xp = engine.ns.xp
    given = xp.ascontiguousarray(image, dtype=np.float32)
    nodes, result = recipe_nodes(get_recipe(recipe), "image", "normalised")
    if not nodes:
        return given.copy() if xp.may_share_memory(given, image) else given
    volume = engine.run_program(nodes, {"image": ArrayVolume(given)}, [result])[result]
    out = volume.read(Box.whole(volume.shape))
    return out.copy() if xp.may_share_memory(out, given) else out
