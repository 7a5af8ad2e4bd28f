"""How messages of this layer are put: what pydantic finds wrong, and numbers with their nouns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

_NEEDED = {
    **dict.fromkeys(("dict_type", "model_type", "model_attributes_type"), "a mapping of keys to values"),
    **dict.fromkeys(("tuple_type", "list_type"), "a list"),
    **dict.fromkeys(("float_type", "float_parsing"), "a number"),
    **dict.fromkeys(("int_type", "int_parsing", "int_from_float"), "a whole number"),
    **dict.fromkeys(("bool_type", "bool_parsing"), "true or false"),
    "string_type": "text",
}
"""What is needed where pydantic speaks of Python's types."""


def counted(number: int, noun: str, plural: str = "") -> str:
    """A number with its noun: ``1 channel``, ``2 channels``."""
    return f"{number} {noun if number == 1 else plural or noun + 's'}"


def field_problems(error: ValidationError, model: type[BaseModel], noun: str = "key") -> list[str]:
    """A sentence for each thing that is wrong with the fields of a model.

    Parameters
    ----------
    error : ValidationError
    model : type of BaseModel
        What was validated; its fields are what there is instead of one that is unknown.
    noun : str
        What a field is called where the user writes it.

    Returns
    -------
    list of str
        The field, what is allowed, and the value that was given.
    """
    return [_sentence(dict(item), model, noun) for item in error.errors()]


def _sentence(item: Mapping[str, Any], model: type[BaseModel], noun: str) -> str:
    path = [str(part) for part in item["loc"]]
    place = ".".join(path)
    if item["type"] == "extra_forbidden":
        known = _fields(model, path[:-1])
        near = get_close_matches(path[-1], known, n=1)
        hint = f"did you mean {near[0]}?" if near else f"known: {', '.join(known)}"
        return f"{place}: there is no such {noun} ({hint})"
    if item["type"] == "missing":
        return f"{place}: is missing"
    needed = _NEEDED.get(item["type"])
    message = f"{needed} is needed" if needed else item["msg"].removeprefix("Value error, ")
    if not place:  # of the whole, which names its field itself
        return message
    value = item["input"]
    told = isinstance(value, Mapping) or (isinstance(value, str) and repr(value) in message)
    given = "" if told else f" (given: {value!r})"
    return f"{place}: {message[:1].lower()}{message[1:]}{given}"


def _fields(model: type[BaseModel], path: Sequence[str]) -> list[str]:
    """Names, as they are written, of the fields of the model that lies at a place in another one."""
    found = model
    for part in path:
        if part in found.model_fields:  # not an index, which stays in the model
            found = _model_in(found.model_fields[part].annotation) or found
    return [field.alias or name for name, field in found.model_fields.items()]


def _model_in(annotation: Any) -> type[BaseModel] | None:
    """The model that an annotation such as ``tuple[Model, ...] | None`` speaks of."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((m for m in map(_model_in, get_args(annotation)) if m is not None), None)
