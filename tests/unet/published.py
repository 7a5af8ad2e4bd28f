"""The published networks' cross-check data: weights and inputs made by rule, outputs stored."""

from __future__ import annotations

import json
from functools import lru_cache
from math import prod
from typing import Any
from zlib import crc32

import numpy as np
import torch

from fastseg.unet.checkpoint import expected_shapes
from fastseg.unet.model import Model, make_model
from fastseg.unet.networks.registry import Architecture, architecture
from tests.support import ROOT

CASES = (
    "xy_small",
    "xy_default",
    "xy_multi",
    "zoom2_small",
    "zoom3_small",
    "zoom3_default",
    "orig_nobn_small",
)

_TRANSPOSED = ("up0", "up1", "up2", "up3", "up1a", "up2a")


@lru_cache(maxsize=1)
def golden() -> dict[str, np.ndarray]:
    with np.load(ROOT / "tests" / "data" / "golden" / "golden_networks.npz") as found:
        return dict(found)


def meta() -> dict[str, Any]:
    return json.loads(golden()["meta_json"].tobytes().decode())


def network_of(case: str) -> Architecture:
    about = meta()["cases"][case]
    params = {"channels": about["nchannel"], "classes": about["nclass"]}
    if about["net"] == "uNet_original":
        return architecture("unet_original", {**params, "batch_norm": False})
    if about["zoom_ratio"]:
        params["zoom_ratio"] = about["zoom_ratio"]
    return architecture(about["net"], params)


def array_of(arch: Architecture, name: str, shape: tuple[int, ...]) -> np.ndarray:
    """A tensor by the rule: a generator seeded with its name's CRC-32."""
    if name.endswith("num_batches_tracked"):
        return np.array(1, np.int64)
    drawn = np.random.Generator(np.random.PCG64(crc32(name.encode()))).standard_normal(shape)
    if name.endswith(".running_var"):
        return (1 + 0.1 * abs(drawn)).astype(np.float32)
    if not name.endswith(".weight"):
        return (0.01 * drawn).astype(np.float32)
    if name.split(".")[0] in _TRANSPOSED:
        layer = arch.graph.by_name[name.removesuffix(".weight")]
        fan_in = shape[0] * prod(layer.kernel) // prod(layer.stride)
    else:
        fan_in = prod(shape[1:])
    return (drawn * np.sqrt(2 / fan_in)).astype(np.float32)


def state_of(arch: Architecture) -> dict[str, torch.Tensor]:
    shapes = expected_shapes(arch)
    return {name: torch.from_numpy(array_of(arch, name, shape)) for name, shape in shapes.items()}


@lru_cache(maxsize=2)
def model_of(name: str, **params: Any) -> Model:
    arch = architecture(name, params)
    return make_model(arch, state_of(arch))


def image_of(item: int, channel: int, size: tuple[int, int, int]) -> np.ndarray:
    """A stack by the rule: noise on blocks of 4 x 16 x 16 voxels."""
    generator = np.random.Generator(np.random.PCG64(1000 + 16 * item + channel))
    fine = generator.random(size)
    coarse = generator.random(tuple(-(-n // step) for n, step in zip(size, (4, 16, 16), strict=True)))
    for axis, step in enumerate((4, 16, 16)):
        coarse = coarse.repeat(step, axis).take(range(size[axis]), axis)
    return (0.5 * fine + 0.5 * coarse).astype(np.float32)


def batch_of(case: str) -> np.ndarray:
    about = meta()["cases"][case]
    size = tuple(about["size_in"])
    return np.stack(
        [
            np.stack([image_of(item, channel, size) for channel in range(about["nchannel"])])
            for item in range(about["batch"])
        ]
    )
