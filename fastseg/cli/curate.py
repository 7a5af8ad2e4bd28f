"""``fastseg curate``: training sets from segmentations that are good, merged, or given."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from fastseg.cli.console import print_table
from fastseg.cli.curate_options import (
    CompareOption,
    DataTypeOption,
    ExcludedOption,
    ExcludeOption,
    MarkOption,
    MasksOption,
    NormalizeOption,
    PolygonsOption,
    ProcessesOption,
    RawArgument,
    RedoOption,
    RelocateOption,
    SkipOption,
    ThresholdOption,
    TrainOption,
)
from fastseg.cli.curate_review import register
from fastseg.cli.curate_watch import CurationWatch
from fastseg.cli.guard import guarded, settings
from fastseg.cli.options import (
    AxesOption,
    ChannelOption,
    DebugOption,
    SceneOption,
    SpacingOption,
    TimeOption,
)
from fastseg.cli.parsing import length_triple

curate = typer.Typer(
    help="Make training sets: sort, merge and convert segmentations, and review them.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@curate.command()
@guarded
def sort(
    output: TrainOption,
    normalize: NormalizeOption,
    decisions: Annotated[
        Path, typer.Option(metavar="FILE", help="Decisions (CSV): the reference's tracker, or a review's.")
    ],
    raw: RawArgument = None,
    seg: Annotated[str | None, typer.Argument(metavar="[SEG]", help="Folder of their segmentations.")] = None,
    masks: MasksOption = None,
    polygons: PolygonsOption = None,
    mask_excludes: ExcludedOption = None,
    exclude: ExcludeOption = "",
    compare: CompareOption = None,
    channel: ChannelOption = None,
    scene: SceneOption = None,
    time: TimeOption = None,
    axes: AxesOption = None,
    spacing: SpacingOption = None,
    threshold: ThresholdOption = None,
    data_type: DataTypeOption = None,
    mark: MarkOption = "_struct_segmentation",
    skip_missing: SkipOption = False,
    relocate: RelocateOption = False,
    redo: RedoOption = False,
    workers: ProcessesOption = None,
    debug: DebugOption = False,
) -> None:
    """Make training images of the segmentations that were found good.

    Adds img_NNN.ome.tif, img_NNN_CM.ome.tif and img_NNN_GT.ome.tif for every image of score 1 that is not there
    yet, and writes its number into the decisions. Where there are no decisions yet, a file without scores is made.

    fastseg curate sort raw/ seg/ --decisions decisions.csv --normalize minmax -o training/

    Exit code: 0 if all went well, 1 if some images failed, 2 if the request was wrong, 130 after Ctrl-C.
    """
    settings.debug = settings.debug or debug
    _curate(
        mode="sort",
        output=output,
        normalization=normalize,
        decisions=decisions,
        raw=raw,
        segmentations=() if seg is None else (seg,),
        compared=compare,
        masks=masks,
        polygons=tuple(polygons or ()),
        polarity=None if mask_excludes is None else mask_excludes.value,
        excluding=exclude,
        channel=channel,
        scene=scene,
        time=time,
        axes=axes,
        spacing=length_triple(spacing, "--spacing"),
        threshold=threshold,
        data_type=data_type,
        mark=mark,
        skip_missing=skip_missing,
        relocate=relocate,
        redo=redo,
        workers=workers,
    )


@curate.command()
@guarded
def merge(
    output: TrainOption,
    normalize: NormalizeOption,
    raw: RawArgument = None,
    seg1: Annotated[
        str | None, typer.Argument(metavar="[SEG1]", help="Folder of the base segmentations.")
    ] = None,
    seg2: Annotated[
        str | None, typer.Argument(metavar="[SEG2]", help="Folder of the segmentations to patch them with.")
    ] = None,
    decisions: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Decisions (CSV); without them every image is taken.")
    ] = None,
    take: Annotated[
        str,
        typer.Option(
            "--take",
            metavar="RULE",
            help="Add objects of SEG2: 'size>=200 and overlap<0.1', 'points:FILE'; 'replace: ...' removes objects of "
            "SEG1 that they touch; several with ';'.",
        ),
    ] = "",
    merging_masks: Annotated[
        Path | None,
        typer.Option(
            "--merging-masks",
            metavar="DIR",
            help="Folder of merging masks, <name>_merging_mask.tiff or _mask.tiff: SEG2 where they are positive.",
        ),
    ] = None,
    masks: MasksOption = None,
    polygons: PolygonsOption = None,
    mask_excludes: ExcludedOption = None,
    exclude: ExcludeOption = "",
    channel: ChannelOption = None,
    scene: SceneOption = None,
    time: TimeOption = None,
    axes: AxesOption = None,
    spacing: SpacingOption = None,
    threshold: ThresholdOption = None,
    data_type: DataTypeOption = None,
    mark: MarkOption = "_struct_segmentation",
    skip_missing: SkipOption = False,
    relocate: RelocateOption = False,
    redo: RedoOption = False,
    workers: ProcessesOption = None,
    debug: DebugOption = False,
) -> None:
    """Make training images of two segmentations each, by drawn areas or by objects.

    The label is SEG1 outside of merging masks and SEG2 inside, with the objects of SEG2 that --take chooses.

    fastseg curate merge raw/ base/ patch/ --take 'size>=200 and overlap<0.1' --normalize minmax -o training/

    Exit code: 0 if all went well, 1 if some images failed, 2 if the request was wrong, 130 after Ctrl-C.
    """
    settings.debug = settings.debug or debug
    _curate(
        mode="merge",
        output=output,
        normalization=normalize,
        decisions=decisions,
        raw=raw,
        segmentations=tuple(folder for folder in (seg1, seg2) if folder is not None),
        taking=take,
        merging_masks=merging_masks,
        masks=masks,
        polygons=tuple(polygons or ()),
        polarity=None if mask_excludes is None else mask_excludes.value,
        excluding=exclude,
        channel=channel,
        scene=scene,
        time=time,
        axes=axes,
        spacing=length_triple(spacing, "--spacing"),
        threshold=threshold,
        data_type=data_type,
        mark=mark,
        skip_missing=skip_missing,
        relocate=relocate,
        redo=redo,
        workers=workers,
    )


@curate.command()
@guarded
def takeall(
    raw: Annotated[
        str,
        typer.Argument(
            metavar="RAW",
            help="Folder of the raw images, one image, or a table (CSV: raw,seg,mask) with their segmentations.",
        ),
    ],
    output: TrainOption,
    normalize: NormalizeOption,
    seg: Annotated[
        str | None, typer.Argument(metavar="[SEG]", help="Folder of their segmentations (ground truth).")
    ] = None,
    masks: MasksOption = None,
    polygons: PolygonsOption = None,
    mask_excludes: ExcludedOption = None,
    exclude: ExcludeOption = "",
    compare: CompareOption = None,
    channel: ChannelOption = None,
    scene: SceneOption = None,
    time: TimeOption = None,
    axes: AxesOption = None,
    spacing: SpacingOption = None,
    threshold: ThresholdOption = None,
    data_type: DataTypeOption = None,
    mark: MarkOption = "_struct_segmentation",
    skip_missing: SkipOption = False,
    redo: RedoOption = False,
    workers: ProcessesOption = None,
    debug: DebugOption = False,
) -> None:
    """Make training images of every segmentation, such as existing ground truth.

    Excluding masks are the other way round than in sort and merge, as in the reference: voxels of 0 are excluded,
    unless --mask-excludes says otherwise. Inside polygons voxels are excluded in every command.

    fastseg curate takeall raw/ truth/ --mark _gt --normalize minmax -o training/

    Exit code: 0 if all went well, 1 if some images failed, 2 if the request was wrong, 130 after Ctrl-C.
    """
    settings.debug = settings.debug or debug
    _curate(
        mode="takeall",
        output=output,
        normalization=normalize,
        raw=raw,
        segmentations=() if seg is None else (seg,),
        compared=compare,
        masks=masks,
        polygons=tuple(polygons or ()),
        polarity=None if mask_excludes is None else mask_excludes.value,
        excluding=exclude,
        channel=channel,
        scene=scene,
        time=time,
        axes=axes,
        spacing=length_triple(spacing, "--spacing"),
        threshold=threshold,
        data_type=data_type,
        mark=mark,
        skip_missing=skip_missing,
        redo=redo,
        workers=workers,
    )


@curate.command()
@guarded
def recipes(
    file: Annotated[
        Path | None, typer.Argument(metavar="[FILE]", help="A file of your own recipes (YAML), to check.")
    ] = None,
) -> None:
    """List the normalisation recipes, or check and list those of a file."""
    from fastseg.unet.normalization import RECIPES
    from fastseg.unet.recipe_file import read_recipes

    found = RECIPES if file is None else read_recipes(file)
    rows = [
        (
            "" if recipe.number is None else str(recipe.number),
            recipe.name if file is None else f"{file}:{recipe.name}",
            recipe.summary,
            ", ".join(operation.operator for operation in recipe.operations),
        )
        for recipe in found
    ]
    print_table(("number", "name", "summary", "operations"), rows, wrap=("summary", "operations"))


register(curate)


def _curate(**fields: Any) -> None:
    from fastseg.curation.request import CurationRequest
    from fastseg.curation.run import curate as run

    watch = CurationWatch()
    try:
        report = run(CurationRequest(**fields), watch)
    except KeyboardInterrupt as stop:
        raise type(stop)(
            f"stopped: {sum(o.ok for o in watch.outcomes)} of {watch.total} images are in {fields['output']}, nothing "
            "half-written is seen by training; the same command goes on"
        ) from None
    raise typer.Exit(watch.conclude(report, str(fields.get("decisions") or "")))
