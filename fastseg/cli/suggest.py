"""``fastseg suggest``: where to start with the contrast of an image."""

from __future__ import annotations

from typing import Annotated

import typer

from fastseg.cli.console import print_lines, print_table
from fastseg.cli.guard import guarded
from fastseg.cli.options import AxesOption, ChannelOption, SceneOption, TimeOption


@guarded
def suggest(
    image: Annotated[str, typer.Argument(metavar="IMAGE", help="An image file or OME-Zarr folder.")],
    channel: ChannelOption = None,
    scene: SceneOption = None,
    time: TimeOption = None,
    axes: AxesOption = None,
) -> None:
    """Suggest a scaling for intensity_normalize.

    The limits lie so many standard deviations below and above the mean.
    """
    import numpy as np

    from fastseg import operators
    from fastseg.io import read
    from fastseg.tiling import Engine
    from fastseg.workflow.run import check_image

    found = read(image, channel=channel, scene=scene, time=time, axes=axes)
    stack = found.volume()
    check_image(stack, Engine().ns)
    lower, upper = operators.suggest_scaling(stack)
    mean, std = float(stack.mean(dtype=np.float64)), float(stack.std(dtype=np.float64))
    for note in found.notes:
        print_lines(f"note: {note}")
    names = ("lower", "upper", "mean", "std", "99.99th percentile", "min", "max")
    values = (lower, upper, mean, std, np.percentile(stack, 99.99), stack.min(), stack.max())
    print_table(names, [tuple(f"{float(value):.6g}" for value in values)])
    print_lines(
        f"intensity_normalize scaling: [{lower:g}, {upper:g}], which is {mean - lower * std:.6g} to "
        f"{mean + upper * std:.6g}"
    )
