"""U-Net that pools in the plane only: for structures a few voxels thick."""

from __future__ import annotations

from typing import Any

from fastseg.unet.graph import Graph, GraphBuilder
from fastseg.unet.networks.blocks import auxiliary, trunk
from fastseg.unet.networks.spec import NetworkParams, NetworkSpec, Shapes


def _build(params: NetworkParams) -> Graph:
    main, first, second = params.classes
    build = GraphBuilder(params.channels)
    decoders = trunk(build)
    scores = build.conv("dc0", decoders["dc1"], main, 1)
    # kernels twice as long as their stride: every voxel takes four terms
    head1 = auxiliary(build, 1, decoders["dc2"], first, 2, 4, (1, 2, 2))
    head2 = auxiliary(build, 2, decoders["dc3"], second, 4, 8, (3, 7, 7))
    return build.graph(scores, head1, head2)


def _recognise(shapes: Shapes) -> dict[str, Any] | None:
    needed = ("ec1.0.weight", "dc0.weight", "predict1a.weight", "predict2a.weight")
    if any(name not in shapes for name in needed) or "up0.weight" in shapes:
        return None
    return {
        "channels": shapes["ec1.0.weight"][1],
        "classes": tuple(shapes[name][0] for name in needed[1:]),
    }


UNET_XY = NetworkSpec(
    name="unet_xy",
    summary="U-Net of four levels that pools in the plane only",
    outputs=3,
    params=NetworkParams,
    build=_build,
    recognise=_recognise,
    config_name="unet_xy",
    advice="structures a few voxels thick",
)
