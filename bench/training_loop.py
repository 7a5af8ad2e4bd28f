"""The reference's way of training, written from its description: plain PyTorch and Pillow.

Volumes are padded with zeros and turned whole, plane by plane, in 8 bits; patches are cut from them into a buffer. A
step moves a batch to the device, computes all three outputs as flattened log-probabilities, selects the true class by
a one-hot matrix that is made on the host, and takes a step of Adam.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

Patch = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Image (1, z, y, x), truth and cost (z, y, x)."""


def _turn(volume: np.ndarray, angle: int, mirror: bool, kind: Image.Resampling) -> np.ndarray:
    planes = []
    for plane in volume:
        turned = Image.fromarray(plane).rotate(angle, kind)
        planes.append(np.asarray(turned.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if mirror else turned))
    return np.stack(planes)


def buffer(
    volumes: Sequence[tuple[np.ndarray, np.ndarray, np.ndarray]],
    size_in: Sequence[int],
    size_out: Sequence[int],
    patches: int,
    seed: int,
) -> list[Patch]:
    """Patches of one refill.

    Parameters
    ----------
    volumes : sequence of (image, truth, cost), arrays (z, y, x)
        Image in [0, 1].
    size_in, size_out : (z, y, x)
    patches, seed : int
    """
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(volumes))
    base, extra = divmod(patches, len(volumes))
    margin = [(i - o) // 2 for i, o in zip(size_in, size_out, strict=True)]
    found: list[Patch] = []
    for number, index in enumerate(order):
        image, truth, cost = volumes[index]
        padded = np.pad(image, [(m, m) for m in margin])
        angle, mirror = int(rng.integers(1, 180)), bool(rng.random() < 0.5)
        turned = _turn((255 * padded).astype(np.uint8), angle, mirror, Image.Resampling.BICUBIC)
        seen = turned.astype(np.float32) / 255
        labels = _turn(truth.astype(np.uint8), angle, mirror, Image.Resampling.NEAREST)
        scale = max(1.0, float(cost.max()))
        weights = _turn((255 * cost / scale).astype(np.uint8), angle, mirror, Image.Resampling.NEAREST)
        weighed = weights.astype(np.float32) * (scale / 255)
        for _ in range(base + (number < extra)):
            start = [int(rng.integers(0, n - o + 1)) for n, o in zip(truth.shape, size_out, strict=True)]
            inner = tuple(slice(s, s + o) for s, o in zip(start, size_out, strict=True))
            outer = tuple(slice(s, s + i) for s, i in zip(start, size_in, strict=True))
            found.append((seen[outer][None], labels[inner].astype(np.float32), weighed[inner]))
    return found


def batches(patches: Sequence[Patch], size: int, seed: int) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """The buffer in a new order, as tensors on the host."""
    order = np.random.default_rng(seed).permutation(len(patches))
    for start in range(0, len(order), size):
        chosen = [patches[i] for i in order[start : start + size]]
        image, truth, cost = (torch.from_numpy(np.stack(part)) for part in zip(*chosen, strict=True))
        yield image, truth, cost


def step(
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    batch: tuple[Tensor, Tensor, Tensor],
    device: str,
    weights: Sequence[float] = (1, 1, 1),
) -> float:
    """One step; the loss, which is read as the reference does."""
    image, truth, cost = (part.to(device) for part in batch)
    total = torch.zeros((), device=device)
    optimizer.zero_grad()
    for weight, scores in zip(weights, network(image), strict=True):
        rows = torch.log_softmax(scores, 1).permute(0, 2, 3, 4, 1).reshape(-1, scores.shape[1])
        chosen = truth.reshape(-1).cpu().long()
        one_hot = torch.zeros(rows.shape).scatter_(1, chosen[:, None], 1.0).to(device)
        likelihood = (rows * one_hot).sum(1)
        total = total - weight * (cost.reshape(-1) * likelihood).mean()
    total.backward()
    optimizer.step()
    return float(total.detach())
