"""Operators as documented Python functions, made from their declarations."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import cache
from typing import Any

from fastseg.operators.registry import get_operator
from fastseg.operators.run import apply
from fastseg.operators.spec import OpSpec


@cache
def function_of(name: str) -> Callable[..., Any]:
    """The function of an operator, with signature and docstring.

    Raises
    ------
    UsageError
        If there is no such operator.
    """
    spec = get_operator(name)

    def operator(*arrays: Any, **parameters: Any) -> Any:
        return apply(spec, *arrays, **parameters)

    operator.__name__ = operator.__qualname__ = name
    operator.__module__ = "fastseg.operators"
    operator.__doc__ = docstring(spec)
    operator.__signature__ = _signature(spec)  # type: ignore[attr-defined]
    return operator


def _signature(spec: OpSpec) -> inspect.Signature:
    positional, variadic = inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.VAR_POSITIONAL
    arguments = [inspect.Parameter(i.name, variadic if i.many else positional) for i in spec.inputs]
    for name, field in spec.params.model_fields.items():
        default = inspect.Parameter.empty if field.is_required() else field.default
        arguments.append(inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default))
    arguments.append(inspect.Parameter("engine", inspect.Parameter.KEYWORD_ONLY, default=None))
    return inspect.Signature(arguments)


_SHAPES = {2: "(Y, X)", 3: "(Z, Y, X)"}


def docstring(spec: OpSpec) -> str:
    """The numpydoc docstring of an operator."""
    lines = [f"{spec.summary}.", ""]
    if spec.description:
        lines += [spec.description, ""]
    lines += ["Parameters", "----------"]
    for item in spec.inputs:
        shapes = " or ".join(_SHAPES[d] for d in item.dims)
        lines += [f"{item.name} : {' or '.join(item.kinds)} {shapes}".rstrip(), f"    {item.summary}"]
    for name, schema in spec.params.model_json_schema().get("properties", {}).items():
        field = spec.params.model_fields[name]
        kind = type_text(schema, field.annotation)
        default = "" if field.is_required() else f", default {field.default!r}"
        lines += [f"{name} : {kind}{default}", f"    {field.description}"]
    lines += ["engine : Engine, optional", "    A tiled engine; in memory by default.", ""]
    lines += [
        "Returns",
        "-------",
        f"{spec.output.kind}",
        f"    {spec.output.summary}",
        "",
        "Raises",
        "------",
    ]
    lines += ["Problems", "    If a parameter is wrong; every problem is listed."]
    lines += ["InputError", "    If the dimensions or shapes of the inputs do not fit.", "", "Notes", "-----"]
    lines += [f"Tiling rule: {spec.tiling}. Scratch: {spec.scratch:g} bytes a voxel."]
    if spec.reference:
        lines += [f"Reference function: {spec.reference}."]
    if spec.paper:
        lines += ["", "References", "----------", f".. [1] {spec.paper}"]
    return "\n".join(lines)


def type_text(schema: dict[str, Any], annotation: Any) -> str:
    """A parameter's type and range in words."""
    if "enum" in schema:
        return "{" + ", ".join(repr(v) for v in schema["enum"]) + "}"
    if "anyOf" in schema:
        return " or ".join(type_text(s, None) for s in schema["anyOf"])
    names = {"number": "float", "integer": "int", "boolean": "bool", "string": "str", "array": "list"}
    kind = names.get(schema.get("type", ""), "object")
    if kind == "list":
        items = schema.get("prefixItems") or [schema.get("items", {})]
        inner = ", ".join(type_text(i, None) for i in items)
        return f"list of {len(items)} numbers" if schema.get("prefixItems") else f"list of {inner}"
    bounds = [
        f"{sign} {schema[key]:g}"
        for key, sign in (
            ("minimum", ">="),
            ("exclusiveMinimum", ">"),
            ("maximum", "<="),
            ("exclusiveMaximum", "<"),
        )
        if key in schema
    ]
    return f"{kind} {', '.join(bounds)}".rstrip()
