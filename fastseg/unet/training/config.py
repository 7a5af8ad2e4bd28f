"""Configuration files of training: read, changed by ``section.key=value``, checked as a whole, written back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from typing import Any

from pydantic import BaseModel, ValidationError

from fastseg.errors import Problems, UsageError
from fastseg.unet.training.settings import TrainSettings
from fastseg.unet.wording import field_problems


def placed(tree: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """A configuration with values put in place.

    Parameters
    ----------
    tree : mapping
        Not modified.
    values : mapping
        By ``section.key``.
    """
    made = deepcopy(dict(tree))
    for place, value in values.items():
        *sections, last = place.split(".")
        part = made
        for key in sections:
            below = part.get(key)
            # a network may be given as its name alone
            part[key] = {"name": below} if isinstance(below, str) else dict(below or {})
            part = part[key]
        part[last] = value
    return made


def changed(tree: Mapping[str, Any], changes: Sequence[str]) -> dict[str, Any]:
    """A configuration with values put in place.

    Parameters
    ----------
    tree : mapping
        Not modified.
    changes : sequence of str
        ``section.key=value``, the value as in YAML.

    Raises
    ------
    UsageError
        If one is not of this form.
    """
    import yaml

    values = {}
    for text in changes:
        place, equals, value = text.partition("=")
        place = place.strip()
        if not equals or not all(place.split(".")):
            raise UsageError(f"--set '{text}' is no change: write section.key=value, such as loss.name=focal")
        try:
            values[place] = yaml.safe_load(value)
        except yaml.YAMLError:
            raise UsageError(f"--set '{text}': {value!r} is no YAML value") from None
    return placed(tree, values)


def parse_settings(tree: Mapping[str, Any], where: str) -> TrainSettings:
    """Checked settings.

    Raises
    ------
    Problems
        Everything that is wrong: unknown keys, values that are not allowed.
    """
    try:
        return TrainSettings.model_validate(dict(tree))
    except ValidationError as error:
        raise Problems(where, field_problems(error, TrainSettings)) from None


def dump(settings: TrainSettings) -> str:
    """The settings as YAML, complete: reading it gives the same settings."""
    import yaml

    return yaml.safe_dump(settings.model_dump(mode="json", by_alias=True), sort_keys=False, width=100)


def describe(settings: TrainSettings) -> str:
    """The settings as YAML with what every key means; reading it gives the same settings."""
    return "\n".join(_described(settings, "")) + "\n"


def _described(model: BaseModel, indent: str) -> Iterator[str]:
    for name, field in type(model).model_fields.items():
        value = getattr(model, name)
        if isinstance(value, BaseModel):
            yield f"{indent}{name}:"
            yield from _described(value, indent + "  ")
            continue
        plain = model.model_dump(mode="json", by_alias=True, include={name})[name]
        text = f"{indent}{name}: {_flow(plain)}"
        yield f"{text:<40} # {field.description}" if field.description else text


def _flow(value: Any) -> str:
    import yaml

    text = yaml.safe_dump(value, default_flow_style=True, sort_keys=False, width=10**6)
    return text.removesuffix("\n").removesuffix("\n...")
