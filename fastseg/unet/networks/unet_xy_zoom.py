"""The U-Net of `unet_xy` at reduced resolution in the plane: for large objects."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from fastseg.unet.graph import INPUT, Graph, GraphBuilder
from fastseg.unet.networks.blocks import auxiliary, double, trunk
from fastseg.unet.networks.spec import NetworkParams, NetworkSpec, Shapes


class ZoomParams(NetworkParams):
    """Parameters of `unet_xy_zoom`: the image is pooled by `zoom_ratio` along Y and X before the network."""

    zoom_ratio: int = Field(default=3, ge=1, le=32)


def _build(params: ZoomParams) -> Graph:
    main, first, second = params.classes
    k = params.zoom_ratio
    build = GraphBuilder(params.channels)
    decoders = trunk(build, build.pool("pool0", INPUT, (1, k, k)))
    fine = double(build, "dc0", build.up("up0", decoders["dc1"], 64, (1, k, k)), 64, 64)
    scores = build.conv("predict0", fine, main, 1)
    head1 = auxiliary(build, 1, decoders["dc2"], first, 2 * k, 2 * k, (3, 2 * k + 1, 2 * k + 1))
    head2 = auxiliary(build, 2, decoders["dc3"], second, 4 * k, 4 * k, (5, 6 * k + 1, 6 * k + 1))
    return build.graph(scores, head1, head2)


def _recognise(shapes: Shapes) -> dict[str, Any] | None:
    needed = ("ec1.0.weight", "up0.weight", "predict0.weight", "predict1a.weight", "predict2a.weight")
    if any(name not in shapes for name in needed):
        return None
    return {
        "channels": shapes["ec1.0.weight"][1],
        "classes": tuple(shapes[name][0] for name in needed[2:]),
        "zoom_ratio": shapes["up0.weight"][-1],
    }


UNET_XY_ZOOM = NetworkSpec(
    name="unet_xy_zoom",
    summary="The same at 1/zoom_ratio of the resolution in the plane, with a full-resolution end",
    outputs=3,
    params=ZoomParams,
    build=_build,
    recognise=_recognise,
    config_name="unet_xy_zoom",
    advice="objects above about 100 voxels in diameter; zoom_ratio about diameter / 150",
)
