"""Making a review page: every image in a process of its own, then the page that shows them."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from fastseg.curation.matching import Pair, stems_of
from fastseg.curation.polygons import Polygon
from fastseg.curation.resume import earlier_decisions, same_path
from fastseg.curation.review.item import ItemFiles, ItemSource, make_item
from fastseg.curation.review.page import data_uri, inlined_item, page_key, write_page
from fastseg.curation.tracker import COLUMNS, Decision, Mode, Tracker
from fastseg.curation.workers import Failure, each_image, worker_count
from fastseg.errors import UsageError
from fastseg.io.atomic import atomic_output

PAGE = "index.html"
_IMAGES = "images"


@dataclass(frozen=True)
class ReviewSettings:
    """How a page is made.

    Attributes
    ----------
    channel, scene, time : int or str, optional
        Of the raw images, where their files hold several.
    axes : str, optional
        Of the raw images, where their files carry none or wrong ones.
    threshold : float, optional
        Above which a voxel is foreground, for segmentations that hold probabilities.
    data_type : str, optional
        Ending of the raw images' names, as of `fastseg.curation.matching.find_pairs`.
    workers : int, optional
        Processes; one a core by default.
    single_file : bool
        Write one HTML file that holds everything instead of a folder.
    overwrite : bool
        Whether an existing page is replaced.
    title : str
    """

    channel: int | str | None = None
    scene: int | str | None = None
    time: int | None = None
    axes: str | None = None
    threshold: float | None = None
    data_type: str | None = None
    workers: int | None = None
    single_file: bool = False
    overwrite: bool = False
    title: str = "Review"


@dataclass(frozen=True)
class Reviewed:
    """A page that was written.

    Attributes
    ----------
    page : Path
        The HTML file.
    images : int
    bytes : int
        Of everything.
    failures : tuple of (Path, Failure)
        Images that could not be shown; the page says why.
    """

    page: Path
    images: int
    bytes: int
    failures: tuple[tuple[Path, Failure], ...] = field(default=())


OnItem = Callable[[Path, "Failure | None", int, int], None]
"""Called with the raw image, what went wrong, the number done and the total."""


def _quiet(raw: Path, failure: Failure | None, done: int, total: int) -> None:
    pass


def write_review(
    path: str | os.PathLike[str],
    tracker: Tracker,
    polygons: Sequence[Polygon] = (),
    settings: ReviewSettings | None = None,
    on_item: OnItem = _quiet,
) -> Reviewed:
    """Write a page on which a person reviews segmentations, without a server or a network.

    Parameters
    ----------
    path : path-like
        A folder: ``index.html`` and a folder ``images`` beside it. With `single_file`, an HTML file.
    tracker : Tracker
        The images, their segmentations, and what is decided already.
    polygons : sequence of Polygon
        What is drawn already.
    settings : ReviewSettings, optional
    on_item : callable
        Called after each image, in this thread.

    Returns
    -------
    Reviewed

    Raises
    ------
    UsageError
        When there are no images, or several have one name, which polygons could not tell apart.
    WriteError
        When the page exists already or cannot be written.
    """
    settings = settings or ReviewSettings()
    final = Path(path)
    stems = _stems(tracker.decisions, settings)
    workers = worker_count(settings.workers, len(stems))
    drawn: dict[str, list[dict[str, Any]]] = {}
    for polygon in polygons:
        drawn.setdefault(polygon.image, []).append(_as_drawn(polygon))
    with atomic_output(final, overwrite=settings.overwrite, needed=0) as temporary:
        # In a single file the images' own files are only an intermediate result.
        with _scratch(final) if settings.single_file else nullcontext(temporary) as base:
            folder = base / _IMAGES
            folder.mkdir(parents=True)
            made = _make_items(tracker.decisions, folder, settings, workers, on_item)
            items = [
                _item(decision, stem, tracker.mode, one, drawn.get(stem, []), folder, settings.single_file)
                for decision, stem, one in zip(tracker.decisions, stems, made, strict=True)
            ]
            page = {
                "key": page_key(same_path(p) for d in tracker.decisions for p in (d.raw, *d.segmentations)),
                "mode": tracker.mode,
                "columns": _columns(tracker),
                "items": items,
            }
            html = temporary if settings.single_file else temporary / PAGE
            with open(html, "w", encoding="utf-8", newline="\n") as stream:
                inlined = _inlined(folder, made) if settings.single_file else iter(())
                write_page(stream, page, settings.title, _command(tracker), inlined)
        total = sum(f.stat().st_size for f in ([html] if settings.single_file else _files(temporary)))
    failures = tuple((d.raw, m) for d, m in zip(tracker.decisions, made) if isinstance(m, Failure))
    return Reviewed(final if settings.single_file else final / PAGE, len(items), total, failures)


@contextmanager
def _scratch(final: Path) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix=f".{final.name[:60]}.", dir=final.parent) as folder:
        yield Path(folder)


def _stems(decisions: Sequence[Decision], settings: ReviewSettings) -> list[str]:
    if not decisions:
        raise UsageError("there is no image to review")
    scene = None if settings.scene is None else str(settings.scene)
    stems = [stems_of(d.raw, settings.data_type, scene)[0] for d in decisions]
    seen: dict[str, Path] = {}
    for stem, decision in zip(stems, decisions, strict=True):
        if stem in seen:
            raise UsageError(
                f"{seen[stem]} and {decision.raw} are both called {stem}, which polygons could not tell apart: review "
                "them on pages of their own"
            )
        seen[stem] = decision.raw
    return stems


def _make_items(
    decisions: Sequence[Decision], folder: Path, settings: ReviewSettings, workers: int, on_item: OnItem
) -> list[ItemFiles | Failure]:
    sources = [
        ItemSource(
            index,
            decision.raw,
            decision.segmentations,
            folder,
            settings.channel,
            settings.scene,
            settings.time,
            settings.axes,
            settings.threshold,
        )
        for index, decision in enumerate(decisions)
    ]
    made: list[ItemFiles | Failure] = []
    for source, attempt in each_image(make_item, sources, workers):
        failure = attempt if isinstance(attempt, Failure) else None
        if failure is not None and str(source.raw) not in failure.message:
            failure = replace(failure, message=f"{source.raw}: {failure.message}")
        made.append(failure if failure is not None else attempt.value)  # type: ignore[union-attr]
        on_item(source.raw, failure, len(made), len(sources))
    return made


def _item(
    decision: Decision,
    stem: str,
    mode: Mode,
    made: ItemFiles | Failure,
    polygons: list[dict[str, Any]],
    folder: Path,
    inline: bool,
) -> dict[str, Any]:
    item: dict[str, Any] = {"stem": stem, "row": _row(decision, mode), "polygons": polygons}
    if isinstance(made, Failure):
        return {**item, "error": made.message}
    small = data_uri(folder / made.thumbnail) if inline else f"{_IMAGES}/{made.thumbnail}"
    return {**item, "shape": made.shape, "thumbnail": small}


def _row(decision: Decision, mode: Mode) -> dict[str, str]:
    """The cells of a row. Paths are absolute: files come out of the browser into another folder."""
    score = {None: "", True: "1", False: "0"}[decision.score]
    names = COLUMNS[mode]
    segmentations = [name for name in names if name.startswith("seg")]
    cells = dict(decision.extra)
    cells.update(raw=_text(decision.raw), score=score)
    cells.update(zip(segmentations, map(_text, decision.segmentations), strict=True))
    if mode == "merge":
        cells["merging_mask"] = _text(decision.merging_mask)
    cells["excluding_mask" if mode == "merge" else "mask"] = _text(decision.excluding_mask)
    return cells


def _columns(tracker: Tracker) -> list[str]:
    extra = dict.fromkeys(name for decision in tracker.decisions for name in decision.extra)
    return [*COLUMNS[tracker.mode], *extra]


def _as_drawn(polygon: Polygon) -> dict[str, Any]:
    border, *holes = polygon.rings
    return {
        "role": polygon.role,
        "points": border,
        "holes": holes,
        "planes": polygon.planes,
    }


def _inlined(folder: Path, made: Sequence[ItemFiles | Failure]) -> Iterator[str]:
    for index, one in enumerate(made):
        if isinstance(one, ItemFiles):
            yield inlined_item(index, folder, one.data, one.picture)


def _command(tracker: Tracker) -> str:
    files = "--decisions decisions.csv --polygons polygons.geojson"
    return f"fastseg curate {tracker.mode} {files} --normalize RECIPE -o TRAINING_FOLDER"


def _text(path: Path | None) -> str:
    return "" if path is None else same_path(path)


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in folder.rglob("*") if path.is_file())


def decisions_of(pairs: Sequence[Pair], known: Sequence[Decision]) -> list[Decision]:
    """A decision for every pair, in the order of the pairs: what is known of it, or an open one.

    Raises
    ------
    Problems
        Where an earlier decision is about other segmentations.
    """
    earlier = earlier_decisions([(pair.raw, pair.segmentations) for pair in pairs], known)
    return [earlier.get(same_path(pair.raw)) or Decision(pair.raw, pair.segmentations) for pair in pairs]
