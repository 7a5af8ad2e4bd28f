"""``fastseg operators``: what steps of a workflow can do."""

from __future__ import annotations

import json
import sys
from itertools import groupby
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fastseg.cli.console import print_heading, print_lines, print_prose, print_table
from fastseg.cli.guard import guarded

if TYPE_CHECKING:
    from fastseg.operators.spec import OpSpec

operators = typer.Typer(help="List and show operators.", no_args_is_help=True, rich_markup_mode=None)

_SHAPES = {2: "(Y, X)", 3: "(Z, Y, X)"}


@operators.command("list")
@guarded
def list_() -> None:
    """List the operators by category."""
    from fastseg.operators.registry import registry

    found = sorted(registry().values(), key=lambda spec: list(_categories()).index(spec.category))
    if not sys.stdout.isatty():
        rows = [(s.category, s.name, s.tiling, s.reference or "-", s.summary) for s in found]
        print_table(("category", "name", "tiling", "reference", "summary"), rows)
        return
    # Three names do not fit beside a sentence into 80 columns: the sentence gets a line of its own.
    name, tiling = (
        max(len(text) for text in texts) for texts in zip(*((s.name, s.tiling) for s in found), strict=True)
    )
    print_lines(f"{'name':<{name}}  {'tiling':<{tiling}}  reference")
    for category, specs in groupby(found, key=lambda s: s.category):
        print_lines("")
        print_heading(category)
        for spec in specs:
            start = f"{spec.name:<{name}}  {spec.tiling:<{tiling}}  "
            print_prose(f"{start}{spec.reference or '-'}", hanging=" " * len(start))
            print_prose(spec.summary, indent="  ")


@operators.command()
@guarded
def show(
    name: Annotated[str, typer.Argument(metavar="NAME", help="An operator's name.")],
    schema: Annotated[
        bool, typer.Option("--schema", help="Print the JSON schema of the parameters.")
    ] = False,
) -> None:
    """Show one operator: inputs, parameters, output, how it tiles."""
    from fastseg.operators.registry import get_operator

    spec = get_operator(name)
    if schema:
        sys.stdout.write(json.dumps(spec.params.model_json_schema(), indent=2) + "\n")
        return
    print_heading(spec.name)
    print_prose(spec.summary)
    if spec.description:
        print_lines("")
        print_prose(spec.description)
    print_lines("")
    print_heading("inputs")
    inputs = [
        (
            f"{i.name}, ..." if i.many else i.name,
            " or ".join(i.kinds),
            "" if i.kinds == ("scalar",) else " or ".join(_SHAPES[d] for d in i.dims),
            i.summary,
        )
        for i in spec.inputs
    ]
    print_table(("name", "kind", "shape", "meaning"), inputs, wrap=("meaning",))
    print_lines("")
    print_heading("parameters")
    rows = parameter_rows(spec)
    if rows:
        print_table(
            ("name", "type and range", "default", "meaning"), rows, wrap=("type and range", "meaning")
        )
    else:
        print_lines("none")
    print_lines("")
    print_table(("", "about"), about_rows(spec), wrap=("about",), header=False)


def _categories() -> dict[str, None]:
    """Categories in the order in which the registry names them first."""
    from fastseg.operators.registry import registry

    return dict.fromkeys(spec.category for spec in registry().values())


def parameter_rows(spec: OpSpec) -> list[tuple[str, str, str, str]]:
    """Name, type with range, default and meaning of every parameter; units are part of the meaning."""
    from fastseg.operators.functions import type_text

    full = spec.params.model_json_schema()
    rows = []
    for name, field in spec.params.model_fields.items():
        kind = type_text(_resolved(full["properties"][name], full), field.annotation)
        default = "required" if field.is_required() else repr(field.default)
        rows.append((name, kind, default, field.description or ""))
    return rows


def _resolved(schema: dict[str, Any], full: dict[str, Any]) -> dict[str, Any]:
    """A schema with a reference to a shared definition replaced by the definition."""
    reference = schema.get("$ref", "")
    return full["$defs"][reference.rsplit("/", 1)[-1]] if reference else schema


def about_rows(spec: OpSpec) -> list[tuple[str, str]]:
    """Output, tiling, memory and origin of an operator."""
    output = spec.output
    shape = f" {_SHAPES[output.dims]}" if output.dims and _SHAPES[output.dims] not in output.summary else ""
    rows = [("output", f"{output.kind}{shape}" + (f": {output.summary}" if output.summary else ""))]
    rows.append(("tiling rule", spec.tiling))
    halo = default_halo(spec)
    if halo is not None:
        rows.append(("halo", f"{halo} voxels (z, y, x) for the default parameters"))
    rows.append(("scratch", f"{spec.scratch:g} bytes a voxel"))
    if spec.reference:
        rows.append(("reference", spec.reference))
    if spec.paper:
        rows.append(("paper", spec.paper))
    return rows


def default_halo(spec: OpSpec) -> tuple[int, ...] | None:
    """The halo for the default parameters; None where a parameter has no default or there is no halo to speak of."""
    params, problems = spec.check({})
    if params is None or problems:
        return None
    halo = tuple(spec.halo_of(params))
    return halo if any(halo) else None
