"""Options that the commands of ``fastseg curate`` share."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class Excluded(StrEnum):
    """Which voxels of an excluding mask are excluded."""

    POSITIVE = "positive"
    ZERO = "zero"


RawArgument = Annotated[
    str | None,
    typer.Argument(
        metavar="[RAW]",
        help="Folder of the raw images, one image, or a table (CSV) with their segmentations.",
    ),
]
TrainOption = Annotated[
    Path, typer.Option("--output", "-o", metavar="DIR", help="Training folder; made if needed, added to.")
]
NormalizeOption = Annotated[
    str,
    typer.Option(
        "--normalize",
        "-n",
        metavar="RECIPE",
        help="Number or name of a recipe (see 'fastseg curate recipes'), or FILE.yaml:NAME.",
    ),
]
DataTypeOption = Annotated[
    str | None, typer.Option("--data-type", metavar="ENDING", help="Ending of the raw images' names.")
]
MarkOption = Annotated[
    str,
    typer.Option(metavar="TEXT", help="What names of segmentations carry after those of their images."),
]
ThresholdOption = Annotated[
    float | None,
    typer.Option(metavar="P", help="Foreground is above P, in segmentations that hold probabilities."),
]
MasksOption = Annotated[
    Path | None,
    typer.Option(metavar="DIR", help="Folder of excluding masks: <name>_excluding_mask.tiff or _mask.tiff."),
]
PolygonsOption = Annotated[
    list[Path] | None,
    typer.Option(metavar="FILE", help="Polygons (GeoJSON), as the review page exports them; repeatable."),
]
ExcludedOption = Annotated[
    Excluded | None,
    typer.Option(
        "--mask-excludes",
        help="Which voxels of excluding masks are excluded: positive ones in sort and merge, those of 0 in takeall, "
        "as in the reference.",
    ),
]
ExcludeOption = Annotated[
    str,
    typer.Option(
        "--exclude",
        metavar="RULE",
        help="Exclude voxels, too: saturated, raw>=4095, focus<0.3, planes:0-3, disagreement, or objects such as "
        "'size<50 and mean_intensity<0.1'; several with ';'.",
    ),
]
CompareOption = Annotated[
    Path | None,
    typer.Option("--compare", metavar="DIR", help="Second segmentations, for the rule 'disagreement'."),
]
SkipOption = Annotated[
    bool, typer.Option("--skip-missing", help="Leave out raw images without a segmentation.")
]
RedoOption = Annotated[
    bool, typer.Option("--redo", help="Make images again whose files or settings have changed.")
]
RelocateOption = Annotated[
    bool, typer.Option("--relocate", help="Apply decisions to the images of the same names in RAW.")
]
ProcessesOption = Annotated[
    int | None, typer.Option("--workers", metavar="N", min=1, help="Processes; one a core by default.")
]
