"""Judging a network on held-back images, predicted whole by the very code that will predict with it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastseg.tiling import ArrayVolume
from fastseg.types import Box
from fastseg.unet.model import make_model
from fastseg.unet.model_info import Selection
from fastseg.unet.networks.registry import Architecture
from fastseg.unet.predict import predict_volumes
from fastseg.unet.settings import PredictSettings
from fastseg.unet.threshold import float32_limit
from fastseg.unet.training.items import TrainingItem, load_item
from fastseg.unet.training.metrics import cross_entropy, overlap

_MEMORY = 2 * 2**30
"""Bytes for patches on the CPU: always the same, because patches show in the last bit of a probability."""

_WINDOW = 256
"""Largest side of a sample in voxels."""


@dataclass(frozen=True)
class Sample:
    """A part of a plane of a held-back image, for people to look at.

    Attributes
    ----------
    name : str
    plane : int
    raw : array (Y, X), uint8
        First channel, its range stretched.
    probability : array (Y, X), uint8
        Of the first output and class; 255 is 1.
    predicted, true, counts : array (Y, X), bool
    dice : float
        Of the whole image.
    """

    name: str
    plane: int
    raw: np.ndarray
    probability: np.ndarray
    predicted: np.ndarray
    true: np.ndarray
    counts: np.ndarray
    dice: float


@dataclass(frozen=True)
class Judged:
    """What one image gives: values by name (``loss``, ``dice_...``, ``iou_...``), and a sample if it was asked for."""

    values: Mapping[str, float]
    sample: Sample | None = None


@dataclass(frozen=True)
class Judge:
    """Validates networks of one architecture.

    Attributes
    ----------
    architecture : Architecture
    selections : tuple of Selection
        Outputs and classes that are judged.
    threshold : float
    device, precision : str
    """

    architecture: Architecture
    selections: tuple[Selection, ...]
    threshold: float
    device: str
    precision: str

    def __call__(
        self,
        weights: Mapping[str, Any],
        items: Sequence[tuple[TrainingItem, bool]],
        before: Callable[[int, TrainingItem], None],
    ) -> list[Judged]:
        """Validate.

        Parameters
        ----------
        weights : mapping of str to Tensor
        items : sequence of (TrainingItem, bool)
            With whether a sample is wanted.
        before : callable
            Called before each item with its number; may raise to stop.

        Raises
        ------
        ReadError, InputError
            If an image cannot be read or predicted.
        """
        model = make_model(self.architecture, weights)
        first_classes = range(1, self.architecture.graph.classes[0])
        main = [Selection.model_validate({"output": 0, "class": c}) for c in first_classes]
        needed = tuple(dict.fromkeys([*self.selections, *main]))
        settings = PredictSettings(
            normalization="none",  # images of a data set are normalised already
            threshold=-1,
            selections=needed,
            device=self.device,
            # weights that trained with a scaled loss may overflow without
            precision="tf32" if self.precision == "float16" else self.precision,
            memory=_MEMORY if self.device == "cpu" else None,
        )
        found = []
        for number, (item, wanted) in enumerate(items):
            before(number, item)
            image, truth, cost = load_item(item)
            maps = predict_volumes(model, [ArrayVolume(channel) for channel in image], settings).maps
            arrays = {s: np.asarray(maps[s.name].read(Box.whole(truth.shape))) for s in needed}
            found.append(self._judge(item, wanted, image, truth, cost, arrays, main))
        return found

    def _judge(
        self,
        item: TrainingItem,
        wanted: bool,
        image: np.ndarray,
        truth: np.ndarray,
        cost: np.ndarray,
        maps: Mapping[Selection, np.ndarray],
        main: Sequence[Selection],
    ) -> Judged:
        counts = cost > 0
        values = {"loss": cross_entropy(_of_truth(truth, [maps[s] for s in main]), cost)}
        limit = np.float32(float32_limit(self.threshold))
        for selection in self.selections:
            found = overlap(maps[selection] > limit, truth == selection.class_, counts)
            values[f"dice_{selection.name}"] = found.dice
            values[f"iou_{selection.name}"] = found.iou
        if not wanted:
            return Judged(values)
        first = self.selections[0]
        dice = values[f"dice_{first.name}"]
        return Judged(
            values, _sample(item.name, image[0], truth == first.class_, counts, maps[first], limit, dice)
        )


def _of_truth(truth: np.ndarray, foreground: Sequence[np.ndarray]) -> np.ndarray:
    """Probability of the true class of every voxel, from those of the classes above 0."""
    found = np.clip(1 - np.sum(foreground, axis=0, dtype=np.float32), 0, 1)
    for class_, probability in enumerate(foreground, start=1):
        np.copyto(found, probability, where=truth == class_)
    return found


def averaged(values: Sequence[Mapping[str, float]], selections: Sequence[Selection]) -> dict[str, float]:
    """The means over images: ``validation_loss``, ``dice`` and ``iou`` over all selections, and each one's own where
    there are several."""
    mean = {name: float(np.mean([v[name] for v in values])) for name in values[0]}
    found = {"validation_loss": mean["loss"]}
    for measure in ("dice", "iou"):
        own = {s.name: mean[f"{measure}_{s.name}"] for s in selections}
        found[measure] = float(np.mean(list(own.values())))
        if len(own) > 1:
            found |= {f"{measure}_{name}": value for name, value in own.items()}
    return found


def _sample(
    name: str,
    image: np.ndarray,
    true: np.ndarray,
    counts: np.ndarray,
    probability: np.ndarray,
    limit: np.float32,
    dice: float,
) -> Sample:
    """The plane with most of the truth, around its middle."""
    counted = true & counts
    per_plane = counted.sum(axis=(1, 2))
    plane = int(per_plane.argmax()) if per_plane.any() else len(image) // 2
    window = _window(counted[plane])
    raw = image[plane][window].astype(np.float64)
    low, high = np.percentile(raw, (0.5, 99.8))
    scaled = np.clip((raw - low) / (high - low), 0, 1) if high > low else np.zeros(raw.shape)
    return Sample(
        name=name,
        plane=plane,
        raw=np.rint(255 * scaled).astype(np.uint8),
        probability=np.rint(255 * np.clip(probability[plane][window], 0, 1)).astype(np.uint8),
        predicted=probability[plane][window] > limit,
        true=true[plane][window].copy(),
        counts=counts[plane][window].copy(),
        dice=dice,
    )


def _window(mask: np.ndarray) -> tuple[slice, slice]:
    """A part of at most `_WINDOW` voxels a side, its middle on that of the mask."""
    found = []
    for axis in (0, 1):
        n = mask.shape[axis]
        places = np.flatnonzero(mask.any(axis=1 - axis))
        middle = int(places[[0, -1]].mean()) if len(places) else n // 2
        start = min(max(0, middle - _WINDOW // 2), max(0, n - _WINDOW))
        found.append(slice(start, min(n, start + _WINDOW)))
    return found[0], found[1]
