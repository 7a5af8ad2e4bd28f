"""Figures of many images, and what they decide: good, bad, or a place in the line of those that a person sees."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from fastseg.curation.quality import Figures, measure
from fastseg.curation.quality_scores import COMPARED, Assessment, assess
from fastseg.curation.reading import check_same_shape, read_raw, read_segmentation, read_stack
from fastseg.curation.resume import earlier_decisions, same_path
from fastseg.curation.tracker import Decision
from fastseg.curation.workers import Failure, each_image, worker_count
from fastseg.errors import UsageError
from fastseg.io.atomic import atomic_output

AUTOMATIC = "automatic"
"""Column with the reason of a score that no person gave; empty in all other rows."""

QUALITY, FINDING = "quality", "finding"


@dataclass(frozen=True)
class QualitySource:
    """An image, its segmentations and a prediction of it.

    Attributes
    ----------
    raw : Path
    segmentations : tuple of Path
        One or two; figures are those of the first.
    model : Path or None
        A model's prediction: a mask, or probabilities with `model_threshold`.
    channel, scene, time : int or str, optional
        Of the raw image, where its file holds several.
    axes : str, optional
        Of the raw image.
    threshold, model_threshold : float, optional
        Above which a voxel is foreground, for segmentations and predictions that hold probabilities.
    """

    raw: Path
    segmentations: tuple[Path, ...]
    model: Path | None = None
    channel: int | str | None = None
    scene: int | str | None = None
    time: int | None = None
    axes: str | None = None
    threshold: float | None = None
    model_threshold: float = 0.5


@dataclass(frozen=True)
class Measured:
    """What was found of an image: figures and what they say, or why there are none."""

    source: QualitySource
    figures: Figures | None
    assessment: Assessment | None
    failure: Failure | None = None


@dataclass(frozen=True)
class Limits:
    """Which images are decided without a person.

    Attributes
    ----------
    accept : float or None
        Good from this quality on; None accepts nothing.
    reject : float or None
        Bad below this quality; None rejects nothing.

    Raises
    ------
    UsageError
        For limits outside 0 to 1, and for a limit of rejection above that of acceptance.
    """

    accept: float | None = None
    reject: float | None = None

    def __post_init__(self) -> None:
        for option, value in (("--auto-accept", self.accept), ("--auto-reject", self.reject)):
            if value is not None and not 0 <= value <= 1:
                raise UsageError(f"{option} {value:g}: a quality between 0 and 1 is needed")
        if self.accept is not None and self.reject is not None and self.reject > self.accept:
            raise UsageError(
                f"--auto-reject {self.reject:g} is above --auto-accept {self.accept:g}: images between "
                "them would be good and bad"
            )

    def decide(self, assessment: Assessment) -> tuple[bool | None, str]:
        """The score, None where a person has to look, and the reason in words."""
        quality = assessment.quality
        if self.accept is not None and quality >= self.accept:
            return True, f"accepted: quality {quality:.3f} is at least {self.accept:g}"
        if self.reject is not None and quality < self.reject:
            return False, f"rejected: quality {quality:.3f} is below {self.reject:g}, {assessment.finding}"
        return None, ""


OnItem = Callable[[Path, "Failure | None", int, int], None]
"""Called with the raw image, what went wrong, the number done and the total."""


def _quiet(raw: Path, failure: Failure | None, done: int, total: int) -> None:
    pass


def measure_images(
    sources: Sequence[QualitySource], workers: int | None = None, on_item: OnItem = _quiet
) -> list[Measured]:
    """Measure images, each in a process of its own, and compare them.

    Parameters
    ----------
    sources : sequence of QualitySource
        The batch: images that should be alike.
    workers : int, optional
        Processes; one a core by default. Each holds one image with its masks.
    on_item : callable
        Called after each image, in this thread.

    Returns
    -------
    list of Measured
        In the order of the sources. An image that cannot be measured has a failure, and the others do without it.
    """
    attempts: list[Figures | Failure] = []
    for source, attempt in each_image(measure_source, sources, worker_count(workers, len(sources))):
        result = attempt if isinstance(attempt, Failure) else attempt.value
        if isinstance(result, Failure) and str(source.raw) not in result.message:
            result = replace(result, message=f"{source.raw}: {result.message}")
        attempts.append(result)
        on_item(source.raw, result if isinstance(result, Failure) else None, len(attempts), len(sources))
    figures = [None if isinstance(one, Failure) else one for one in attempts]
    return [
        Measured(source, found, assessment, attempt if isinstance(attempt, Failure) else None)
        for source, found, assessment, attempt in zip(
            sources, figures, assess(figures), attempts, strict=True
        )
    ]


def measure_source(source: QualitySource) -> Figures:
    """Read the files of an image and measure its first segmentation.

    Raises
    ------
    ReadError, InputError
        When a file cannot be read, or does not fit the image.
    """
    raw = read_raw(
        source.raw, channel=source.channel, scene=source.scene, time=source.time, axes=source.axes
    ).volume()
    masks = [read_segmentation(path, source.threshold).mask for path in source.segmentations]
    named = list(zip(source.segmentations, masks, strict=True))
    model = None
    if source.model is not None:
        model = read_prediction(source.model, source.model_threshold)
        named.append((source.model, model))
    for path, mask in named:
        check_same_shape(path, mask.shape, source.raw, raw.shape)
    return measure(raw, masks[0], masks[1] if len(masks) > 1 else None, model)


def read_prediction(path: Path, threshold: float) -> np.ndarray:
    """The foreground of a model's prediction: above a threshold in a file of floats, as of a segmentation otherwise."""
    probable = read_stack(path).dtype.kind == "f"
    return read_segmentation(path, threshold if probable else None).mask


