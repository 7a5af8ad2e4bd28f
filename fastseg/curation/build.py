"""One image of a training set: read, normalised, labelled, costed and written. Runs in processes of its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np

from fastseg import __version__
from fastseg.curation.labelling import Scene, excluded, merged
from fastseg.curation.manifest import Record, Source, moved
from fastseg.curation.masks import Drawn, Polarity, excluding_mask, merging_mask, read_mask
from fastseg.curation.reading import Segmentation, check_same_shape, read_raw, read_segmentation, read_stack
from fastseg.curation.rules import ExcludingRule, ObjectRule
from fastseg.curation.training_set import TrainingSet, array_digest, file_names, missing_files
from fastseg.errors import InputError
from fastseg.io import Image
from fastseg.types import Spacing
from fastseg.unet.normalization import Recipe, normalize

Mode: TypeAlias = Literal["sort", "merge", "takeall"]
Done: TypeAlias = Literal["written", "redone", "completed", "kept"]

_CLOSE = 1e-5
"""Difference from which on an image is not the one that was written: beyond the rounding of float32."""


@dataclass(frozen=True)
class Selection:
    """Which stack of a raw file, and how it is read."""

    channel: int | str | None = None
    scene: int | str | None = None
    time: int | None = None
    axes: str | None = None
    spacing: Spacing | None = None


@dataclass(frozen=True)
class Job:
    """An image to make, with everything that decides how.

    Attributes
    ----------
    record : Record
        As it will be, without what is only known once it is made. Its sources are the files in the order in which they
        are read: raw, segmentations, compared segmentation, merging mask, excluding mask.
    compared : Path or None
        A second segmentation for the rule ``disagreement``.
    known : Record or None
        What the manifest says of the image; None if it is new.
    remake : bool
        Write it without a look at what is there.
    adopt : bool
        The decisions file has a number for the image, but the manifest does not know it: keep what is there if it is
        this image.
    redo : bool
        Write it anew if its inputs have changed.
    others : mapping of str to int
        Raw voxels of the other images, by their digests.
    """

    folder: Path
    mode: Mode
    record: Record
    raw: Path
    segmentations: tuple[Path, ...]
    selection: Selection
    recipe: Recipe
    polarity: Polarity
    compared: Path | None = None
    threshold: float | None = None
    merging: Drawn = field(default_factory=Drawn)
    excluding: Drawn = field(default_factory=Drawn)
    taking: tuple[ObjectRule, ...] = ()
    rules: tuple[ExcludingRule, ...] = ()
    known: Record | None = None
    remake: bool = False
    adopt: bool = False
    redo: bool = False
    others: Mapping[str, int] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return f"img_{self.record.number:03d}"


@dataclass(frozen=True)
class Built:
    """What has become of an image.

    Attributes
    ----------
    record : Record
    done : {"written", "redone", "completed", "kept"}
    notes : tuple of str
        Remarks for the user.
    """

    record: Record
    done: Done
    notes: tuple[str, ...] = ()


@dataclass(eq=False)
class _Inputs:
    """What is read of an image's files."""

    image: Image
    raw: np.ndarray
    segmentations: list[Segmentation]
    compared: Segmentation | None
    masks: dict[str, np.ndarray]
    digests: list[str]

    @property
    def spacing(self) -> Spacing | None:
        known = (s.spacing for s in self.segmentations if s.spacing is not None)
        return self.image.spacing or next(known, None)


def build(job: Job) -> Built:
    """Make an image, or find that it is there already.

    Raises
    ------
    FastsegError
        If a file cannot be read or does not fit, or the image is there but was made otherwise.
    """
    inputs = _read(job)
    sources = tuple(
        replace(source, sha256=digest)
        for source, digest in zip(job.record.sources, inputs.digests, strict=True)
    )
    same = job.known is not None and [s.sha256 for s in job.known.sources] == inputs.digests
    if job.known is not None and not job.remake:
        lost = missing_files(job.folder, job.known.files)
        if same and not lost:
            return Built(moved(job.known, job.record.sources), "kept")
        if not same and not job.redo:
            raise InputError(
                f"{job.name} was made from {_differing(job, sources)}: give --redo to make it again"
            )
    else:
        lost = []
    twin = job.others.get(sources[0].sha256)
    if twin is not None:
        raise InputError(
            f"{job.raw} holds the very voxels that img_{twin:03d} was made from: an image must not be learnt from twice"
        )
    notes = list(inputs.image.notes)
    image = normalize(inputs.raw, job.recipe)
    label, cost = _label_and_cost(job, inputs, image)
    notes += _remarks(image, label, cost)
    spacing = inputs.spacing
    if job.adopt:
        return _adopted(job, sources, image, label, cost, spacing)
    files = TrainingSet(job.folder).write(
        job.record.number, image, label, cost, spacing, only_missing=bool(lost) and same
    )
    done: Done = "completed" if lost and same else "redone" if job.known is not None else "written"
    if done == "completed" and job.known is not None:
        files = {name: files[name] if name in lost else job.known.files[name] for name in files}
    return Built(_finished(job, sources, files, _facts(label, cost, spacing)), done, tuple(notes))


