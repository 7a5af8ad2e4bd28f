"""What a network is to learn from an image: its label, by segmentations, masks and rules, and what costs nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from fastseg import operators
from fastseg.curation.objects import Measured, Objects, chosen_objects, find_objects
from fastseg.curation.reading import Segmentation
from fastseg.curation.rules import ExcludingRule, ObjectRule, VoxelRule
from fastseg.errors import InputError
from fastseg.types import Spacing

_FOCUS_SIGMA = 2.0
"""Pixels of the Laplacian of Gaussian that sharpness is measured with: beyond the noise of single pixels."""


@dataclass(eq=False)
class Scene:
    """An image with its segmentations, as rules see it.

    Attributes
    ----------
    source : str
        The raw file, for messages.
    raw, image : arrays (Z, Y, X)
        Raw and normalised.
    first : Segmentation
    second : Segmentation or None
    spacing : tuple of float or None
    """

    source: str
    raw: np.ndarray
    image: np.ndarray
    first: Segmentation
    second: Segmentation | None = None
    spacing: Spacing | None = None
    _sharpness: np.ndarray | None = field(default=None, repr=False)

    def measured(self, segmentation: Segmentation, against: np.ndarray | None) -> Measured:
        """The objects of a segmentation, to ask about."""
        return Measured(find_objects(segmentation), self.raw, self.image, against, self.spacing, self.source)

    def sharpness(self) -> np.ndarray:
        """Variance of the Laplacian of each plane relative to the greatest; float64 of shape (Z,) [1]_.

        References
        ----------
        .. [1] J. L. Pech-Pacheco et al., Diatom autofocusing in brightfield microscopy, ICPR 2000.
        """
        if self._sharpness is None:
            response = operators.laplacian_of_gaussian_slices(self.raw, sigma=_FOCUS_SIGMA)
            variances = np.array([plane.var(dtype=np.float64) for plane in response])
            self._sharpness = variances / max(float(variances.max()), np.finfo(float).tiny)
        return self._sharpness


def merged(scene: Scene, patch: np.ndarray | None, taking: Sequence[ObjectRule]) -> np.ndarray:
    """The label of an image with two segmentations.

    Parameters
    ----------
    scene : Scene
    patch : bool array (Z, Y, X), optional
        Where the second segmentation is taken: ``(first and not patch) or (second and patch)``.
    taking : sequence of ObjectRule
        Objects of the second segmentation that are added, wherever they are. Those of rules that replace first remove
        the objects of the first segmentation that they touch.

    Returns
    -------
    bool array (Z, Y, X)
    """
    assert scene.second is not None
    base = scene.first.mask
    added = np.zeros(base.shape, bool)
    if taking:
        candidates = scene.measured(scene.second, base)
        given: Objects | None = None
        for rule in taking:
            voxels = candidates.objects.painted(chosen_objects(rule, candidates))
            added |= voxels
            if rule.replaces and voxels.any():
                given = given or find_objects(scene.first)
                base = base & ~given.painted(given.touched(voxels))
    if patch is not None:
        base = np.where(patch, scene.second.mask, base)
    return np.asarray(base | added)


def excluded(scene: Scene, label: np.ndarray, rules: Sequence[ExcludingRule]) -> np.ndarray:
    """The voxels that rules exclude.

    Parameters
    ----------
    scene : Scene
    label : bool array (Z, Y, X)
        The objects that conditions on objects are about; labels of a label image where nothing was merged.
    rules : sequence of rules

    Returns
    -------
    bool array (Z, Y, X)

    Raises
    ------
    InputError
        If the image does not allow a rule.
    """
    found = np.zeros(label.shape, bool)
    measured: Measured | None = None
    for rule in rules:
        if isinstance(rule, VoxelRule):
            found |= _voxels(rule, scene)
            continue
        if measured is None:
            same = np.array_equal(label, scene.first.mask)
            shown = scene.first if same else replace(scene.first, values=label, mask=label, labelled=False)
            measured = scene.measured(shown, None)
        found |= measured.objects.painted(chosen_objects(rule, measured))
    return found


def _voxels(rule: VoxelRule, scene: Scene) -> np.ndarray:
    raw, shape = scene.raw, scene.raw.shape
    if rule.kind == "disagreement":
        if scene.second is None:
            raise InputError(f"{scene.source}: disagreement needs a second segmentation: give its folder")
        return scene.first.mask ^ scene.second.mask
    if rule.kind == "saturated":
        if raw.dtype.kind not in "ui":
            raise InputError(
                f"{scene.source} holds {raw.dtype} values, which have no greatest one that a camera saturates at: "
                "write raw>=VALUE in place of saturated"
            )
        return np.asarray(raw == np.iinfo(raw.dtype).max)
    if rule.kind == "planes":
        assert rule.planes is not None
        if rule.planes[1] >= shape[0]:
            first, last = rule.planes
            raise InputError(
                f"{scene.source} has planes 0 to {shape[0] - 1}; planes:{first}-{last} goes beyond"
            )
        inside = np.zeros(shape[0], bool)
        inside[rule.planes[0] : rule.planes[1] + 1] = True
        return np.broadcast_to(inside[:, None, None], shape)
    assert rule.condition is not None
    if rule.kind == "raw":
        return np.asarray(rule.condition.holds(raw))
    return np.broadcast_to(rule.condition.holds(scene.sharpness())[:, None, None], shape)
