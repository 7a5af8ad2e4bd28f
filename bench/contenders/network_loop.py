"""The reference's way of running a network, written from its description: one patch at a time.

The whole image is padded (mirrored in y and x, zeros in z), then floor(n / o) + 1 patches along every axis go through
the network in single precision, the last one moved back to end with the image; later patches overwrite earlier ones.
All outputs are computed, as its network does, on a plain PyTorch module.
"""

from functools import lru_cache
from itertools import product
from typing import Any

import numpy as np
import torch

from bench.contenders.base import Contender
from bench.contenders.networks import model_for
from fastseg.unet.plan import COMPAT_PATCHES


@lru_cache(maxsize=1)
def _ready(network: str, settings: str, device: str) -> Any:
    import json

    made = model_for(network, json.loads(settings)).network().eval()
    return made.to(device)


def predict(
    image: np.ndarray,
    network: str,
    mode: str,
    params: dict[str, Any] | None = None,
    patch: list[int] | None = None,
    precision: str = "float32",
) -> np.ndarray:
    """Probability of class 1 of the main output, (z, y, x); always in single precision."""
    import json

    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.backends.cudnn.allow_tf32 = False  # single precision, as fastseg's default and the CPU's
    module = _ready(network, json.dumps(params or {}), device)
    sizes = model_for(network, params).architecture.sizes
    size_in = tuple(patch or COMPAT_PATCHES[network])
    size_out = sizes.size_out(size_in)
    margin = [(i - o) // 2 for i, o in zip(size_in, size_out, strict=True)]
    # an image smaller than a patch ends the reference; it is extended, as in fastseg's compat mode
    extra = [max(0, o - n) for n, o in zip(image.shape, size_out, strict=True)]
    grown = np.pad(
        np.pad(image, ((0, 0), (0, extra[1]), (0, extra[2])), "symmetric"), ((0, extra[0]), (0, 0), (0, 0))
    )
    planes = np.pad(grown, ((0, 0), (margin[1],) * 2, (margin[2],) * 2), "symmetric")
    padded = np.pad(planes, ((margin[0],) * 2, (0, 0), (0, 0)))
    starts = []
    for n, o in zip(grown.shape, size_out, strict=True):
        count = n // o + 1
        starts.append([j * o if j < count - 1 else n - o for j in range(count)])
    out = np.zeros(grown.shape)
    with torch.no_grad():
        for x, y, z in product(starts[2], starts[1], starts[0]):
            part = padded[z : z + size_in[0], y : y + size_in[1], x : x + size_in[2]]
            batch = torch.from_numpy(np.ascontiguousarray(part, np.float32))[None, None].to(device)
            found = torch.softmax(module(batch)[0], 1)[0, 1].cpu().numpy()
            out[z : z + size_out[0], y : y + size_out[1], x : x + size_out[2]] = found
    return out[tuple(slice(0, n) for n in image.shape)]


CONTENDER = Contender("the reference's loop", {"predict": predict}, ("torch", "numpy"))
