"""MONAI's sliding-window inference on the same network.

It asks for outputs as large as their windows, and takes smaller ones to be scaled down. The network's valid output is
therefore put back into the middle of its window, with weight 1 there and 0 around it, and windows overlap by the rim;
the image is padded as the network expects before and cropped afterwards. Windows begin at multiples of the pooling
stride, so that every voxel has the value that fastseg gives it.
"""

from functools import lru_cache
from typing import Any

import numpy as np
import torch
from monai.inferers.utils import sliding_window_inference

from bench.contenders.base import Contender
from bench.contenders.networks import model_for
from fastseg.unet.plan import COMPAT_PATCHES, make_grid


@lru_cache(maxsize=1)
def _ready(network: str, settings: str, device: str) -> Any:
    import json

    return model_for(network, json.loads(settings)).network().eval().to(device)


def _windows(network: str, params: Any, shape: tuple[int, ...], patch: list[int] | None, large: bool) -> Any:
    """Window, its valid middle, and the step from one to the next (z, y, x)."""
    arch = model_for(network, params).architecture
    if large:  # those that fastseg takes
        window = arch.sizes.size_in(make_grid(arch, shape).largest)
    else:
        window = tuple(patch or COMPAT_PATCHES[network])
    inner = arch.sizes.size_out(window)
    step = [
        n if n >= length else n // rule.period * rule.period
        for n, length, rule in zip(inner, shape, arch.sizes.axes, strict=True)
    ]
    return window, inner, step


def predict(
    image: np.ndarray,
    network: str,
    mode: str,
    params: dict[str, Any] | None = None,
    patch: list[int] | None = None,
    precision: str = "float32",
    large: bool = False,
) -> np.ndarray:
    """Probability of class 1 of the main output, (z, y, x); always in single precision."""
    import json

    if mode != "aligned":
        raise NotImplementedError("windows that overlap are averaged, not overwritten")
    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.backends.cudnn.allow_tf32 = False  # single precision, as fastseg's default and the CPU's
    module = _ready(network, json.dumps(params or {}), device)
    window, inner, step = _windows(network, params, image.shape, patch, large)
    margin = [(a - b) // 2 for a, b in zip(window, inner, strict=True)]
    # the last window ends a whole number of steps after the first
    length = [b + max(0, -(-(n - b) // s)) * s for n, b, s in zip(image.shape, inner, step, strict=True)]
    after = [m + total - n for m, total, n in zip(margin, length, image.shape, strict=True)]
    planes = np.pad(image, ((0, 0), (margin[1], after[1]), (margin[2], after[2])), "symmetric")
    padded = np.pad(planes, ((margin[0], after[0]), (0, 0), (0, 0))).astype(np.float32)
    rim = [(m, m) for m in margin]
    weight = torch.from_numpy(np.pad(np.ones(inner, np.float32), rim)).to(device)

    def predictor(windows: torch.Tensor) -> torch.Tensor:
        found = torch.softmax(module(windows)[0], 1)[:, 1:2]
        return torch.nn.functional.pad(found, [m for pair in reversed(rim) for m in pair])

    with torch.inference_mode():
        whole = sliding_window_inference(
            torch.from_numpy(padded)[None, None].to(device),
            roi_size=window,
            sw_batch_size=1,
            predictor=predictor,
            overlap=[1 - s / w for s, w in zip(step, window, strict=True)],
            roi_weight_map=weight,
        )
    assert isinstance(whole, torch.Tensor)
    middle = tuple(slice(m, m + n) for m, n in zip(margin, image.shape, strict=True))
    return whole[0, 0].cpu().numpy()[middle]


CONTENDER = Contender("MONAI", {"predict": predict}, ("monai", "torch"))
