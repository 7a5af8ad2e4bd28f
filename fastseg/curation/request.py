"""What curation is asked to do, checked as a whole before anything is read."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from fastseg.curation.build import Mode, Selection
from fastseg.curation.masks import POLARITY, Polarity
from fastseg.curation.rules import ExcludingRule, ObjectRule, VoxelRule, parse_excluding, parse_taking
from fastseg.errors import Problems, UsageError
from fastseg.io.naming import OUTPUT_MARK
from fastseg.io.units import check_spacing
from fastseg.types import Spacing
from fastseg.unet.normalization import Recipe, get_recipe

PathLike: TypeAlias = str | os.PathLike[str]

_SEGMENTATIONS = {"sort": 1, "merge": 2, "takeall": 1}


@dataclass(frozen=True, kw_only=True)
class CurationRequest:
    """How to make a training set.

    Attributes
    ----------
    mode : {"sort", "merge", "takeall"}
    output : path-like
        The training folder, made if needed; images are numbered on after what it holds.
    normalization : int, str or Recipe
        Recipe of the training images; ``FILE.yaml:NAME`` for one of one's own.
    raw : path-like, optional
        Folder of raw images, one image, or a table (CSV) with the columns of a decisions file. May be left out if
        `decisions` exist, whose rows are taken as they are then.
    segmentations : sequence of path-like
        Folder of segmentations, in merging those of the base and of the patch version; left out with `raw`.
    compared : path-like, optional
        Sorting and take-all: folder of second segmentations for the rule ``disagreement``.
    decisions : path-like, optional
        Tracker. Needed for sorting; made if it does not exist. Without it, merging takes every image.
    channel, scene, time, axes, spacing : optional
        Of the raw images, as of `fastseg.io.read`.
    threshold : float, optional
        Of segmentations that hold probabilities.
    data_type : str, optional
        Ending of the raw images' names.
    mark : str
        What the names of segmentations carry after those of their images.
    masks, merging_masks : path-like, optional
        Folders of excluding and of merging masks.
    polygons : sequence of path-like
        GeoJSON files.
    polarity : {"positive", "zero"}, optional
        Which voxels of excluding masks are excluded; by the reference zero in take-all, positive otherwise.
    taking, excluding : str
        Rules for all images whose row has none of its own, see `fastseg.curation.rules`.
    skip_missing : bool
        Leave out images without a segmentation.
    redo : bool
        Make images again whose inputs or settings have changed.
    relocate : bool
        Apply decisions to the images of the same names in `raw`.
    workers : int, optional
        Processes; one a core by default.
    """

    mode: Mode
    output: PathLike
    normalization: int | str | Recipe
    raw: PathLike | None = None
    segmentations: tuple[PathLike, ...] = ()
    compared: PathLike | None = None
    decisions: PathLike | None = None
    channel: int | str | None = None
    scene: int | str | None = None
    time: int | None = None
    axes: str | None = None
    spacing: Spacing | None = None
    threshold: float | None = None
    data_type: str | None = None
    mark: str = OUTPUT_MARK
    masks: PathLike | None = None
    merging_masks: PathLike | None = None
    polygons: tuple[PathLike, ...] = ()
    polarity: Polarity | None = None
    taking: str = ""
    excluding: str = ""
    skip_missing: bool = False
    redo: bool = False
    relocate: bool = False
    workers: int | None = None


@dataclass(frozen=True)
class Wanted:
    """A request that has been checked."""

    request: CurationRequest
    folder: Path
    recipe: Recipe
    selection: Selection
    polarity: Polarity
    taking: tuple[ObjectRule, ...]
    excluding: tuple[ExcludingRule, ...]


def check_request(request: CurationRequest) -> Wanted:
    """Everything that can be wrong with a request by itself.

    Raises
    ------
    Problems
        All of it.
    UsageError
        For an unknown recipe.
    """
    recipe = get_recipe(request.normalization)
    problems = [*_combinations(request)]
    rules: dict[str, tuple[ExcludingRule, ...]] = {}
    for name, parse in (("taking", parse_taking), ("excluding", parse_excluding)):
        try:
            rules[name] = parse(getattr(request, name))
        except Problems as error:
            problems += [f"{error.what}: {problem}" for problem in error.problems]
    if any(isinstance(r, VoxelRule) and r.kind == "disagreement" for r in rules.get("excluding", ())):
        problems += check_disagreement(request)
    if problems:
        raise Problems("request", problems)
    spacing = None if request.spacing is None else check_spacing(request.spacing, "--spacing")
    return Wanted(
        request,
        Path(os.path.abspath(request.output)),
        recipe,
        Selection(request.channel, request.scene, request.time, request.axes, spacing),
        request.polarity or POLARITY[request.mode],
        rules["taking"],  # type: ignore[arg-type]
        rules["excluding"],
    )


def check_disagreement(request: CurationRequest) -> list[str]:
    """What is wrong with a rule about the disagreement of two segmentations."""
    if request.mode == "merge" or request.compared is not None:
        return []
    return ["disagreement needs a second segmentation of every image: give their folder with --compare"]


def _combinations(request: CurationRequest) -> list[str]:
    mode, count = request.mode, _SEGMENTATIONS[request.mode]
    problems = []
    table = request.raw is not None and is_table(request.raw)
    given = len(request.segmentations)
    if request.raw is None and given:
        problems.append("segmentations were given without raw images")
    elif table and given:
        problems.append(f"{request.raw} is a table, which names the segmentations: leave their folders out")
    elif request.raw is not None and not table and given != count:
        folders = "a folder of segmentations" if count == 1 else "two folders of segmentations"
        problems.append(f"{mode} needs raw images and {folders}; {given} were given")
    if mode == "takeall":
        if request.raw is None:
            problems.append("takeall needs raw images")
        if request.decisions is not None:
            problems.append("takeall takes every image and reads no decisions: use sort for them")
    elif mode == "sort" and request.decisions is None:
        problems.append("sort needs --decisions, which say what images are good: takeall takes every image")
    if mode != "merge":
        if request.taking:
            problems.append(f"taking objects of a second segmentation is for merge, not for {mode}")
        if request.merging_masks is not None:
            problems.append(f"merging masks are for merge, not for {mode}")
    elif request.compared is not None:
        problems.append("merge has two segmentations already: leave out --compare")
    if request.relocate and (request.raw is None or request.decisions is None):
        problems.append("--relocate needs decisions, and the raw images that they are to be applied to")
    if request.threshold is not None and not 0 <= request.threshold < 1:
        problems.append(f"a threshold of {request.threshold:g} is out of range: give 0 or more, below 1")
    if request.workers is not None and request.workers < 1:
        problems.append(f"--workers {request.workers}: at least 1 is needed")
    for name in ("masks", "merging_masks", "compared"):
        folder = getattr(request, name)
        if folder is not None and not Path(folder).is_dir():
            problems.append(f"{folder} is no folder")
    return problems


def is_table(path: PathLike) -> bool:
    """Whether raw images are given by a table."""
    return str(path).lower().endswith(".csv")


def needs_decisions(request: CurationRequest) -> Path | None:
    """The decisions file, if there is one to be read.

    Raises
    ------
    UsageError
        If neither it nor raw images are there.
    """
    if request.decisions is None:
        return None
    path = Path(request.decisions)
    if not path.exists() and request.raw is None:
        raise UsageError(f"{path} does not exist: give raw images and segmentations to begin one")
    return path
