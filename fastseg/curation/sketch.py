"""Jobs for the images of a request: which masks, polygons and rules each has, and what decides its result."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from fastseg.curation.build import Job
from fastseg.curation.collect import Collected, Row
from fastseg.curation.manifest import Record, Source, source_of
from fastseg.curation.masks import POLYGON_SUFFIXES, Drawn
from fastseg.curation.matching import find_mask, match_all, missing_segmentations
from fastseg.curation.points import read_points
from fastseg.curation.polygons import Polygon, Role, as_feature, read_polygons
from fastseg.curation.request import Wanted, check_disagreement
from fastseg.curation.rules import ExcludingRule, ObjectRule, VoxelRule, parse_excluding, parse_taking
from fastseg.curation.tracker import Decision
from fastseg.errors import FastsegError, Problems
from fastseg.unet.normalization import Recipe, stored_recipe
from fastseg.unet.recipe_file import as_mapping


@dataclass
class _Extras:
    """Files that several images share, read once."""

    polygons: dict[Path, tuple[Polygon, ...]] = field(default_factory=dict)
    points: dict[Path, Mapping[str, tuple[tuple[int, int, int], ...]]] = field(default_factory=dict)

    def polygons_of(self, path: Path) -> tuple[Polygon, ...]:
        if path not in self.polygons:
            self.polygons[path] = read_polygons(path)
        return self.polygons[path]

    def points_of(self, path: Path) -> Mapping[str, tuple[tuple[int, int, int], ...]]:
        if path not in self.points:
            self.points[path] = read_points(path)
        return self.points[path]


def sketch_jobs(wanted: Wanted, found: Collected) -> tuple[list[Job], list[str]]:
    """Jobs for all images, without their numbers; and remarks.

    Raises
    ------
    Problems
        Everything that is wrong with masks, polygons, points and rules of images.
    """
    request = wanted.request
    extras = _Extras()
    problems: list[str] = []
    drawn = [p for path in request.polygons for p in extras.polygons_of(Path(path))]
    compared = _compared(wanted, found)
    jobs = []
    for row in found.rows:
        try:
            jobs.append(_sketch(wanted, row, drawn, extras, compared.get(row.decision.raw)))
        except Problems as error:
            problems += [f"{row.decision.raw}: {problem}" for problem in error.problems]
        except FastsegError as error:
            problems.append(f"{row.decision.raw}: {error}")
    if problems:
        raise Problems("masks and rules", list(dict.fromkeys(problems)))
    return jobs, _strangers(wanted, found, drawn, extras)


def _compared(wanted: Wanted, found: Collected) -> dict[Path, Path]:
    request = wanted.request
    if request.compared is None or not found.rows:
        return {}
    paths = {row.decision.raw for row in found.rows}
    partners: dict[Path, Path] = {}
    missing: list[str] = []
    for folder in dict.fromkeys(path.parent for path in paths):
        matches = match_all(folder, [request.compared], request.data_type, mark=request.mark)
        partners |= {pair.raw: pair.segmentations[0] for pair in matches.pairs}
    missing = [f"{path} has no segmentation in {request.compared}" for path in paths if path not in partners]
    if missing:
        raise missing_segmentations(request.compared, sorted(missing))
    return partners


def _strangers(wanted: Wanted, found: Collected, drawn: Sequence[Polygon], extras: _Extras) -> list[str]:
    """Remarks on polygons and points that belong to none of the images."""
    notes = []
    named = {p.image for p in drawn} | {image for table in extras.points.values() for image in table}
    strange = sorted(named - found.stems)
    if strange:
        notes.append(f"polygons or points are about images that are not here: {', '.join(strange)}")
    if wanted.request.mode != "merge" and any(p.role == "merging" for p in drawn):
        notes.append(f"merging polygons have no effect in {wanted.request.mode}")
    return notes


def _sketch(
    wanted: Wanted, row: Row, drawn: Sequence[Polygon], extras: _Extras, compared: Path | None
) -> Job:
    request, decision = wanted.request, row.decision
    own = partial(_drawn, wanted, row, drawn, extras)
    excluding = own("excluding", decision.excluding_mask, request.masks)
    merging = Drawn()
    if request.mode == "merge":
        merging = own("merging", decision.merging_mask, request.merging_masks)
        if merging.file is not None and merging.file == excluding.file:
            raise Problems(
                str(decision.raw), [f"{merging.file} would be both its merging and excluding mask"]
            )
    taking = _rules(decision, "rule", parse_taking, wanted.taking) if request.mode == "merge" else ()
    rules = _rules(decision, "exclude_rule", parse_excluding, wanted.excluding)
    if any(isinstance(r, VoxelRule) and r.kind == "disagreement" for r in rules):
        wrong = check_disagreement(request)
        if wrong:
            raise Problems(str(decision.raw), wrong)
    found: list[list[Any]] = [
        [_pointed(rule, row, wanted, extras) for rule in some] for some in (taking, rules)
    ]
    sources = _sources(wanted, decision, compared, merging, excluding)
    record = Record(
        number=0,
        sources=sources,
        settings=_settings(wanted, merging, excluding, found[0], found[1]),
        decision=_decision(wanted, decision),
    )
    return Job(
        folder=wanted.folder,
        mode=request.mode,
        record=record,
        raw=decision.raw,
        segmentations=decision.segmentations,
        selection=wanted.selection,
        recipe=wanted.recipe,
        polarity=wanted.polarity,
        compared=compared,
        threshold=request.threshold,
        merging=merging,
        excluding=excluding,
        taking=tuple(found[0]),
        rules=tuple(found[1]),
        redo=request.redo,
    )


def _drawn(
    wanted: Wanted,
    row: Row,
    drawn: Sequence[Polygon],
    extras: _Extras,
    role: Role,
    decided: Path | None,
    folder: Any,
) -> Drawn:
    """What was drawn on an image: the mask of its row or of the folder, and its polygons."""
    decision, polygons = row.decision, list(drawn)
    mask = decided
    if mask is not None and not mask.exists():
        raise Problems(str(decision.raw), [f"its {role} mask {mask} does not exist"])
    if mask is not None and mask.suffix.lower() in POLYGON_SUFFIXES:
        polygons += [p for p in extras.polygons_of(mask) if p not in polygons]
        mask = None
    if folder is not None:
        scene = wanted.request.scene
        named = find_mask(
            folder, decision.raw, role, wanted.request.data_type, scene if isinstance(scene, str) else None
        )
        if mask is not None and named is not None and not named.samefile(mask):
            raise Problems(
                str(decision.raw), [f"{mask} of the decisions and {named} are two {role} masks: leave one"]
            )
        mask = mask or named
    return Drawn(mask, tuple(p for p in polygons if p.role == role and p.image in row.stems))


def _rules(
    decision: Decision, column: str, parse: Callable[[str], tuple[Any, ...]], common: tuple[Any, ...]
) -> tuple[Any, ...]:
    """The rule of an image's row, or the one for all images."""
    text = decision.extra.get(column, "").strip()
    return parse(text) if text else common


