"""``fastseg inspect``: what a file holds, as far as it says so itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from fastseg.cli.console import amount, print_lines, print_table
from fastseg.cli.guard import guarded

if TYPE_CHECKING:
    from fastseg.io import SceneInfo

_MANY = 40
"""Scenes from which on only their names are listed: opening each of a plate's fields takes long."""


@guarded
def inspect(
    file: Annotated[str, typer.Argument(metavar="FILE", help="An image file or OME-Zarr folder.")],
    scene: Annotated[
        str | None, typer.Option(metavar="IDX|NAME", help="Describe only this scene or field.")
    ] = None,
) -> None:
    """Show what a file holds: axes, channels, voxel size."""
    from fastseg.io import describe, list_scenes

    names = list_scenes(file) if scene is None else ()
    if len(names) > _MANY:
        print_lines(f"{file}: {len(names)} scenes; describe one of them with --scene", *names)
        return
    description = describe(file, scene)
    print_lines(f"{description.source}: {description.format}, {amount(len(description.scenes), 'scene')}")
    rows = [_row(info) for info in description.scenes]
    print_table(
        ("scene", "axes", "shape", "type", "voxel size z, y, x (um)", "channels"), rows, wrap=("channels",)
    )


def _row(info: SceneInfo) -> tuple[str, ...]:
    spacing = "unknown" if info.spacing is None else ", ".join(f"{n:.4g}" for n in info.spacing)
    channels = ", ".join(f"{i}: {name}" if name else str(i) for i, name in enumerate(info.channel_names))
    shape = " x ".join(map(str, info.shape))
    name = f"{info.index}: {info.name}" if info.name else str(info.index)
    return name, info.axes, shape, str(info.dtype), spacing, channels or "-"
