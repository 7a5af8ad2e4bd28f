"""What is done to a patch before the network sees it: how it is turned, bent and changed in intensity.

The numbers are drawn here, with NumPy; `fastseg.unet.training.resample` applies them to voxels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import exp, log1p
from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

from fastseg.unet.training.geometry import Turn, bend

_SPACING_OF_ELASTIC = 6.0
"""Least spacing in standard deviations of displacement: neighbours then change places beyond 4.9 deviations only."""


class AugmentationSettings(BaseModel):
    """How patches are varied.

    Rotation and elastic deformation happen in the plane, alike in all planes of a patch, and about its centre.

    Attributes
    ----------
    rotation : {"continuous", "degrees", "none"}
        ``continuous``: any angle up to `largest_angle` either way. ``degrees``: the reference's whole degrees 1 to 179.
    largest_angle : float
        Degrees.
    flip_x, flip_y, flip_z : bool
        Mirror an axis with probability 1/2.
    interpolation : {"bicubic", "linear"}
        Of images; truth and cost take the nearest voxel.
    intensity_share : float
        Share of the patches whose intensities are changed.
    gain, offset, gamma : float
        A channel is raised to a power between 1 / (1 + `gamma`) and 1 + `gamma` (on the range of the patch), multiplied
        by 1 - `gain` to 1 + `gain`, and shifted by up to `offset` either way.
    noise : float
        Largest standard deviation of the Gaussian noise that is added.
    elastic : float
        Standard deviation of the displacement in voxels; 0 for none. At most a sixth of `elastic_spacing`.
    elastic_spacing : float
        Distance in voxels over which displacements change.
    quantise : bool
        Bring images and costs to 8 bits, as the reference does. Images have to lie in [0, 1].
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    rotation: Literal["continuous", "degrees", "none"] = Field(
        default="continuous", description="angles in the plane: any, the whole degrees 1 to 179, or none"
    )
    largest_angle: float = Field(default=180.0, ge=0, le=180, description="of 'continuous', in degrees")
    flip_x: bool = Field(default=True, description="mirror along x with probability 1/2")
    flip_y: bool = Field(default=True, description="mirror along y with probability 1/2")
    flip_z: bool = Field(default=False, description="mirror along z with probability 1/2")
    interpolation: Literal["bicubic", "linear"] = Field(
        default="bicubic", description="of images between voxels"
    )
    intensity_share: float = Field(
        default=0.5, ge=0, le=1, description="share of the patches whose intensities are changed"
    )
    gain: float = Field(default=0.1, ge=0, lt=1, description="largest relative change of contrast")
    offset: float = Field(default=0.05, ge=0, le=1, description="largest shift of intensity")
    gamma: float = Field(default=0.2, ge=0, le=4, description="largest power of intensity, less 1")
    noise: float = Field(default=0.02, ge=0, le=1, description="largest standard deviation of added noise")
    elastic: float = Field(
        default=0.0, ge=0, le=16, description="standard deviation of elastic displacement in voxels"
    )
    elastic_spacing: float = Field(
        default=32.0, ge=4, le=1024, description="voxels over which the displacement changes"
    )
    quantise: bool = Field(default=False, description="bring images and costs to 8 bits")

    @model_validator(mode="after")
    def _no_folds(self) -> AugmentationSettings:
        if self.elastic * _SPACING_OF_ELASTIC > self.elastic_spacing:
            raise ValueError(
                f"elastic {self.elastic:g} folds the image: with elastic_spacing {self.elastic_spacing:g} it may be up "
                f"to {self.elastic_spacing / _SPACING_OF_ELASTIC:g}"
            )
        return self

    @classmethod
    def reference(cls) -> AugmentationSettings:
        """What the reference does."""
        return cls(rotation="degrees", flip_y=False, intensity_share=0, quantise=True)

    @classmethod
    def none(cls) -> AugmentationSettings:
        """Patches as they are."""
        return cls(rotation="none", flip_x=False, flip_y=False, intensity_share=0)


@dataclass(frozen=True)
class Intensity:
    """A change of the intensities of a patch.

    Attributes
    ----------
    gamma, gain, offset, noise : tuple of float
        One number a channel; the last is a standard deviation.
    noise_seed : int
        Of the noise.
    """

    gamma: tuple[float, ...]
    gain: tuple[float, ...]
    offset: tuple[float, ...]
    noise: tuple[float, ...]
    noise_seed: int


def draw_turn(settings: AugmentationSettings, rng: np.random.Generator) -> Turn:
    """A rotation and flips. As many numbers are drawn whatever the settings are."""
    turn, *mirror = rng.random(4)
    angle = 0.0
    if settings.rotation == "degrees":
        angle = 1.0 + int(turn * 179)
    elif settings.rotation == "continuous":
        angle = (2 * turn - 1) * settings.largest_angle
    z, y, x = (
        allowed and bool(number < 0.5)
        for allowed, number in zip((settings.flip_z, settings.flip_y, settings.flip_x), mirror, strict=True)
    )
    return Turn(angle, (z, y, x))


def draw_bend(
    settings: AugmentationSettings, size: Sequence[int], rng: np.random.Generator
) -> np.ndarray | None:
    """Elastic displacements (2, Y, X) of the pixels of a patch of `size` (y, x), None if there are none."""
    return bend(size, settings.elastic, settings.elastic_spacing, rng) if settings.elastic else None


def draw_intensity(
    settings: AugmentationSettings, channels: int, rng: np.random.Generator
) -> Intensity | None:
    """How to change the intensities of a patch; None to leave them as they are."""
    chance = rng.random()
    powers, gains, offsets = rng.uniform(-1, 1, (3, channels))
    noise = rng.random(channels)
    seed = int(rng.integers(1 << 62))
    if chance >= settings.intensity_share:
        return None
    return Intensity(
        gamma=tuple(exp(n * log1p(settings.gamma)) for n in powers),
        gain=tuple(1 + n * settings.gain for n in gains),
        offset=tuple(n * settings.offset for n in offsets),
        noise=tuple(n * settings.noise for n in noise),
        noise_seed=seed,
    )
