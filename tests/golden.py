"""Golden data of the reference implementation; see tests/data/README.md."""

from __future__ import annotations

import hashlib
import io
import lzma
from functools import lru_cache
from pathlib import Path

import numpy as np
import tifffile

DATA = Path(__file__).resolve().parent / "data"
NUCLEI = DATA / "stacks" / "nuclei.tif"
MITOCHONDRIA = DATA / "stacks" / "yeast_mito_t00.ome.tif"
STACKS = ("random", "structured", "nuclei", "mitochondria", "lamin")
_NOISE_SHAPE, _NOISE_SEED, _NOISE_RATIO = (64, 96, 96), 7, 0.7
_NOISE_SHA256 = "cf7f518782add8bae0d2471afa831a87d153652e68870a5f15fbda11a567e6df"
JSON_STACKS = ("structured", "nuclei")
"""Stacks with masks of the JSON workflows."""


@lru_cache(maxsize=8)
def archive(name: str) -> dict[str, np.ndarray]:
    """All arrays of an archive, read-only."""
    raw = lzma.decompress((DATA / "golden" / f"{name}.npz.xz").read_bytes())
    with np.load(io.BytesIO(raw)) as found:
        arrays = {key: found[key] for key in found.files}
    for array in arrays.values():
        array.flags.writeable = False
    return arrays


@lru_cache(maxsize=len(STACKS))
def stack(name: str) -> tuple[np.ndarray, float | None]:
    """A float32 (Z, Y, X) stack, read-only, and the rescale ratio it was segmented with (None: none)."""
    ratio = -1.0
    if name == "nuclei":
        image = tifffile.imread(NUCLEI)[8:52, 20:180, 30:190].astype(np.float32) / 16
    elif name == "mitochondria":
        image = tifffile.imread(MITOCHONDRIA).astype(np.float32)
    elif name == "random":
        image, ratio = _noise(), _NOISE_RATIO
    else:
        found = archive(f"{name}.input")
        image, ratio = found["image"].astype(np.float32), float(found["rescale_ratio"])
    image.flags.writeable = False
    return image, ratio if ratio > 0 else None


def _noise() -> np.ndarray:
    """Uniform noise in [0, 1), float32, from its seed: it does not compress.

    The raw stream of a bit generator is the same in every version of numpy, which `Generator.random` does not promise.
    """
    raw = np.random.PCG64(_NOISE_SEED).random_raw(int(np.prod(_NOISE_SHAPE)))
    image = ((raw >> np.uint64(11)) * 2.0**-53).astype("<f4").reshape(_NOISE_SHAPE)
    assert hashlib.sha256(image.tobytes()).hexdigest() == _NOISE_SHA256, (
        "this is not the stack of the golden masks"
    )
    return image.astype(np.float32, copy=False)


def mask(stack_name: str, workflow: str) -> np.ndarray | None:
    """The reference's mask; None where the reference fails."""
    return _unpacked(archive(f"{stack_name}.masks"), workflow)


def json_mask(stack_name: str, workflow: str) -> np.ndarray:
    """The mask of the reference's JSON workflow; those equal to the structure workflow's mask are stored only once."""
    found = _unpacked(archive(f"{stack_name}.json_masks"), workflow)
    if found is None:
        found = mask(stack_name, workflow)
    assert found is not None
    return found


def _unpacked(found: dict[str, np.ndarray], workflow: str) -> np.ndarray | None:
    if workflow not in found:
        return None
    shape = tuple(int(n) for n in found[f"{workflow}.shape"])
    bits = np.unpackbits(found[workflow], count=int(np.prod(shape)))
    return bits.astype(bool).reshape(shape)


def dice(a: np.ndarray, b: np.ndarray) -> float:
    """Dice coefficient of two masks; 1 if both are empty."""
    total = int(np.count_nonzero(a)) + int(np.count_nonzero(b))
    return 2 * int(np.count_nonzero(a & b)) / total if total else 1.0
