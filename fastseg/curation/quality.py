"""Figures that tell how good a segmentation may be, without ground truth."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass

import numpy as np

from fastseg.arrays.labels import find_runs
from fastseg.errors import InputError
from fastseg.operators import dilate, erode

_QUANTISATION = 1 / math.sqrt(12)
"""Standard deviation of the error of rounding to integers: the least noise of an integer image."""


@dataclass(frozen=True)
class Figures:
    """Figures of one segmentation. None where a figure has no meaning, such as the median size of no objects.

    Attributes
    ----------
    foreground_fraction : float
        Share of the voxels that are foreground, 0 to 1.
    objects : int
        Objects, connected by faces.
    object_voxels_median, object_voxels_p10, object_voxels_p90 : float or None
        Median, 10th and 90th percentile of the objects' sizes in voxels (linear interpolation).
    largest_share : float or None
        The largest object's share of the foreground, 0 to 1.
    border_contrast : float or None
        Mean intensity just inside the mask's border less that just outside, in units of the noise; see
        :func:`border_contrast`.
    dice, iou : float or None
        Agreement with the second segmentation, 0 to 1; 1 when both are empty.
    model_dice, model_iou : float or None
        Agreement with a model's prediction.
    """

    foreground_fraction: float
    objects: int
    object_voxels_median: float | None
    object_voxels_p10: float | None
    object_voxels_p90: float | None
    largest_share: float | None
    border_contrast: float | None
    dice: float | None = None
    iou: float | None = None
    model_dice: float | None = None
    model_iou: float | None = None

    def as_dict(self) -> dict[str, float | None]:
        """Figures by name, in the order above."""
        return asdict(self)


def measure(
    raw: np.ndarray, mask: np.ndarray, other: np.ndarray | None = None, model: np.ndarray | None = None
) -> Figures:
    """Figures of a segmentation.

    Parameters
    ----------
    raw : ndarray (Z, Y, X)
        Intensities of any numeric type.
    mask : ndarray of bool, same shape
        The segmentation.
    other : ndarray of bool, same shape, optional
        A second segmentation of the image.
    model : ndarray of bool, same shape, optional
        A model's prediction.

    Returns
    -------
    Figures

    Raises
    ------
    InputError
        When an array is no stack, or the shapes differ.
    """
    if raw.ndim != 3 or 0 in raw.shape:
        raise InputError(f"an image of shape {raw.shape} is no (Z, Y, X) stack")
    for what, array in (("segmentation", mask), ("second segmentation", other), ("prediction", model)):
        if array is not None and array.shape != raw.shape:
            raise InputError(f"the {what} has shape {array.shape}, the image {raw.shape}")
    mask = np.ascontiguousarray(mask, bool)
    sizes = find_runs(mask, 1, planar=False).sizes[1:]
    foreground = int(sizes.sum())
    p10, median, p90 = (
        (float(p) for p in np.percentile(sizes, (10, 50, 90))) if sizes.size else (None, None, None)
    )
    dice, iou = (None, None) if other is None else agreement(mask, other)
    model_dice, model_iou = (None, None) if model is None else agreement(mask, model)
    return Figures(
        foreground_fraction=foreground / mask.size,
        objects=len(sizes),
        object_voxels_median=median,
        object_voxels_p10=p10,
        object_voxels_p90=p90,
        largest_share=int(sizes.max()) / foreground if foreground else None,
        border_contrast=border_contrast(raw, mask),
        dice=dice,
        iou=iou,
        model_dice=model_dice,
        model_iou=model_iou,
    )


def agreement(a: np.ndarray, b: np.ndarray) -> tuple[float, float]:
    """Dice coefficient and intersection over union of two masks of the same shape; both are 1 for empty masks."""
    both = int(np.count_nonzero(np.logical_and(a, b)))
    total = int(np.count_nonzero(a)) + int(np.count_nonzero(b))
    if total == 0:
        return 1.0, 1.0
    return 2 * both / total, both / (total - both)


def border_contrast(raw: np.ndarray, mask: np.ndarray) -> float | None:
    """Mean intensity just inside a mask's border less that just outside, in units of the noise.

    Inside and outside are the layers of one voxel on either side of the border, within planes: along z, blur makes
    the step at a border of any quality small.

    Parameters
    ----------
    raw : ndarray (Z, Y, X)
    mask : ndarray of bool, same shape

    Returns
    -------
    float or None
        0 where there is no step; None without a border in any plane, or where the noise cannot be estimated or is 0.
    """
    shrunk, grown = erode(mask, radius=1, shape="disk"), dilate(mask, radius=1, shape="disk")
    inner, outer = _mean(raw, mask, shrunk), _mean(raw, grown, mask)
    if inner is None or outer is None:
        return None
    step = inner - outer
    if step == 0:
        return 0.0
    sigma = noise(raw, grown)
    return step / sigma if sigma and math.isfinite(step / sigma) else None


def _mean(raw: np.ndarray, mask: np.ndarray, without: np.ndarray) -> float | None:
    """Mean over the voxels of `mask` that are not in `without`, a plane at a time."""
    total, count = 0.0, 0
    for plane, some, less in zip(raw, mask, without, strict=True):
        values = plane[some & ~less]
        total += float(values.sum(dtype=np.float64))
        count += values.size
    return total / count if count else None


def noise(raw: np.ndarray, signal: np.ndarray) -> float | None:
    """Standard deviation of an image's noise, from what varies faster than any structure within planes.

    The mean absolute response to the difference of two Laplacians, which is blind to slopes and curvature along the
    axes, times sqrt(pi / 2) / 6. Taken over the background; over everything where there is no background.

    Parameters
    ----------
    raw : ndarray (Z, Y, X)
        Of integers the noise is at least that of rounding, 1 / sqrt(12).
    signal : ndarray of bool, same shape
        What is not background.

    Returns
    -------
    float or None
        None for planes of fewer than 3 x 3 pixels.

    References
    ----------
    .. [1] J. Immerkaer, Fast noise variance estimation, Computer Vision and Image Understanding 64 (1996) 300-302.
    """
    if min(raw.shape[1:]) < 3:
        return None
    everywhere, background, count = 0.0, 0.0, 0
    for plane, covered in zip(raw, signal, strict=True):
        values = plane.astype(np.float64)
        along_y = values[2:] - 2 * values[1:-1] + values[:-2]
        response = np.abs(along_y[:, 2:] - 2 * along_y[:, 1:-1] + along_y[:, :-2])
        clear = ~covered[1:-1, 1:-1]
        everywhere += float(response.sum())
        background += float(response[clear].sum())
        count += int(np.count_nonzero(clear))
    size = raw.shape[0] * (raw.shape[1] - 2) * (raw.shape[2] - 2)
    mean = background / count if count else everywhere / size
    sigma = math.sqrt(math.pi / 2) / 6 * mean
    return max(sigma, _QUANTISATION) if raw.dtype.kind in "bui" else sigma
