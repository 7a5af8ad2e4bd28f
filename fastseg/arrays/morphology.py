"""Binary morphology: packed words for balls, disks and crosses, the array library's own everywhere else."""

from __future__ import annotations

import numpy as np

from fastseg.arrays.namespace import Namespace
from fastseg.types import Array

_WORD = 64


def _has_kernel(array: Array, dtype: type) -> bool:
    return bool(array.dtype == dtype) and array.ndim in (2, 3) and array.size > 0


def _reach(footprint: np.ndarray) -> np.ndarray | None:
    """How far each row of a footprint reaches to both sides; None if some row is not an interval around its middle.

    Parameters
    ----------
    footprint : ndarray of bool, 2-D or 3-D

    Returns
    -------
    ndarray of int64, shape (rows along z, rows along y), or None
        -1 for rows without a voxel.
    """
    if any(n % 2 == 0 for n in footprint.shape):
        return None
    lines = footprint.reshape((-1, *footprint.shape[-2:])) != 0
    count = lines.sum(axis=-1)
    distance = np.abs(np.arange(lines.shape[-1]) - lines.shape[-1] // 2)
    reach = np.where(lines, distance, -1).max(axis=-1)
    centred = (count == np.where(count > 0, 2 * reach + 1, 0)).all()
    return reach.astype(np.int64) if centred else None


def _stack(ns: Namespace, array: Array) -> Array:
    """(Z, Y, X), contiguous."""
    return ns.xp.ascontiguousarray(array).reshape((-1, *array.shape[-2:]))


def _reached(ns: Namespace, stack: Array, inside: bool, reach: np.ndarray) -> Array:
    """Bits of the voxels from which the footprint reaches the mask or, if not `inside`, what the mask leaves out."""
    kernel = ns.kernel("morphology")
    bits = ns.xp.empty((*stack.shape[:2], -(-stack.shape[2] // _WORD)), np.uint64)
    kernel.pack(stack.view(np.uint8), inside, bits)
    found = ns.xp.zeros_like(bits)
    kernel.dilate(bits, reach, found)
    return found


def _unpacked(ns: Namespace, bits: Array, inside: bool, mask: Array, within: bool = False) -> Array:
    """The voxels whose bits are set (or not set) as a mask of the shape of another one, or as a part of it."""
    stack = _stack(ns, mask)
    out = ns.xp.empty(stack.shape, bool)
    limit = stack if within else ns.xp.empty((0, 0, 0), bool)
    ns.kernel("morphology").unpack(bits, inside, limit.view(np.uint8), out.view(np.uint8))
    return out.reshape(mask.shape)


def binary_dilation(ns: Namespace, mask: Array, footprint: np.ndarray) -> Array:
    """Dilate a mask; nothing beyond the border is set.

    Parameters
    ----------
    ns : Namespace
        Of the mask.
    mask : array of bool, shape (Z, Y, X) or (Y, X)
    footprint : ndarray of bool
        On the host, of as many axes, with its middle at the voxel.

    Returns
    -------
    array of bool
        That of `scipy.ndimage.binary_dilation`.
    """
    reach = _reach(footprint) if _has_kernel(mask, np.bool_) else None
    if reach is None:
        return ns.ndi.binary_dilation(mask, structure=ns.xp.asarray(footprint))
    # a voxel is set where the mirrored footprint reaches the mask
    return _unpacked(ns, _reached(ns, _stack(ns, mask), True, reach[::-1, ::-1]), True, mask)


def binary_erosion(ns: Namespace, mask: Array, footprint: np.ndarray) -> Array:
    """Erode a mask; what lies beyond the border does not count.

    Parameters
    ----------
    ns, mask, footprint
        As those of `binary_dilation`.

    Returns
    -------
    array of bool
        That of `scipy.ndimage.binary_erosion` with a border value of 1.
    """
    reach = _reach(footprint) if _has_kernel(mask, np.bool_) else None
    if reach is None:
        return ns.ndi.binary_erosion(mask, structure=ns.xp.asarray(footprint), border_value=1)
    return _unpacked(ns, _reached(ns, _stack(ns, mask), False, reach), False, mask)


def inner_border(ns: Namespace, mask: Array, footprint: np.ndarray) -> Array:
    """The voxels of a mask that its erosion takes away; see `binary_erosion`."""
    reach = _reach(footprint) if _has_kernel(mask, np.bool_) else None
    if reach is None:
        eroded = ns.ndi.binary_erosion(mask, structure=ns.xp.asarray(footprint), border_value=1)
        return mask & ~eroded
    return _unpacked(ns, _reached(ns, _stack(ns, mask), False, reach), True, mask, within=True)


def least_of_faces(ns: Namespace, image: Array, cross: np.ndarray) -> Array:
    """The minimum over a voxel and its face neighbours within the image.

    Parameters
    ----------
    ns : Namespace
        Of the image.
    image : array, shape (Z, Y, X) or (Y, X)
    cross : ndarray of bool
        On the host: the voxel and its face neighbours.
    """
    if not _has_kernel(image, np.float32):
        return ns.ndi.grey_erosion(image, footprint=ns.xp.asarray(cross), mode="reflect")
    stack = _stack(ns, image)
    out = ns.xp.empty_like(stack)
    ns.kernel("morphology").erode_image(stack, out)
    return out.reshape(image.shape)