def _pointed(rule: ExcludingRule, row: Row, wanted: Wanted, extras: _Extras) -> ExcludingRule:
    if not isinstance(rule, ObjectRule) or not rule.points_file:
        return rule
    given = Path(rule.points_file)
    decisions = wanted.request.decisions
    beside = given if decisions is None else Path(decisions).parent / given
    table = extras.points_of(beside if beside.exists() else given)
    return rule.with_points(tuple(point for stem in row.stems for point in table.get(stem, ())))


def _sources(
    wanted: Wanted, decision: Decision, compared: Path | None, merging: Drawn, excluding: Drawn
) -> tuple[Source, ...]:
    named = [("raw", decision.raw)]
    named += [
        (role, path)
        for role, path in zip(("segmentation", "second_segmentation"), decision.segmentations, strict=False)
    ]
    others = (
        ("compared_segmentation", compared),
        ("merging_mask", merging.file),
        ("excluding_mask", excluding.file),
    )
    named += [(role, path) for role, path in others if path is not None]
    return tuple(source_of(role, path, wanted.folder) for role, path in named)


def _settings(
    wanted: Wanted,
    merging: Drawn,
    excluding: Drawn,
    taking: Sequence[ObjectRule],
    rules: Sequence[ExcludingRule],
) -> dict[str, Any]:
    """All that decides the result beside the files, in plain values."""
    request = wanted.request
    found = {
        "mode": request.mode,
        **asdict(wanted.selection),
        "threshold": request.threshold,
        "normalization": plain_recipe(wanted.recipe),
        "excluded": wanted.polarity if excluding.file is not None else None,
        "taking": [_rule(rule) for rule in taking],
        "excluding": [_rule(rule) for rule in rules],
        "polygons": [as_feature(polygon) for polygon in (*merging.polygons, *excluding.polygons)],
    }
    return dict(json.loads(json.dumps(found)))


def _rule(rule: ExcludingRule) -> dict[str, Any]:
    if isinstance(rule, ObjectRule):  # points count, not where they are written down
        rule = replace(rule, points_file="points" if rule.points_file else "")
    return {key: value for key, value in asdict(rule).items() if value}


def _decision(wanted: Wanted, decision: Decision) -> dict[str, Any]:
    file = wanted.request.decisions
    columns = {key: text for key, text in decision.extra.items() if text and key != "number"}
    return {} if file is None else {"file": str(file), "score": 1, **columns}


def plain_recipe(recipe: Recipe) -> Any:
    """A recipe as manifests hold it: by name, or whole where it is from a user's file."""
    stored = stored_recipe(recipe)
    return stored if isinstance(stored, str) else json.loads(json.dumps(as_mapping(stored)))
