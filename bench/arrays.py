"""The input arrays of the cases, made by rule and kept as .npy files that every contender loads."""

import hashlib
from collections.abc import Callable
from itertools import product
from pathlib import Path

import numpy as np
from scipy import ndimage as ndi

from bench.machine import ROOT
from bench.phantom import phantom

Shape = tuple[int, int, int]
CACHE = ROOT / ".cache" / "bench" / "arrays"


def _counts(shape: Shape) -> np.ndarray:
    return phantom(shape)


def _unit(shape: Shape) -> np.ndarray:
    counts = load("counts", shape)
    mean, deviation = float(counts.mean()), float(counts.std())
    clipped = np.clip(counts, mean - deviation, mean + 10 * deviation)
    return ((clipped - clipped.min()) / np.ptp(clipped)).astype(np.float32)


def _smooth(shape: Shape) -> np.ndarray:
    return ndi.gaussian_filter(load("unit", shape), 1.0, mode="nearest", truncate=3.0)


def _mask(shape: Shape) -> np.ndarray:
    smooth = load("smooth", shape)
    return smooth > smooth.mean() + 0.5 * smooth.std()


def _bodies(shape: Shape) -> np.ndarray:
    """Thick touching bodies: what thinning and cutting are made for."""
    noise = ndi.gaussian_filter(np.random.default_rng(3).standard_normal(shape, np.float32), (2, 4, 4))
    return noise > 0.8 * noise.std()


def _relief(shape: Shape) -> np.ndarray:
    noise = ndi.gaussian_filter(np.random.default_rng(3).standard_normal(shape, np.float32), (1.5, 3, 3))
    return (noise - noise.min()) / np.ptp(noise)


def objects_image(shape: Shape, count: int) -> np.ndarray:
    """A float32 image with `count` separate bright ellipsoids on a faint background.

    Their centres form a grid of cells of equal size, of which each takes a third along every axis to either side: they
    fill 12 to 16 % of the volume, whatever their number.
    """
    per_axis = _grid(shape, count)
    sides = [n / k for n, k in zip(shape, per_axis, strict=True)]
    rng = np.random.default_rng(count)
    image = (10 + 2 * rng.random(shape)).astype(np.float32)
    reach = [int(np.ceil(side / 3)) for side in sides]
    grid = np.ogrid[tuple(slice(-r, r + 1) for r in reach)]
    distance = np.sqrt(sum((3 * g / side) ** 2 for g, side in zip(grid, sides, strict=True)))
    ball = np.where(distance <= 1, 100 + 100 * (1 - distance), 0).astype(np.float32)
    cells = np.stack(np.unravel_index(np.arange(np.prod(per_axis)), per_axis), axis=1)[:count]
    for cell in cells:
        centre = [int((c + 0.5) * s) for c, s in zip(cell, sides, strict=True)]
        low = [max(0, c - r) for c, r in zip(centre, reach, strict=True)]
        high = [min(n, c + r + 1) for c, r, n in zip(centre, reach, shape, strict=True)]
        part = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
        piece = tuple(
            slice(a - c + r, b - c + r) for a, b, c, r in zip(low, high, centre, reach, strict=True)
        )
        image[part] += ball[piece] * np.float32(rng.uniform(0.8, 1.2))
    return image


def _grid(shape: Shape, count: int) -> tuple[int, ...]:
    """Cells along every axis: nearly cubes, and hardly more than there are objects."""
    side = (np.prod(shape) / count) ** (1 / len(shape))
    near = [range(max(1, round(n / side) - 1), round(n / side) + 3) for n in shape]
    enough = [cells for cells in product(*near) if np.prod(cells) >= count]
    return min(enough, key=lambda cells: (np.prod(cells), np.ptp([n / k for n, k in zip(shape, cells)])))


MAKERS: dict[str, Callable[[Shape], np.ndarray]] = {
    "counts": _counts,
    "unit": _unit,
    "smooth": _smooth,
    "mask": _mask,
    "bodies": _bodies,
    "relief": _relief,
}


def _folder(shape: Shape) -> Path:
    sources = (Path(__file__), Path(__file__).with_name("phantom.py"))
    digest = hashlib.sha256(b"".join(p.read_bytes() for p in sources)).hexdigest()[:12]
    return CACHE / digest / "x".join(str(n) for n in shape)


def path_of(name: str, shape: Shape) -> Path:
    """The file of an array, made on first use; ``objects-N`` has N objects."""
    path = _folder(shape) / f"{name}.npy"
    if not path.is_file():
        kind, _, count = name.partition("-")
        array = objects_image(shape, int(count)) if kind == "objects" else MAKERS[name](shape)
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f".{path.name}")
        with part.open("wb") as file:
            np.save(file, array)
        part.replace(path)
    return path


def load(name: str, shape: Shape) -> np.ndarray:
    """An array by name."""
    return np.load(path_of(name, shape))