def decide(
    measured: Sequence[Measured],
    known: Sequence[Decision] = (),
    limits: Limits | None = None,
    redo: bool = False,
) -> list[Decision]:
    """Decisions of a batch, those that a person has to take first, in order of doubt.

    Parameters
    ----------
    measured : sequence of Measured
    known : sequence of Decision
        Earlier decisions. Scores stay as they are; quality and finding are renewed. Images that were not measured are
        kept at the end.
    limits : Limits, optional
        Nothing is decided without them.
    redo : bool
        Decide anew what an earlier run decided automatically. Images that are in a training set already stay good.

    Returns
    -------
    list of Decision
        Undecided images by rising quality, those that failed at their end; then decided ones by rising quality.

    Raises
    ------
    Problems
        Where an earlier decision is about other segmentations.
    """
    limits = limits or Limits()
    earlier = earlier_decisions([(m.source.raw, m.source.segmentations) for m in measured], known)
    ranked: list[tuple[tuple[bool, float, int], Decision]] = []
    for number, one in enumerate(measured):
        before = earlier.pop(same_path(one.source.raw), None)
        made = _decided(one, before, limits, redo)
        quality = 2.0 if one.assessment is None else one.assessment.quality
        ranked.append(((made.score is not None, quality, number), made))
    ranked.sort(key=lambda entry: entry[0])
    return [*(made for _, made in ranked), *earlier.values()]


def _decided(one: Measured, before: Decision | None, limits: Limits, redo: bool) -> Decision:
    decision = before or Decision(one.source.raw, one.source.segmentations)
    decision = decision.with_extra(
        **{
            QUALITY: "" if one.assessment is None else f"{one.assessment.quality:.4f}",
            FINDING: one.assessment.finding if one.assessment else one.failure.message if one.failure else "",
            AUTOMATIC: decision.extra.get(AUTOMATIC, ""),
        }
    )
    again = redo and bool(decision.extra[AUTOMATIC]) and not decision.extra.get("number")
    if decision.score is not None and not again:
        return decision
    score, reason = (None, "") if one.assessment is None else limits.decide(one.assessment)
    return replace(decision, score=score).with_extra(**{AUTOMATIC: reason})


def write_table(path: str | os.PathLike[str], measured: Sequence[Measured]) -> Path:
    """Write all figures of a batch as CSV: a row an image, then its robust z-scores and what they say.

    Raises
    ------
    WriteError
        When it cannot be written.
    """
    names = list(Figures.__dataclass_fields__)
    stream = io.StringIO(newline="")
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(["raw", *names, *(f"z_{name}" for name in COMPARED), QUALITY, FINDING, "error"])
    for one in measured:
        figures: Mapping[str, float | None] = one.figures.as_dict() if one.figures else {}
        z = one.assessment.z if one.assessment else {}
        quality, finding = (one.assessment.quality, one.assessment.finding) if one.assessment else (None, "")
        cells = [figures.get(name) for name in names]
        cells += [z.get(name) for name in COMPARED]
        error = one.failure.message if one.failure else ""
        writer.writerow([one.source.raw, *(_text(v) for v in (*cells, quality)), finding, error])
    data = stream.getvalue().encode("utf-8")
    file = Path(path)
    with atomic_output(file, overwrite=True, needed=len(data)) as temporary:
        temporary.write_bytes(data)
    return file


def _text(value: float | None) -> str:
    return "" if value is None else f"{value:.6g}" if isinstance(value, float) else str(value)