def _read(job: Job) -> _Inputs:
    chosen = job.selection
    image = read_raw(
        job.raw,
        channel=chosen.channel,
        scene=chosen.scene,
        time=chosen.time,
        axes=chosen.axes,
        spacing=chosen.spacing,
    )
    raw = image.volume()
    _check_image(job.raw, raw)
    digests = [array_digest(raw, image.spacing)]
    paths = [*job.segmentations, *([] if job.compared is None else [job.compared])]
    found = []
    for path in paths:
        segmentation = read_segmentation(path, job.threshold)
        check_same_shape(path, segmentation.mask.shape, job.raw, raw.shape)
        digests.append(array_digest(segmentation.values))
        found.append(segmentation)
    masks = {}
    for role, drawn in (("merging", job.merging), ("excluding", job.excluding)):
        if drawn.file is not None:
            masks[role] = read_mask(drawn.file, job.raw, raw.shape)
            digests.append(array_digest(masks[role]))
    compared = found.pop() if job.compared is not None else None
    return _Inputs(image, raw, found, compared, masks, digests)


def _check_image(path: Path, raw: np.ndarray) -> None:
    low, high = raw.min(), raw.max()
    if not np.isfinite(low) or not np.isfinite(high):
        raise InputError(f"{path} holds NaN or infinite voxels: export it again without them")
    if low == high:
        raise InputError(f"{path} is empty: every voxel is {low:g}, there is nothing to learn from")


def _label_and_cost(job: Job, inputs: _Inputs, image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    shape = inputs.raw.shape
    first = inputs.segmentations[0]
    second = inputs.segmentations[1] if job.mode == "merge" else inputs.compared
    scene = Scene(str(job.raw), inputs.raw, image, first, second, inputs.spacing)
    label = first.mask
    if job.mode == "merge":
        label = merged(scene, merging_mask(job.merging, inputs.masks.get("merging"), shape), job.taking)
    out = excluding_mask(job.excluding, inputs.masks.get("excluding"), shape, job.polarity, job.mode)
    if job.rules:
        out |= excluded(scene, label, job.rules)
    return label, (~out).astype(np.float32)


def _remarks(image: np.ndarray, label: np.ndarray, cost: np.ndarray) -> list[str]:
    notes = []
    low, high = float(image.min()), float(image.max())
    if low < 0 or high > 1:
        notes.append(
            f"normalised values span {low:.4g} to {high:.4g}: trainers that store 8 bits wrap what lies outside 0 to 1"
        )
    foreground = np.count_nonzero(label)
    if foreground in (0, label.size):
        notes.append("no voxel is foreground" if foreground == 0 else "every voxel is foreground")
    if not cost.any():
        notes.append("every voxel is excluded: there is nothing to learn from")
    return notes


def _facts(label: np.ndarray, cost: np.ndarray, spacing: Spacing | None) -> dict[str, Any]:
    return {
        "shape": list(label.shape),
        "spacing_um": None if spacing is None else list(spacing),
        "foreground": int(np.count_nonzero(label)),
        "excluded": int(cost.size - np.count_nonzero(cost)),
    }


def _finished(
    job: Job, sources: tuple[Source, ...], files: dict[str, dict[str, Any]], facts: dict[str, Any]
) -> Record:
    when = datetime.now(UTC).isoformat(timespec="seconds")
    return replace(
        job.record,
        state="done",
        sources=sources,
        files=files,
        facts=facts,
        written=f"{when} by fastseg {__version__}",
    )


def _differing(job: Job, sources: tuple[Source, ...]) -> str:
    assert job.known is not None
    for before, now in zip(job.known.sources, sources, strict=True):
        if before.sha256 != now.sha256:
            return f"other voxels of {now.path}"
    return "other files"


def _adopted(
    job: Job,
    sources: tuple[Source, ...],
    image: np.ndarray,
    label: np.ndarray,
    cost: np.ndarray,
    spacing: Spacing | None,
) -> Built:
    from fastseg.curation.training_set import file_facts

    names = file_names(job.record.number)
    for name, expected in zip(names, (image, cost, label), strict=True):
        there = read_stack(job.folder / name).volume()
        if there.shape != expected.shape or not np.allclose(there, expected, rtol=0, atol=_CLOSE):
            raise InputError(
                f"{job.raw} has number {job.record.number} in the decisions file, but {job.folder / name} is not made "
                "from it: empty its number, or choose another training folder"
            )
    files = {name: file_facts(job.folder / name) for name in names}
    return Built(_finished(job, sources, files, _facts(label, cost, spacing)), "kept")
