"""Reading the reference's JSON workflows.

One JSON object; every key is a step number, every value an object with the keys function, category, parent and
parameter_values. A parent is 0 for the input image or the number of an earlier step.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from fastseg.errors import Problems
from fastseg.workflow.legacy_steps import Converter
from fastseg.workflow.legacy_table import CATEGORIES, Function, find_function, unknown_function
from fastseg.workflow.schema import SCHEMA_VERSION, Result, Step, Workflow
from fastseg.workflow.validate import find_problems

CATEGORY_NOTE = "category: "
"""Start of the note of a step whose category is not the usual one; categories only group steps for display."""

_NUMBER = re.compile(r"[0-9]{1,6}")


def is_legacy(data: Any) -> bool:
    """Whether data read from a file is a JSON workflow of the reference: an object with digits as keys."""
    if not isinstance(data, Mapping) or "steps" in data:
        return False
    return any(isinstance(key, str) and key.isascii() and key.isdigit() for key in data)


def parse_legacy(data: Any, name: str, where: str = "") -> Workflow:
    """The definition that a JSON workflow of the reference stands for.

    Step k becomes the step ``sk`` (and ``sk_response`` for the response of a filter with a cutoff), exposed as
    ``step_k``.

    Parameters
    ----------
    data : mapping
        As read from JSON.
    name : str
        Name of the workflow; what is not a letter or digit becomes ``_``.
    where : str
        File for messages; the name by default.

    Raises
    ------
    Problems
        With every problem of the file.
    """
    where = where or name
    if not isinstance(data, Mapping) or not data:
        given = "empty" if isinstance(data, Mapping) else f"a {type(data).__name__}"
        raise Problems(where, [f"a JSON workflow is an object with a key for every step, this is {given}"])
    problems, entries = _numbered(data)
    converter = Converter()
    usual: dict[int, tuple[str, str]] = {}
    for number, entry in sorted(entries.items()):
        found, row, parents, category = _structure(number, entry, entries)
        converter.problems += found
        values = _values(number, entry, converter.problems)
        if row is None or parents is None:
            converter.skip(number)
        else:
            if number == 1 and parents != [0]:
                converter.notes.append("step 1 takes the input image, whatever its parent")
                parents = [0]
            converter.add(number, row, parents, values)
            usual[number] = row.category, category
    problems += converter.problems
    if not problems:
        problems += _last_problem(converter, max(entries))
    if problems:
        raise Problems(where, problems)
    own_name = _name(name)
    workflow = Workflow(
        schema_version=SCHEMA_VERSION,
        name=own_name,
        title="" if own_name == name else name,
        source="JSON workflow of the Allen Cell & Structure Segmenter",
        rescale="ignored",
        steps=_with_categories(converter.steps, usual),
        result=Result(step=f"s{max(entries)}"),
        exposes=converter.exposes,
        notes=converter.notes,
    )
    if problems := find_problems(workflow):
        raise Problems(where, problems)
    return workflow


def _name(text: str) -> str:
    name = re.sub(r"[^A-Za-z0-9]+", "_", text).strip("_")
    return name if name[:1].isalpha() else f"workflow_{name}".rstrip("_")


def _numbered(data: Mapping[Any, Any]) -> tuple[list[str], dict[int, Any]]:
    """Problems of the keys, and the steps by number."""
    problems = []
    entries: dict[int, Any] = {}
    for key, entry in data.items():
        if not isinstance(key, str) or not _NUMBER.fullmatch(key):
            problems.append(f"'{key}': is not a step number; the keys are 1, 2, 3, ... in quotes")
        elif int(key) in entries:
            problems.append(f"'{key}': step {int(key)} is there already")
        elif int(key) == 0:
            problems.append("'0': is the input image; steps are numbered from 1")
        else:
            entries[int(key)] = entry
    before = 0
    for number in sorted(entries):
        if number > before + 1:
            gap = (
                f"step {number - 1} is" if number == before + 2 else f"steps {before + 1} to {number - 1} are"
            )
            problems.append(f"{gap} missing; steps are numbered 1, 2, 3, ... without gaps")
        before = number
    return problems, entries


def _structure(
    number: int, entry: Any, entries: Mapping[int, Any]
) -> tuple[list[str], Function | None, list[int] | None, str]:
    """Problems of a step's keys; its function, parents and category as far as they are right."""
    place = f"step {number}"
    if not isinstance(entry, Mapping):
        return (
            [f"{place}: is {entry!r}; an object with function, category and parent is needed"],
            None,
            None,
            "",
        )
    problems = [
        f"{place}: '{key}' is missing" for key in ("function", "category", "parent") if key not in entry
    ]
    row, parents, category = None, None, ""
    if "function" in entry:
        function = entry["function"]
        row = find_function(function) if isinstance(function, str) else None
        if row is None:
            wrong = (
                unknown_function(function)
                if isinstance(function, str)
                else f"'function' is {function!r}, no text"
            )
            problems.append(f"{place}: {wrong}")
    if "category" in entry:
        category = str(entry["category"]).lower()
        if category not in CATEGORIES:
            problems.append(
                f"{place}: category {entry['category']!r} is unknown; use {', '.join(CATEGORIES)}"
            )
    if "parent" in entry:
        given = entry["parent"] if isinstance(entry["parent"], list) else [entry["parent"]]
        found = _parent_problems(number, given, entries)
        problems += [f"{place}: {problem}" for problem in found]
        parents = None if found else given
    return problems, row, parents, category


