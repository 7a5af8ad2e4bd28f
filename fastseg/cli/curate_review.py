"""``fastseg curate quality`` and ``fastseg curate review``: sorting by figures, and a page for a person."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fastseg.cli.console import amount, print_lines
from fastseg.cli.curate_options import (
    DataTypeOption,
    MarkOption,
    ProcessesOption,
    SkipOption,
    ThresholdOption,
)
from fastseg.cli.guard import DEBUG_HINT, guarded, say_error, settings
from fastseg.cli.options import (
    AxesOption,
    ChannelOption,
    DebugOption,
    OverwriteOption,
    SceneOption,
    TimeOption,
)

if TYPE_CHECKING:
    from fastseg.curation.matching import Pair
    from fastseg.curation.tracker import Tracker
    from fastseg.curation.workers import Failure

RawArgument = Annotated[str, typer.Argument(metavar="RAW", help="Folder of the raw images, or one image.")]
SegArgument = Annotated[str, typer.Argument(metavar="SEG", help="Folder of their segmentations.")]
Seg2Argument = Annotated[
    str | None, typer.Argument(metavar="[SEG2]", help="Folder of second segmentations, for merging.")
]


def register(app: typer.Typer) -> None:
    """Add both commands to ``fastseg curate``."""
    context = {"help_option_names": ["-h", "--help"]}
    app.command(context_settings=context)(quality)
    app.command(context_settings=context)(review)


@guarded
def quality(
    raw: RawArgument,
    seg: SegArgument,
    output: Annotated[
        Path,
        typer.Option("--output", "-o", metavar="FILE", help="Decisions (CSV); scores in it are kept."),
    ],
    seg2: Seg2Argument = None,
    model: Annotated[
        str | None,
        typer.Option(
            metavar="DIR", help="Folder of a model's predictions (masks or probabilities) to compare with."
        ),
    ] = None,
    model_threshold: Annotated[
        float,
        typer.Option(
            "--model-threshold", metavar="P", help="Foreground of predicted probabilities is above P."
        ),
    ] = 0.5,
    accept: Annotated[
        float | None,
        typer.Option(
            "--auto-accept", metavar="Q", help="Score images of at least this quality (0 to 1) as good."
        ),
    ] = None,
    reject: Annotated[
        float | None,
        typer.Option("--auto-reject", metavar="Q", help="Score images below this quality as bad."),
    ] = None,
    redo: Annotated[
        bool,
        typer.Option("--redo", help="Decide anew what an earlier run decided automatically."),
    ] = False,
    table: Annotated[Path | None, typer.Option(metavar="FILE", help="Write all figures, too (CSV).")] = None,
    threshold: ThresholdOption = None,
    channel: ChannelOption = None,
    scene: SceneOption = None,
    time: TimeOption = None,
    axes: AxesOption = None,
    data_type: DataTypeOption = None,
    mark: MarkOption = "_struct_segmentation",
    skip_missing: SkipOption = False,
    workers: ProcessesOption = None,
    debug: DebugOption = False,
) -> None:
    """Measure how good segmentations may be, and sort out the clear cases.

    Images that differ from their batch, have little contrast at the borders of their masks, or disagree with a second
    segmentation or a prediction have a low quality (0 to 1). Rows are in order of doubt: those that a person should
    see come first.

    fastseg curate quality raw/ seg/ -o decisions.csv --auto-accept 0.9 --auto-reject 0.1

    Exit code: 0 if all went well, 1 if some images failed, 2 if the request was wrong.
    """
    settings.debug = settings.debug or debug
    from fastseg.curation.matching import match_all, missing_segmentations
    from fastseg.curation.quality_batch import Limits, QualitySource, decide, measure_images, write_table
    from fastseg.curation.tracker import Tracker, write_tracker

    limits = Limits(accept, reject)
    before = _tracker(output, 1 if seg2 is None else 2) if output.exists() else None
    pairs = _pairs(raw, seg, seg2, data_type, mark, scene, skip_missing)
    predicted: dict[Path, Path] = {}
    if model is not None:
        found = match_all(raw, [model], data_type, scene=scene)
        if found.missing and not skip_missing:
            raise missing_segmentations(raw, found.missing)
        predicted = {pair.raw: pair.segmentations[0] for pair in found.pairs}
    sources = [
        QualitySource(
            p.raw,
            p.segmentations,
            predicted.get(p.raw),
            channel,
            scene,
            time,
            axes,
            threshold,
            model_threshold,
        )
        for p in pairs
    ]
    watch = _Watch("measured")
    measured = measure_images(sources, workers, watch)
    known = before.decisions if before else ()
    decisions = decide(measured, known, limits, redo)
    spelling = before.spelling if before else {}
    write_tracker(output, Tracker("sort" if seg2 is None else "merge", tuple(decisions), spelling))
    if table is not None:
        write_table(table, measured)
    scores = [d.score for d in decisions]
    print_lines(
        f"{output}: {scores.count(True)} good, {scores.count(False)} bad, "
        f"{amount(scores.count(None), 'image')} to review"
    )
    raise typer.Exit(watch.conclude())


@guarded
def review(
    raw: RawArgument,
    seg: SegArgument,
    output: Annotated[
        Path,
        typer.Option(
            "--output", "-o", metavar="DIR|FILE", help="Folder of the page; a file with --single-file."
        ),
    ],
    seg2: Seg2Argument = None,
    decisions: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Decisions to start from (CSV), as of 'fastseg curate quality'."),
    ] = None,
    polygons: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Polygons to start from (GeoJSON).")
    ] = None,
    single_file: Annotated[
        bool, typer.Option("--single-file", help="Write one HTML file that holds all pictures, too.")
    ] = False,
    title: Annotated[str | None, typer.Option(metavar="TEXT", help="Title of the page.")] = None,
    threshold: ThresholdOption = None,
    channel: ChannelOption = None,
    scene: SceneOption = None,
    time: TimeOption = None,
    axes: AxesOption = None,
    data_type: DataTypeOption = None,
    mark: MarkOption = "_struct_segmentation",
    skip_missing: SkipOption = False,
    workers: ProcessesOption = None,
    overwrite: OverwriteOption = False,
    debug: DebugOption = False,
) -> None:
    """Write a page on which a person marks segmentations good or bad and draws areas to merge or exclude.

    The folder can be copied anywhere; index.html opens in a browser without a server or a network. The page exports
    decisions.csv and polygons.geojson.

    fastseg curate review raw/ seg/ -o review/ --decisions decisions.csv

    Exit code: 0 if all went well, 1 if some images failed, 2 if the request was wrong.
    """
    settings.debug = settings.debug or debug
    from fastseg.curation.polygons import read_polygons
    from fastseg.curation.review import ReviewSettings, write_review
    from fastseg.curation.review.build import decisions_of
    from fastseg.curation.tracker import Tracker
    from fastseg.io.atomic import check_absent

    check_absent(output, overwrite)
    known = _tracker(decisions, 1 if seg2 is None else 2) if decisions is not None else None
    drawn = read_polygons(polygons) if polygons is not None else ()
    pairs = _pairs(raw, seg, seg2, data_type, mark, scene, skip_missing)
    rows = decisions_of(pairs, known.decisions if known else ())
    wanted = ReviewSettings(
        channel=channel,
        scene=scene,
        time=time,
        axes=axes,
        threshold=threshold,
        data_type=data_type,
        workers=workers,
        single_file=single_file,
        overwrite=overwrite,
        title=title or f"Review of {Path(raw).name}",
    )
    watch = _Watch("ready to review")
    made = write_review(
        output, Tracker("sort" if seg2 is None else "merge", tuple(rows)), drawn, wanted, watch
    )
    print_lines(
        f"{made.page}: {amount(made.images, 'image')}, {made.bytes / 1e6:.1f} MB; open it in a browser"
    )
    raise typer.Exit(watch.conclude())


def _pairs(
    raw: str,
    seg: str,
    seg2: str | None,
    data_type: str | None,
    mark: str,
    scene: str | None,
    skip_missing: bool,
) -> list[Pair]:
    from fastseg.curation.matching import find_pairs

    segs = [seg] if seg2 is None else [seg, seg2]
    return find_pairs(raw, segs, data_type, mark=mark, scene=scene, skip_missing=skip_missing)


def _tracker(path: Path, segmentations: int) -> Tracker:
    from fastseg.curation.tracker import read_tracker
    from fastseg.errors import UsageError

    tracker = read_tracker(path)
    if tracker.mode != ("sort", "merge")[segmentations - 1]:
        purpose = {"sort": "sorting, with one segmentation", "merge": "merging, with two segmentations"}
        raise UsageError(
            f"{path} is a decisions file for {purpose[tracker.mode]} an image; {segmentations} were given"
        )
    return tracker


class _Watch:
    """Tells of images as they are done, and in the end of those that failed."""

    def __init__(self, done: str) -> None:
        self.done = done
        self.failures: list[Failure] = []
        self.total = 0
        self._bar: Any = None

    def __call__(self, raw: Path, failure: Failure | None, done: int, total: int) -> None:
        from fastseg.cli.console import on_terminal

        self.total = total
        if failure is not None:
            self.failures.append(failure)
        if on_terminal():
            print(f"\r{done} of {total} {self.done}", end="" if done < total else "\n", flush=True)
        elif total > 1:
            print_lines(f"[{done}/{total}] {raw.name}{': failed' if failure else ''}")

    def conclude(self) -> int:
        """Report what failed, and give the exit code."""
        import sys

        for failure in self.failures:
            if settings.debug:
                print(failure.traceback, file=sys.stderr, end="")
            say_error(failure.message)
        if self.failures and not settings.debug and not all(f.expected for f in self.failures):
            print(f"({DEBUG_HINT})", file=sys.stderr)
        if self.failures:
            print_lines(f"{self.total - len(self.failures)} of {self.total} images {self.done}")
        return 1 if self.failures else 0
