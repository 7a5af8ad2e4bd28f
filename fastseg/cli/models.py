"""``fastseg models``: network architectures, and trained models in files and folders."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fastseg.cli.console import print_heading, print_lines, print_prose, print_table
from fastseg.cli.guard import guarded
from fastseg.errors import ReadError, UsageError

if TYPE_CHECKING:
    from fastseg.unet.model_info import ModelInfo
    from fastseg.unet.networks.registry import Architecture

models = typer.Typer(
    help="List and show networks and trained models.", no_args_is_help=True, rich_markup_mode=None
)

_OUTPUTS = (100, 500, 500)
"""Output that costs are given for, about: small enough to print quickly, large enough that margins matter little."""


@models.command("list")
@guarded
def list_() -> None:
    """List the network architectures."""
    from fastseg.unet.cost import parameters
    from fastseg.unet.memory import patch_cost
    from fastseg.unet.networks.registry import NETWORKS, architecture

    rows = []
    for name, spec in NETWORKS.items():
        arch = architecture(name)
        valid = ", ".join(f"{rule.smallest}+{rule.period}n" for rule in arch.sizes.axes)
        cost = patch_cost(arch, _examples(arch)[1])
        rows.append(
            (
                name,
                f"{parameters(arch.graph) / 1e6:.1f} million",
                _receptive_field(arch),
                _triple(arch.sizes.halo),
                valid.replace("+1n", "+n"),
                f"{cost.bytes / 2**30:.1f} GiB for {_triple(cost.size_in)}",
                f"{spec.summary}. For {spec.advice}.",
            )
        )
    columns = ("name", "parameters", "sees z,y,x", "halo z,y,x", "valid patches", "memory", "network")
    print_table(columns, rows, wrap=("network",))


@models.command()
@guarded
def show(
    name: Annotated[
        str, typer.Argument(metavar="NAME|MODEL", help="A network's name, a model folder or a checkpoint.")
    ],
    sets: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="NAME=VALUE",
            help="A parameter of a network, such as zoom_ratio=2, width=16 or classes=2,2,2; repeated for several.",
        ),
    ] = None,
    trust: Annotated[
        bool,
        typer.Option(
            "--trust-checkpoint",
            help="Open a checkpoint that holds more than weights. It may run any code: only for files you trust.",
        ),
    ] = False,
) -> None:
    """Show a network or a trained model: valid patch sizes, receptive field, memory, arithmetic."""
    from fastseg.unet.networks.registry import NETWORKS, architecture

    # a folder that happens to be called as a network does not hide it
    if name not in NETWORKS and not Path(name).exists() and (os.sep in name or Path(name).suffix):
        raise UsageError(
            f"{name} does not exist: give a model folder, the folder of a training run, a checkpoint, or one of the "
            f"networks {', '.join(NETWORKS)}"
        )
    if name in NETWORKS or not Path(name).exists():
        _show_network(architecture(name, _params(sets or [])))
        return
    if sets:
        raise UsageError("--set describes a network: a trained model knows its own parameters")
    from fastseg.unet.model import load_model

    try:
        model = load_model(name, trusted=trust)
    except ReadError as error:  # what was asked for is no model, as for prediction
        raise UsageError(str(error)) from error
    _show_model(name, model.info)
    print_lines("")
    _show_network(model.architecture)


def _params(sets: list[str]) -> dict[str, object]:
    """Parameters of a network as they were typed.

    Raises
    ------
    UsageError
        For what is no name and value, or given twice.
    """
    found: dict[str, object] = {}
    for text in sets:
        name, equals, value = (part.strip() for part in text.partition("="))
        if not name or not equals or not value:
            raise UsageError(f"--set '{text}' is no parameter: give name=value, such as zoom_ratio=2")
        if name in found:
            raise UsageError(f"--set {name} is given twice")
        found[name] = tuple(part.strip() for part in value.split(",")) if name == "classes" else value
    return found


def _receptive_field(arch: Architecture) -> str:
    """What an output voxel depends on (z,y,x); in the plane it varies with the phase of the pooling."""
    from fastseg.unet.cost import reach

    seen = [sorted({low + high + 1 for low, high in reach(arch.graph, arch.sizes, a)}) for a in range(3)]
    return ",".join(str(s[0]) if len(s) == 1 else f"{s[0]}-{s[-1]}" for s in seen)


def _triple(numbers: tuple[int, int, int]) -> str:
    return ",".join(map(str, numbers))


def _show_model(path: str, info: ModelInfo) -> None:
    print_heading(path)
    selections = ", ".join(f"class {s.class_} of output {s.output}" for s in info.selections)
    spacing = (
        "not said"
        if info.spacing is None
        else ",".join(f"{v:g}" for v in info.spacing) + " micrometres (z,y,x)"
    )
    recipe = info.normalization
    rows = [
        ("normalisation", "none: the image as it is" if recipe is None else str(recipe)),
        ("voxel size", spacing),
        ("threshold", "none: probabilities" if info.threshold is None else f"{info.threshold:g}"),
        ("gives", selections),
        ("weights", f"SHA-256 {info.weights_sha256[:16]}"),
        *((str(key), str(value)) for key, value in info.provenance.items()),
    ]
    print_table(("", ""), rows, wrap=("",), header=False)


def _show_network(arch: Architecture) -> None:
    from fastseg.unet.cost import parameters
    from fastseg.unet.memory import patch_cost

    print_heading(arch.name)
    print_prose(f"{arch.spec.summary}. For {arch.spec.advice}.")
    rules = [
        f"{name} {rule.smallest} + {rule.period} n"
        + (f", output {2 * rule.margin} less" if rule.margin else "")
        for name, rule in zip("ZYX", arch.sizes.axes, strict=True)
    ]
    rows = [
        *((key, _plain(value)) for key, value in arch.params.model_dump().items()),
        ("parameters", f"{parameters(arch.graph):,}"),
        ("receptive field", f"{_receptive_field(arch)} voxels (z,y,x)"),
        ("halo", f"{_triple(arch.sizes.halo)} voxels on each side"),
        ("valid patches", "; ".join(rules)),
    ]
    print_table(("", ""), rows, header=False)
    print_lines("")
    costs = [patch_cost(arch, size) for size in _examples(arch)]
    table = [
        (
            _triple(c.size_in),
            _triple(c.size_out),
            f"{c.read_ratio:.1f}",
            f"{c.bytes / 2**30:.1f} GiB",
            f"{patch_cost(arch, c.size_out, at_once=True).bytes / 2**30:.1f} GiB",
            f"{c.multiplications / 1e9:,.0f}",
        )
        for c in costs
    ]
    print_table(("patch", "result", "read/written", "memory", "on a GPU", "billion multiplications"), table)


def _plain(value: object) -> str:
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _examples(arch: Architecture) -> list[tuple[int, int, int]]:
    """Valid output sizes from small to large."""
    found = []
    for share in (0.1, 0.2, 0.4, 1.0):
        z, y, x = (
            rule.output_for(max(rule.period, int(n * share)))
            for rule, n in zip(arch.sizes.axes, _OUTPUTS, strict=True)
        )
        if (z, y, x) not in found:
            found.append((z, y, x))
    return found
