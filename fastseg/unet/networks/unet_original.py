"""U-Net that pools along all three axes, as first published for volumes."""

from __future__ import annotations

from typing import Any

from fastseg.unet.graph import Graph, GraphBuilder
from fastseg.unet.networks.blocks import trunk
from fastseg.unet.networks.spec import NetworkParams, NetworkSpec, Shapes


class OriginalParams(NetworkParams):
    """Parameters of `unet_original`.

    The reference's code runs without `batch_norm` only. With it, normalisation is over volumes; tensor names are the
    same as the reference's would be.
    """

    classes: tuple[int, ...] = (2,)
    batch_norm: bool = True


def _build(params: OriginalParams) -> Graph:
    build = GraphBuilder(params.channels)
    decoders = trunk(build, factor=(2, 2, 2), batch_norm=params.batch_norm)
    return build.graph(build.conv("dc0", decoders["dc1"], params.classes[0], 1))


def _recognise(shapes: Shapes) -> dict[str, Any] | None:
    if any(n not in shapes for n in ("ec1.0.weight", "dc0.weight", "up3.weight")) or "up1a.weight" in shapes:
        return None
    return {
        "channels": shapes["ec1.0.weight"][1],
        "classes": (shapes["dc0.weight"][0],),
        "batch_norm": "ec1.2.weight" not in shapes,
    }


UNET_ORIGINAL = NetworkSpec(
    name="unet_original",
    summary="U-Net of four levels that pools along all axes",
    outputs=1,
    params=OriginalParams,
    build=_build,
    recognise=_recognise,
    advice="isotropic voxels and objects that are thick along Z",
)
