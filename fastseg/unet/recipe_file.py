"""Normalisation recipes of one's own: listed operations, in a file of recipes or stored in a model.

::

    recipes:
      flat_20:
        summary: without background, then mean - 1 to mean + 8 deviations
        operations:
          - background_subtract: {sigma: 20}
          - contrast: {low_std: 1, high_std: 8}
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from fastseg.errors import Problems, ReadError, UsageError
from fastseg.unet.normalization import RECIPES, Operation, Recipe

OPERATIONS = (
    *("unit_range", "contrast", "intensity_normalize", "intensity_clip", "background_subtract"),
    *("gaussian_smooth", "gaussian_smooth_slices", "edge_preserving_smooth"),
)
"""What recipes may be made of: operators that give an image of the same shape, and the recipes' own stretches."""

FORM = "FILE.yaml, or FILE.yaml:NAME where the file holds several"

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.+-]*")
_FILE = re.compile(r"(?P<file>.+\.ya?ml)(?::(?P<name>[^:/\\]*))?", re.IGNORECASE)
_KEYS = ("summary", "operations")


def names_a_file(text: str) -> bool:
    """Whether a recipe is asked for by its file."""
    return _FILE.fullmatch(text) is not None


def recipe_in_file(text: str) -> Recipe:
    """The recipe that ``FILE.yaml`` or ``FILE.yaml:NAME`` names.

    Raises
    ------
    UsageError
        If the file cannot be read, does not hold it, or holds several and none is named.
    Problems
        Everything that is wrong with the file.
    """
    match = _FILE.fullmatch(text)
    if match is None:
        raise UsageError(f"'{text}' names no recipe in a file: give {FORM}")
    file, name = match["file"], match["name"]
    try:
        recipes = read_recipes(file)
    except Problems:
        raise
    except ReadError as error:
        raise UsageError(str(error)) from None
    known = [recipe.name for recipe in recipes]
    if name is None:
        if len(recipes) > 1:
            raise UsageError(
                f"{file} holds {len(recipes)} recipes: choose one with {file}:NAME ({', '.join(known)})"
            )
        return recipes[0]
    for recipe in recipes:
        if recipe.name == name:
            return recipe
    near = get_close_matches(name, known, n=2)
    hint = f"did you mean {' or '.join(near)}?" if near else f"it holds {', '.join(known)}"
    raise UsageError(f"{file} holds no recipe '{name}': {hint}")


def read_recipes(path: str | os.PathLike[str]) -> tuple[Recipe, ...]:
    """All recipes of a file, in its order.

    Raises
    ------
    ReadError
        If it cannot be read or is no YAML.
    Problems
        Everything that is wrong with it.
    """
    import yaml

    from fastseg.workflow.yaml_text import Loader

    file = Path(path)
    try:
        found = yaml.load(file.read_text(encoding="utf-8"), Loader)
    except (OSError, UnicodeDecodeError) as error:
        raise ReadError(f"{file} cannot be read: {getattr(error, 'strerror', None) or error}") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = "" if mark is None else f" (line {mark.line + 1})"
        raise ReadError(
            f"{file} is not valid YAML{where}: {getattr(error, 'problem', None) or error}"
        ) from None
    listed = found.get("recipes") if isinstance(found, Mapping) else None
    if not isinstance(listed, Mapping) or not listed:
        raise Problems(str(file), ["recipes: a mapping of names to recipes is needed"])
    problems = [f"{key}: there is no such key (known: recipes)" for key in found if key != "recipes"]
    recipes = [_recipe(str(name), entry, f"recipes.{name}", problems) for name, entry in listed.items()]
    if problems:
        raise Problems(str(file), problems)
    return tuple(recipe for recipe in recipes if recipe is not None)


def as_mapping(recipe: Recipe) -> dict[str, Any]:
    """A recipe in plain values, as `from_mapping` takes it."""
    return {
        "name": recipe.name,
        "summary": recipe.summary,
        "operations": [{op.operator: _plain(dict(op.parameters))} for op in recipe.operations],
    }


def from_mapping(found: Mapping[Any, Any]) -> Recipe:
    """A recipe from plain values.

    Raises
    ------
    Problems
        Everything that is wrong with them.
    """
    problems: list[str] = []
    entry = {key: value for key, value in found.items() if key != "name"}
    recipe = _recipe(str(found.get("name", "")), entry, "", problems)
    if recipe is None or problems:
        raise Problems("normalisation recipe", problems)
    return recipe


def _recipe(name: str, entry: Any, place: str, problems: list[str]) -> Recipe | None:
    before = len(problems)
    where = f"{place}." if place else ""
    # names that fastseg makes of operations join them with +
    if not _NAME.fullmatch(name):
        problems.append(f"{place or 'name'}: '{name}' is no name: letters, digits and _.+- after a letter")
    elif name in {recipe.name for recipe in RECIPES}:
        problems.append(f"{place or 'name'}: '{name}' is the name of a recipe of fastseg: choose another")
    if not isinstance(entry, Mapping):
        problems.append(f"{place}: a mapping with operations is needed")
        return None
    problems += [
        f"{where}{key}: there is no such key (known: {', '.join(_KEYS)})" for key in entry if key not in _KEYS
    ]
    summary = entry.get("summary", "")
    if not isinstance(summary, str):
        problems.append(f"{where}summary: {summary!r} is no text")
    steps = entry.get("operations")
    if not isinstance(steps, list) or not steps:
        problems.append(f"{where}operations: a list of operations is needed")
        return None
    made = [_operation(step, f"{where}operations[{i}]", problems) for i, step in enumerate(steps)]
    if len(problems) > before:
        return None
    return Recipe(None, name, summary, tuple(op for op in made if op is not None))


def _operation(step: Any, place: str, problems: list[str]) -> Operation | None:
    if isinstance(step, str):
        step = {step: {}}
    if not isinstance(step, Mapping) or len(step) != 1:
        problems.append(f"{place}: one operation with its parameters is needed, such as unit_range: {{}}")
        return None
    ((name, parameters),) = step.items()
    if name not in OPERATIONS:
        near = get_close_matches(str(name), OPERATIONS, n=2)
        hint = f"did you mean {' or '.join(near)}?" if near else f"known: {', '.join(OPERATIONS)}"
        problems.append(f"{place}: operation '{name}' is unknown ({hint})")
        return None
    parameters = {} if parameters is None else parameters
    if not isinstance(parameters, Mapping):
        problems.append(f"{place}.{name}: a mapping of parameters is needed")
        return None
    operation = Operation(name, dict(parameters))
    params, wrong = operation.spec.check({str(key): value for key, value in parameters.items()})
    problems += [f"{place}.{name}.{problem.place}: {problem.message}" for problem in wrong]
    # with its defaults, so that a stored recipe means the same for every version
    return None if params is None else Operation(name, params.model_dump())


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(entry) for key, entry in value.items()}
    return [_plain(entry) for entry in value] if isinstance(value, list | tuple) else value