def _parent_problems(number: int, parents: list[Any], entries: Mapping[int, Any]) -> list[str]:
    if not parents:
        return ["'parent' is an empty list; 0 is the input image"]
    allowed = "0 (the input image)" if number == 1 else f"0 (the input image) to {number - 1}"
    problems = []
    for parent in parents:
        if not isinstance(parent, int) or isinstance(parent, bool) or parent < 0:
            problems.append(f"parent {parent!r} is not a step number; use {allowed}")
        elif number == 1:
            continue  # the reference hands the input image to the first step, whatever its parent
        elif parent not in entries and parent != 0:
            problems.append(f"parent {parent} does not exist; use {allowed}")
        elif parent == number:
            problems.append(f"parent {parent} is the step itself; use {allowed}")
        elif parent > number:
            problems.append(f"parent {parent} comes later; use {allowed}")
    return problems


def _values(number: int, entry: Any, problems: list[str]) -> Mapping[str, Any]:
    """The parameters of a step; empty where there are none."""
    values = entry.get("parameter_values") if isinstance(entry, Mapping) else None
    if values is None:
        return {}
    if not isinstance(values, Mapping):
        problems.append(
            f"step {number}: 'parameter_values' is {values!r}; an object with names and values is needed"
        )
        return {}
    return values


def _last_problem(converter: Converter, last: int) -> list[str]:
    made = converter.made[last]
    if made.kind in ("mask", "labels"):
        return []
    given = f"an {made.kind}" if made.kind == "image" else made.kind
    return [f"{made.words} is the last and gives {given}; a workflow ends with a mask or labels"]


def usual_categories(rows: list[str]) -> list[str]:
    """The categories that steps of these usual ones get: postprocessing only from where nothing else follows."""
    found: list[str] = []
    for category in reversed(rows):
        after = found[-1] if found else "postprocessing"
        found.append("core" if category == "postprocessing" and after != "postprocessing" else category)
    return found[::-1]


def _with_categories(steps: list[Step], categories: Mapping[int, tuple[str, str]]) -> list[Step]:
    """The steps, with a note where a category is not the usual one."""
    numbers = sorted(categories)
    usual = usual_categories([categories[n][0] for n in numbers])
    notes = {
        f"s{n}": f"{CATEGORY_NOTE}{categories[n][1]}"
        for n, expected in zip(numbers, usual, strict=True)
        if categories[n][1] != expected
    }
    return [step.model_copy(update={"note": notes.get(step.id, "")}) for step in steps]
