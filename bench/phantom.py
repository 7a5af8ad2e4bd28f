"""A rule-made fluorescence stack of any size: blobs, tubes and shells with shot noise."""

import numpy as np
from scipy import ndimage as ndi


def phantom(shape: tuple[int, int, int], seed: int = 0) -> np.ndarray:
    """A float32 (Z, Y, X) stack of counts, background about 100.

    About one object per 30 000 voxels: half of them spots, a quarter tubes, a quarter hollow shells.
    """
    rng = np.random.default_rng(seed)
    clean = np.zeros(shape, np.float32)
    for number in range(max(4, int(np.prod(shape)) // 30_000)):
        centre = [int(rng.integers(0, n)) for n in shape]
        if number % 4 == 0:
            _tube(clean, centre, rng)
        elif number % 4 == 1:
            _shell(clean, centre, float(rng.uniform(4, 10)))
        else:
            clean[tuple(centre)] += 60 * rng.uniform(0.5, 2)
    smooth = ndi.gaussian_filter(clean, 1.2)
    return rng.poisson(100 + 400 * smooth).astype(np.float32)


def _tube(volume: np.ndarray, start: list[int], rng: np.random.Generator) -> None:
    direction = rng.normal(size=3) * (0.3, 1, 1)
    direction /= np.linalg.norm(direction)
    for step in np.arange(0, 40, 0.5):
        place = tuple(int(p) for p in np.rint(start + step * direction))
        if all(0 <= p < n for p, n in zip(place, volume.shape, strict=True)):
            volume[place] = 3


def _shell(volume: np.ndarray, centre: list[int], radius: float) -> None:
    reach = int(radius) + 2
    low = [max(0, c - reach) for c in centre]
    high = [min(n, c + reach + 1) for c, n in zip(centre, volume.shape, strict=True)]
    grid = np.ogrid[tuple(slice(a, b) for a, b in zip(low, high, strict=True))]
    distance = np.sqrt(sum((g - c) ** 2 for g, c in zip(grid, centre, strict=True)))
    part = volume[tuple(slice(a, b) for a, b in zip(low, high, strict=True))]
    part[np.abs(distance - radius) < 0.6] = 2
