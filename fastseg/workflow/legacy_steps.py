"""Reading the reference's JSON workflows: what one step becomes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from fastseg.operators.registry import registry
from fastseg.operators.spec import Input, OpSpec, Problem
from fastseg.workflow.legacy_table import SIZE_METHODS, Function
from fastseg.workflow.schema import Step

ResultKind: TypeAlias = Literal["image", "mask", "labels", "scalar", "several images"]


@dataclass(frozen=True)
class Made:
    """The result of a JSON step.

    Attributes
    ----------
    id : str
        The step or input that holds it.
    words : str
        What messages call it.
    kind : str or None
        None if a problem makes it unknown.
    integers : bool
        A mask that the reference holds as integers 0 and 1 (of which `mask_image` makes numbers of planes).
    """

    id: str
    words: str
    kind: ResultKind | None
    integers: bool = False


class Converter:
    """Turns JSON steps, in their order, into steps of a definition; collects what is wrong.

    Attributes
    ----------
    steps : list of Step
    made : dict of int to Made
        Results by the number of their JSON step; 0 is the input image.
    exposes : dict of str to str
    problems, notes : list of str
    """

    def __init__(self) -> None:
        self.steps: list[Step] = []
        self.made: dict[int, Made] = {0: Made("image", "the input image", "image")}
        self.exposes: dict[str, str] = {}
        self.problems: list[str] = []
        self.notes: list[str] = []
        self._changed: dict[int, int] = {}

    def add(self, number: int, row: Function, parents: Sequence[int], values: Mapping[str, Any]) -> None:
        """Convert one step.

        Parameters
        ----------
        number : int
        row : Function
        parents : sequence of int
            Numbers of steps that were added before; 0 is the input image.
        values : mapping
            The step's parameters.
        """
        for parent in dict.fromkeys(parents):
            if parent in self._changed:
                self.notes.append(
                    f"step {number} takes {self.made[parent].words} unchanged; in the reference, step "
                    f"{self._changed[parent]} has changed it by then"
                )
        if row.changes_input(values):
            self._changed[parents[0]] = number
        one = _OneStep(self, number, row, parents, dict(values))
        before = len(self.problems)
        made = one.convert()
        if made is None or len(self.problems) > before:
            made = Made(f"s{number}", one.words, None)
        self.made[number] = made
        for step_id, name in one.exposed.items():
            self.exposes[name] = step_id

    def skip(self, number: int) -> None:
        """Note a step that cannot be converted; what uses it is not judged."""
        self.made[number] = Made(f"s{number}", f"step {number}", None)


class _OneStep:
    def __init__(
        self, whole: Converter, number: int, row: Function, parents: Sequence[int], values: dict[str, Any]
    ) -> None:
        self.whole = whole
        self.number = number
        self.row = row
        self.parents = parents
        self.values = values
        self.words = f"step {number} ({row.id})"
        self.exposed: dict[str, str] = {}

    def convert(self) -> Made | None:
        row = self.row
        unknown = [name for name in self.values if name not in row.parameters]
        for name in unknown:
            known = ", ".join(row.parameters) or "none"
            self._say(f"'{row.id}' has no parameter '{name}' (its parameters: {known})")
            del self.values[name]
        for name in row.required:
            if name not in self.values:
                self._parameter_problem(name, "is required")
        inputs = registry()[row.operator].inputs
        if not inputs[-1].many and len(self.parents) != len(inputs):
            given = (
                f"'parent' names {len(self.parents)}"
                if self.number > 1
                else "the first step gets the input alone"
            )
            self._say(f"{given}, '{row.id}' takes {len(inputs)}")
            return None
        images = [self.whole.made[parent] for parent in self.parents]
        for made in images:
            if made.kind == "several images":
                self._say(f"{made.words} gives several images at once, which no function can take")
                return None
        made = getattr(self, f"_form_{row.form}")(images)
        assert made is None or isinstance(made, Made)
        return made

    def _form_plain(self, given: Sequence[Made]) -> Made | None:
        if self._returns_pair():
            return None
        return self._single(self.row.operator, given, self._named(self.values))

    def _returns_pair(self) -> bool:
        wanted = self.values.pop("return_object", False)
        if wanted is False:
            return False
        why = "true gives a pair of masks, which no step can take; leave it out"
        self._parameter_problem("return_object", why if wanted is True else f"must be false, not {wanted!r}")
        return True

    def _form_size(self, given: Sequence[Made]) -> Made | None:
        method = self.values.pop("method", "3D")
        if not isinstance(method, str) or method not in SIZE_METHODS:
            self._parameter_problem("method", f"{method!r} is unknown; use {' or '.join(SIZE_METHODS)}")
            method = "3D"
        return self._single(SIZE_METHODS[method], given, self._named(self.values))

    def _form_filter(self, given: Sequence[Made]) -> Made | None:
        cutoff = self.values.pop("cutoff", -1)
        sigmas = self.values.get("sigmas")
        if isinstance(sigmas, int | float) and not isinstance(sigmas, bool):
            self.values["sigmas"] = [sigmas]
        compare = {"value": cutoff}
        ok = self._check(registry()["greater_than"], compare, {"value": "cutoff"})
        if not ok or cutoff < 0:
            return self._single(self.row.operator, given, self._named(self.values))
        response = self._single(self.row.operator, given, self._named(self.values), suffix="_response")
        return response and self._single("greater_than", [response], compare)

    def _form_invert(self, given: Sequence[Made]) -> Made | None:
        (image,) = given
        if image.kind is None:
            return None
        if image.kind == "mask":
            return self._single("invert_mask", given, {}, integers=True)
        return self._single("invert_image", given, {}, wanted="an image or a mask")

    def _form_mask(self, given: Sequence[Made]) -> Made | None:
        image, mask = given
        parameters = self._named(self.values)
        if isinstance(parameters.get("value"), bool):
            parameters["value"] = int(parameters["value"])
        if image.kind is None:
            self._check(registry()["mask_image"], parameters)
            return None
        if image.kind != "mask":
            if mask.integers:
                self._note(
                    f"masks {image.words} by {mask.words} voxel by voxel, the reference by whole planes"
                )
            return self._single("mask_image", given, parameters, wanted="an image or a mask")
        if not self._check(registry()["mask_image"], parameters):
            return None
        value = bool(parameters.get("value", 0))
        if mask.integers:
            return self._single("set_where", given, {"value": value}, integers=image.integers)
        return self._single("logical_or" if value else "and_not", given, {}, integers=image.integers)

    def _form_erode(self, given: Sequence[Made]) -> Made | None:
        (image,) = given
        if image.kind is None:
            return None
        if image.kind == "mask":
            return self._single("erode", given, {"radius": 1}, integers=image.integers)
        return self._single("erode_image", given, {}, wanted="an image or a mask")

    def _form_hessian(self, given: Sequence[Made]) -> Made | None:
        parameters = self._named(self.values)
        if self.row.operator == "hessian_eigenvalue":
            parts = [{"index": k} for k in range(3)]
        else:
            parts = [{"row": i, "column": j} for i in range(3) for j in range(i, 3)]
        for part in parts:
            suffix = "_" + "".join(map(str, part.values()))
            if self._single(self.row.operator, given, {**parameters, **part}, suffix=suffix) is None:
                return None
            self.exposed[f"s{self.number}{suffix}"] = f"step_{self.number}{suffix}"
        return Made(f"s{self.number}", self.words, "several images")

    def _single(
        self,
        operator: str,
        given: Sequence[Made],
        parameters: dict[str, Any],
        suffix: str = "",
        wanted: str = "",
        integers: bool | None = None,
    ) -> Made | None:
        """Add one step; None if it cannot be. `integers` is found out for operators that leave voxels as they are."""
        spec = registry()[operator]
        declared = list(spec.inputs) + [spec.inputs[-1]] * (len(given) - len(spec.inputs))
        inputs = [self._fit(made, item, wanted) for made, item in zip(given, declared, strict=True)]
        if not self._check(spec, parameters) or None in inputs:
            return None
        step_id = f"s{self.number}{suffix}"
        names = [name for name in inputs if name is not None]
        ordered = {name: parameters[name] for name in spec.params.model_fields if name in parameters}
        self.whole.steps.append(Step(id=step_id, operator=operator, inputs=names, parameters=ordered))
        if not suffix:
            self.exposed[step_id] = f"step_{self.number}"
        if integers is None:
            integers = operator == "remove_hot_pixels" or (operator == "prune_slices" and given[0].integers)
        return Made(step_id, self.words, spec.output.kind, integers)

    def _fit(self, made: Made, item: Input, wanted: str) -> str | None:
        """The step that hands `made` to an input; labels and images become masks where only masks are taken."""
        if made.kind is None or made.kind in item.kinds:
            return made.id
        if item.kinds == ("mask",) and made.kind in ("labels", "image") and not self.row.keeps_values:
            return self._foreground(made)
        needed = wanted or " or ".join(f"{'an' if kind == 'image' else 'a'} {kind}" for kind in item.kinds)
        needed = needed.replace("a labels", "labels")
        gives = {"image": "an image", "mask": "a mask"}.get(str(made.kind), made.kind)
        self._say(f"'{self.row.id}' needs {needed}, {made.words} gives {gives}")
        return None

    def _foreground(self, made: Made) -> str:
        step_id = f"{made.id}_foreground"
        if made.kind == "image" and self.row.form != "size":
            self._note(f"takes {made.words}, an image, as a mask: its voxels above 0")
        if all(step.id != step_id for step in self.whole.steps):
            step = Step(id=step_id, operator="greater_than", inputs=[made.id], parameters={"value": 0})
            self.whole.steps.append(step)
        return step_id

    def _named(self, values: Mapping[str, Any]) -> dict[str, Any]:
        return {self.row.parameters[name]: value for name, value in values.items()}

    def _check(
        self, spec: OpSpec, parameters: dict[str, Any], names: Mapping[str, str] | None = None
    ) -> bool:
        """Whether an operator takes these parameters; whole numbers written as 5.0 are made integers in place."""
        for name, value in parameters.items():
            field = spec.params.model_fields.get(name)
            if (
                field is not None
                and field.annotation is int
                and isinstance(value, float)
                and value.is_integer()
            ):
                parameters[name] = int(value)
        _, problems = spec.check(parameters)
        legacy = {native: name for name, native in self.row.parameters.items()} | dict(names or {})
        for problem in problems:
            self._operator_problem(problem, legacy)
        return not problems

    def _operator_problem(self, problem: Problem, legacy: Mapping[str, str]) -> None:
        name, _, rest = problem.place.partition(".")
        if not name:  # several parameters do not fit together; what was given has other names here
            self._say(problem.message.partition(" (given: ")[0])
            return
        place = legacy.get(name, name) + (f".{rest}" if rest else "")
        self._parameter_problem(place, problem.message)

    def _parameter_problem(self, name: str, message: str) -> None:
        self._say(
            f"parameter '{name}' {message}" if message == "is required" else f"parameter '{name}': {message}"
        )

    def _say(self, message: str) -> None:
        self.whole.problems.append(f"step {self.number}: {message}")

    def _note(self, message: str) -> None:
        self.whole.notes.append(f"step {self.number} {message}")
