"""The normalisation of a configuration file: a recipe's number, or operations channel by channel."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastseg.errors import UsageError
from fastseg.unet.normalization import Operation, Recipe, background, contrast, get_recipe, recipe_of

_OPERATIONS = {"background_sub": "sigma", "auto_contrast": "param"}


def read_normalization(
    found: Any, channels: int, compat: bool
) -> tuple[Recipe | list[Recipe] | None, list[str]]:
    """What a file says under ``Normalization``, and what is wrong with it.

    Parameters
    ----------
    found : int or mapping
    channels : int
    compat : bool
        Recipe 0 changes nothing, as in the reference.
    """
    if isinstance(found, Mapping):
        return _operations(found, channels)
    try:
        return get_recipe(found, compat=compat), []
    except UsageError as error:
        return None, [f"Normalization: {error}"]


def _operations(found: Mapping[Any, Any], channels: int) -> tuple[list[Recipe] | None, list[str]]:
    problems = [f"Normalization.{key}: there is no such key (known: ops)" for key in found if key != "ops"]
    listed = found.get("ops")
    if not isinstance(listed, list) or len(listed) != channels:
        wanted = f"a list with one entry for each of {channels} channels is needed"
        return None, [*problems, f"Normalization.ops: {wanted}"]
    recipes = []
    for number, entry in enumerate(listed):
        place = f"Normalization.ops[{number}]"
        steps = entry.get("ch") if isinstance(entry, Mapping) else None
        if not isinstance(steps, list):
            problems.append(f"{place}.ch: a list of operations is needed")
            continue
        made = [_operation(step, f"{place}.ch[{i}]", problems) for i, step in enumerate(steps)]
        recipes.append(recipe_of([operation for operation in made if operation is not None]))
    return recipes, problems


def _operation(step: Any, place: str, problems: list[str]) -> Operation | None:
    name = step.get("name") if isinstance(step, Mapping) else None
    if name not in _OPERATIONS:
        problems.append(f"{place}.name: {name!r} is unknown ({' or '.join(_OPERATIONS)})")
        return None
    known = ("name", _OPERATIONS[name])
    problems += [
        f"{place}.{key}: there is no such key (known: {', '.join(known)})" for key in step if key not in known
    ]
    given = step.get(_OPERATIONS[name])
    if name == "background_sub":
        if _is_number(given) and given > 0:
            return background(given)
        problems.append(f"{place}.sigma: {given!r} is no number above 0")
    else:
        if isinstance(given, list) and len(given) in (2, 4) and all(_is_number(n) for n in given):
            return contrast(*given)  # a, b, and what voxels that count are below and above
        problems.append(f"{place}.param: {given!r} is no list of 2 or 4 numbers")
    return None


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
