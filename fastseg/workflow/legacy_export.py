"""Writing definitions as JSON workflows of the reference."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from fastseg.errors import Problems
from fastseg.operators.registry import registry
from fastseg.workflow.legacy import CATEGORY_NOTE, usual_categories
from fastseg.workflow.legacy_table import FUNCTIONS, MULTISCALE, NORMALIZATIONS, SIZE_METHODS, Function
from fastseg.workflow.schema import Step, Workflow

_FILTERS = {row.operator: row for row in FUNCTIONS.values() if row.form == "filter"}
_PLAIN = {row.operator: row for row in FUNCTIONS.values() if row.form in ("plain", "invert", "mask")}
_METHODS = {operator: method for method, operator in SIZE_METHODS.items()}
_KEEPS_KIND = ("prune_z_slices", "erosion", "mask_image")
"""Functions whose result has the type of their first image."""
_NOT_BOOL = ("invert_image", "remove_hot_pixel", "find_local_maxima")
"""Functions whose masks the reference holds as numbers; as a mask of `mask_image` they would name planes."""

_REASONS = {
    "greater_than": "only a filter's response can be compared with a cutoff (0 or more), and labels with 0",
    "remove_small_labels": "counts the voxels of each label, whereas size_filter takes labels as one mask",
    "rescale_xy": "a JSON workflow never rescales",
    "hessian_element": "the JSON function gives the whole matrix, which no other can take",
    "hessian_eigenvalue": "the JSON function gives all eigenvalues at once, which no other can take",
}


def to_legacy(workflow: Workflow) -> dict[str, dict[str, Any]]:
    """A definition as a JSON workflow of the reference, without its optional rescaling.

    Parameters
    ----------
    workflow : Workflow
        Validated.

    Returns
    -------
    dict
        The JSON object, steps in ascending order.

    Raises
    ------
    Problems
        With every step that cannot be expressed, and why.
    """
    return _Exporter(workflow).export()


def legacy_json(data: Mapping[str, Any]) -> str:
    """The text of a JSON workflow, laid out as the reference saves it."""
    return json.dumps(data, indent=4, sort_keys=True) + "\n"


class _Exporter:
    def __init__(self, workflow: Workflow) -> None:
        self.workflow = workflow
        self.rows: list[dict[str, Any]] = []
        self.numbers: dict[str, int] = dict.fromkeys(workflow.inputs, 0)
        self.problems: list[str] = []
        self.users = {
            name: [step for step in workflow.steps if name in step.inputs]
            for name in (*workflow.inputs, *(step.id for step in workflow.steps))
        }
        self.order = workflow.ordered()
        result = workflow.step(workflow.result.step)
        if not self.users[result.id]:
            self.order = [step for step in self.order if step.id != result.id] + [result]

    def export(self) -> dict[str, dict[str, Any]]:
        workflow, result = self.workflow, self.workflow.result
        if later := self.users[result.step]:
            self.problems.append(
                f"result: '{result.step}' is used by '{later[0].id}', but a JSON workflow ends with its result"
            )
        if (result.dtype, result.foreground) != ("uint8", 255):
            self.problems.append(
                f"result: foreground {result.foreground} ({result.dtype}) cannot be told; a JSON workflow gives a mask"
            )
        categories: dict[int, str] = {}
        for step in self.order:
            self._step(step)
            if step.note.startswith(CATEGORY_NOTE):
                categories[len(self.rows)] = step.note.removeprefix(CATEGORY_NOTE)
        if self.problems:
            raise Problems(f"{workflow.name} as a JSON workflow", self.problems)
        usual = usual_categories([FUNCTIONS[row["function"]].category for row in self.rows])
        for number, (row, category) in enumerate(zip(self.rows, usual, strict=True), start=1):
            row["category"] = categories.get(number, category)
        return {str(number): row for number, row in enumerate(self.rows, start=1)}

    def _step(self, step: Step) -> None:
        if step.when == "rescale":
            self.numbers[step.id] = self.numbers[step.inputs[0]]
            return
        before = len(self.problems)
        special = getattr(self, f"_op_{step.operator}", None)
        if special is not None:
            number = special(step)
        elif step.operator in _FILTERS:
            number = self._filter(step)
        elif step.operator in _METHODS:
            number = self._size(step)
        elif step.operator in MULTISCALE:
            number = self._multiscale(step)
        elif step.operator in _PLAIN:
            row = _PLAIN[step.operator]
            number = self._row(row.id, self._parents(step), self._values(step, row))
        else:
            number = self._cannot(step, _REASONS.get(step.operator, "no JSON function does this"))
        # After a problem the numbers no longer matter; the other steps are still looked at.
        self.numbers[step.id] = number if len(self.problems) == before else 0

    def _cannot(self, step: Step, why: str) -> int:
        problem = f"step '{step.id}' ({step.operator}): {why}"
        if problem not in self.problems:  # a filter is written once for each of its cutoffs
            self.problems.append(problem)
        return 0

    def _row(self, function: str, parents: Sequence[int], values: Mapping[str, Any] | None = None) -> int:
        row: dict[str, Any] = {"function": function, "category": ""}
        row["parent"] = parents[0] if len(parents) == 1 else list(parents)
        if values:
            row["parameter_values"] = dict(values)
        self.rows.append(row)
        return len(self.rows)

    def _parents(self, step: Step) -> list[int]:
        return [self.numbers[name] for name in step.inputs]

    def _values(self, step: Step, row: Function, besides: Sequence[str] = ()) -> dict[str, Any]:
        """All parameters of a function, with defaults filled in; what it has no parameter for must be a default."""
        native = {native: name for name, native in row.parameters.items() if native}
        values: dict[str, Any] = {}
        for name, field in registry()[step.operator].params.model_fields.items():
            value = step.parameters.get(name, field.default)
            if name in native:
                values[native[name]] = list(value) if isinstance(value, tuple) else value
                if native[name] == "sigma" and isinstance(value, list | tuple):
                    self._cannot(step, f"sigma {list(value)} must be one number for all axes")
            elif name not in besides and name != "compat" and _plain(value) != _plain(field.default):
                self._cannot(
                    step, f"{name} {value!r} cannot be told; JSON workflows always use {field.default!r}"
                )
        return values

    def _op_intensity_normalize(self, step: Step) -> int:
        function = FUNCTIONS[NORMALIZATIONS[len(step.parameters["scaling"])]]
        return self._row(function.id, self._parents(step), self._values(step, function))

    def _filter(self, step: Step) -> int:
        if self._all_compared(step.id):
            return -1  # each comparison becomes a filter with a cutoff
        row = _FILTERS[step.operator]
        return self._row(row.id, self._parents(step), self._values(step, row))

    def _all_compared(self, name: str) -> bool:
        users = self.users[name]
        return bool(users) and all(_is_cutoff(user) for user in users)

    def _op_greater_than(self, step: Step) -> int:
        (name,) = step.inputs
        response = self._filter_before(step)
        if response is not None and _is_cutoff(step):
            row = _FILTERS[response.operator]
            values = self._values(response, row) | {"cutoff": step.parameters["value"]}
            return self._row(row.id, self._parents(response), values)
        if step.parameters["value"] != 0:
            return self._cannot(step, _REASONS["greater_than"])
        labels = name not in self.workflow.inputs and _gives_labels(self.workflow.step(name))
        users = self.users[step.id]
        if users and all(user.operator in _METHODS or (labels and _takes_as_mask(user)) for user in users):
            return self.numbers[name]  # the function makes a mask of it by itself
        return self._row("size_filter", [self.numbers[name]], {"min_size": 0, "method": "3D"})

    def _size(self, step: Step) -> int:
        row = FUNCTIONS["size_filter"]
        values = self._values(step, row) | {"method": _METHODS[step.operator]}
        return self._row(row.id, self._parents(step), values)

    def _multiscale(self, step: Step) -> int:
        function, name = MULTISCALE[step.operator]
        scales = step.parameters["scales"]
        if not scales or any(cutoff < 0 for _, cutoff in scales):
            return self._cannot(step, "scales must not be empty, and cutoffs must be 0 or more")
        masks = [
            self._row(function, self._parents(step), {name: [s] if name == "sigmas" else s, "cutoff": cutoff})
            for s, cutoff in scales
        ]
        return self._row("merge_segmentation", masks) if len(masks) > 1 else masks[0]

    def _op_logical_or(self, step: Step) -> int:
        return self._set("merge_segmentation", self._parents(step))

    def _op_logical_xor(self, step: Step) -> int:
        parents = self._parents(step)
        return self._set("segmentation_xor" if len(parents) > 1 else "merge_segmentation", parents)

    def _set(self, function: str, parents: list[int]) -> int:
        # The reference reduces a single image along z.
        return self._row(function, parents if len(parents) > 1 else parents * 2)

    def _op_logical_and(self, step: Step) -> int:
        both, *others = self._parents(step)
        if not others:
            return self._set("merge_segmentation", [both])
        for other in others:  # a and b = (a xor b) xor (a or b)
            parts = [self._row(f, [both, other]) for f in ("segmentation_xor", "merge_segmentation")]
            both = self._row("segmentation_xor", parts)
        return both

    def _op_and_not(self, step: Step) -> int:
        mask, excluded = self._parents(step)
        if self._is_bool(excluded) and not self._used_after(step):
            return self._row("mask_image", [mask, excluded], {"value": 0})
        union = self._row("merge_segmentation", [mask, excluded])
        return self._row("segmentation_xor", [union, excluded])

    def _op_set_where(self, step: Step) -> int:
        value = bool(step.parameters.get("value", False))
        if self._is_bool(self._parents(step)[1]):
            return self._op_logical_or(step) if value else self._op_and_not(step)
        if self._used_after(step):
            return self._cannot(step, self._changed_in_place(step))
        return self._row("mask_image", self._parents(step), {"value": int(value)})

    def _op_mask_image(self, step: Step) -> int:
        row = FUNCTIONS["mask_image"]
        if self._used_after(step):
            return self._cannot(step, self._changed_in_place(step))
        image, mask = self._parents(step)
        if not self._is_bool(mask):
            mask = self._set("merge_segmentation", [mask])
        return self._row(row.id, [image, mask], self._values(step, row))

    def _changed_in_place(self, step: Step) -> str:
        return f"mask_image of the reference changes '{step.inputs[0]}' itself, which later steps use"

    def _used_after(self, step: Step) -> bool:
        """Whether the first input, which `mask_image` of the reference changes in place, is used later on."""
        later = self.order[self.order.index(step) + 1 :]
        number = self.numbers[step.inputs[0]]
        return any(number in self._reads(other) for other in later)

    def _reads(self, step: Step) -> set[int | None]:
        """What the functions of a step take, as far as it is there; a comparison repeats the filter before it."""
        names = step.inputs
        if _is_cutoff(step) and self._filter_before(step) is not None:
            names = self.workflow.step(names[0]).inputs
        return {self.numbers.get(name) for name in names}

    def _filter_before(self, step: Step) -> Step | None:
        made_by = next((s for s in self.workflow.steps if s.id == step.inputs[0]), None)
        return made_by if made_by is not None and made_by.operator in _FILTERS else None

    def _op_invert_mask(self, step: Step) -> int:
        return self._row("invert_image", self._parents(step))

    def _op_erode(self, step: Step) -> int:
        if step.parameters["radius"] != 1 or step.parameters.get("shape", "ball") != "ball":
            return self._cannot(step, "only the erosion by a ball of radius 1 has a JSON function")
        return self._row("erosion", self._parents(step))

    def _op_erode_image(self, step: Step) -> int:
        return self._row("erosion", self._parents(step))

    def _is_bool(self, number: int) -> bool:
        """Whether the reference holds this mask as a bool array."""
        if number == 0:
            return False
        row = self.rows[number - 1]
        if row["function"] in _KEEPS_KIND:
            parent = row["parent"]
            return self._is_bool(parent[0] if isinstance(parent, list) else parent)
        return row["function"] not in _NOT_BOOL


def _plain(value: Any) -> Any:
    return list(map(_plain, value)) if isinstance(value, list | tuple) else value


def _is_cutoff(step: Step) -> bool:
    return step.operator == "greater_than" and step.parameters["value"] >= 0


def _gives_labels(step: Step) -> bool:
    return registry()[step.operator].output.kind == "labels"


def _takes_as_mask(step: Step) -> bool:
    """Whether the function of an operator is sure to take labels above 0 as true."""
    return step.operator in ("logical_or", "logical_xor", "logical_and")
