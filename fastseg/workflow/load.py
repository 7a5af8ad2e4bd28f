"""Reading workflow definitions: the library by name, users' own files and the reference's JSON files by path."""

from __future__ import annotations

import json
from difflib import get_close_matches
from functools import cache, lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Any, NoReturn

import yaml

from fastseg.errors import Problems, UsageError
from fastseg.workflow.legacy import is_legacy, parse_legacy
from fastseg.workflow.legacy_library import LEGACY_PREFIX, legacy_names, legacy_text, with_facts
from fastseg.workflow.schema import Workflow
from fastseg.workflow.validate import parse
from fastseg.workflow.yaml_text import Loader

_SUFFIXES = (".yaml", ".yml", ".json")


def _read_yaml(text: str, where: str) -> Any:
    try:
        return yaml.load(text, Loader=Loader)  # a SafeLoader
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        place = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        raise Problems(where, [f"{place}not valid YAML ({error.problem})"]) from None
    except (yaml.YAMLError, RecursionError) as error:
        raise Problems(where, [f"not valid YAML ({str(error).splitlines()[0]})"]) from None


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f"key '{key}' appears twice")
        found[key] = value
    return found


def _not_finite(text: str) -> NoReturn:
    raise ValueError(f"{text} is not a number")


def _read_json(text: str, where: str) -> Any:
    try:
        return json.loads(text, object_pairs_hook=_object, parse_constant=_not_finite)
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        raise Problems(where, [f"{place}: not valid JSON ({error.msg})"]) from None
    except (ValueError, RecursionError) as error:
        raise Problems(where, [f"not valid JSON ({error})"]) from None


def parse_text(text: str, where: str) -> Workflow:
    """A definition from YAML or JSON text, or from a JSON workflow of the reference.

    Parameters
    ----------
    text : str
    where : str
        File for messages. A name that ends in .json is read as JSON, and names a workflow of the reference.

    Raises
    ------
    Problems
        If it is neither YAML nor JSON, or not a valid workflow.
    """
    data = _read_json(text, where) if where.lower().endswith(".json") else _read_yaml(text, where)
    if is_legacy(data):
        return parse_legacy(data, Path(where).stem, where)
    return parse(data, where)


def load_file(path: str | Path) -> Workflow:
    """The definition in a file.

    Raises
    ------
    UsageError
        If the file cannot be read.
    Problems
        If it is not a valid definition.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise UsageError(f"workflow file {path} is not text (UTF-8 YAML or JSON is needed)") from None
    except OSError as error:
        raise UsageError(f"workflow file {path} cannot be read: {error.strerror}") from None
    return parse_text(text, str(path))


@lru_cache(maxsize=1)
def library_names() -> tuple[str, ...]:
    """Names of the workflows that come with fastseg, sorted."""
    folder = files("fastseg.workflow.library")
    names = [item.name.removesuffix(".yaml") for item in folder.iterdir() if item.name.endswith(".yaml")]
    return tuple(sorted(names, key=str.lower))


def library_text(name: str) -> str:
    """The definition file of a library workflow."""
    return files("fastseg.workflow.library").joinpath(f"{name}.yaml").read_text(encoding="utf-8")


def get_workflow(name: str | Path | Workflow) -> Workflow:
    """A workflow by name (upper and lower case do not matter) or from a file.

    Parameters
    ----------
    name : str, Path or Workflow
        Something that ends in .yaml, .yml or .json, or holds a path separator, is a file. ``json:NAME`` is the
        reference's JSON workflow of that name, which may differ from the structure workflow ``NAME``.

    Raises
    ------
    UsageError
        If there is no such workflow; the message names the nearest ones.
    Problems
        If the file is not a valid definition.
    """
    if isinstance(name, Workflow):
        return name
    text = str(name)
    if isinstance(name, Path) or text.lower().endswith(_SUFFIXES) or "/" in text or "\\" in text:
        return load_file(name)
    legacy = text.lower().startswith(LEGACY_PREFIX)
    names = tuple(LEGACY_PREFIX + n for n in legacy_names()) if legacy else library_names()
    known = {n.lower(): n for n in names}
    found = known.get(text.lower())
    if found is None:
        near = [known[n] for n in get_close_matches(text.lower(), known, n=3, cutoff=0.4)]
        hint = f"did you mean {' or '.join(near)}?" if near else "see 'fastseg workflows list'"
        raise UsageError(f"workflow '{text}' is unknown: {hint}")
    return _from_the_library(found)


@cache
def _from_the_library(name: str) -> Workflow:
    """Read once in a process: parsing takes several milliseconds, as long as a GPU takes for a stack."""
    if not name.startswith(LEGACY_PREFIX):
        return parse_text(library_text(name), f"{name}.yaml")
    name = name.removeprefix(LEGACY_PREFIX)
    workflow = parse_text(legacy_text(name), f"{name}.json")
    return with_facts(workflow, _from_the_library(name))
