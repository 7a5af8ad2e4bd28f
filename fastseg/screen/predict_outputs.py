"""The files that a prediction gives: their names, and writing them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from fastseg.io import Image, OmeZarrStore, new_image, new_mask, output_path, write_image, write_mask
from fastseg.io.preview import write_preview, write_step_preview
from fastseg.screen.outputs import all_or_none
from fastseg.screen.predict_request import PredictPlan
from fastseg.unet.model_info import Selection


@dataclass(frozen=True)
class PredictOutputs:
    """Where the results of one stack go.

    Attributes
    ----------
    maps : dict of str to Path
        By the selection's name, the first one being the main result.
    preview : Path or None
        Of the main result.
    """

    maps: Mapping[str, Path]
    preview: Path | None = None

    @property
    def main(self) -> Path:
        return next(iter(self.maps.values()))

    def paths(self) -> list[Path]:
        """All of them, the main one first."""
        return [*self.maps.values(), *([] if self.preview is None else [self.preview])]


def plan_predict_outputs(plan: PredictPlan, stem: str, time: int | None = None) -> PredictOutputs:
    """The files that a stack gives.

    One map is ``<stem>_struct_segmentation``, as segmentations are called; several are ``<stem>_seg_<output>``, with
    ``_class<class>`` where two maps are of one output. Of a time point the stem becomes ``<stem>_T_<time>``, with at
    least three digits.

    Parameters
    ----------
    plan : PredictPlan
    stem : str
        Of the image.
    time : int, optional
        Of a time lapse.
    """
    name = stem if time is None else f"{stem}_T_{time:03d}"
    if len(plan.selections) == 1:
        maps = {plan.selections[0].name: output_path(plan.output, name, plan.suffix)}
    else:
        maps = {
            s.name: plan.output / f"{name}_{_map_name(s, plan.selections)}.{plan.suffix}"
            for s in plan.selections
        }
    return PredictOutputs(maps, plan.output / f"{name}_preview.png" if plan.request.preview else None)


def _map_name(selection: Selection, every: tuple[Selection, ...]) -> str:
    alone = sum(s.output == selection.output for s in every) == 1
    return f"seg_{selection.output}" + ("" if alone else f"_class{selection.class_}")


def write_predictions(
    plan: PredictPlan, outputs: PredictOutputs, image: Image, volume: Any, found: Mapping[str, Any]
) -> None:
    """Write everything or nothing, the main result last.

    Parameters
    ----------
    plan : PredictPlan
    outputs : PredictOutputs
    image : Image
        For its name and voxel size.
    volume : array (Z, Y, X)
        The raw voxels; like the results it may be one that reads from disk what is asked for.
    found : mapping of str to array (Z, Y, X)
        Masks or probabilities by the selection's name.

    Raises
    ------
    WriteError
        When a file cannot be written.
    """
    jobs: list[tuple[Path, Callable[[Path], object]]] = []
    if outputs.preview is not None:
        main = next(iter(outputs.maps))
        jobs.append((outputs.preview, partial(write_preview_of, plan, image, volume, found[main])))
    jobs += [(path, partial(_write_map, plan, image, found[name])) for name, path in outputs.maps.items()][
        ::-1
    ]
    written: list[Path] = []
    with all_or_none(written):
        for path, write in jobs:
            write(path)
            written.append(path)


def _write_map(plan: PredictPlan, image: Image, found: Any, path: Path) -> None:
    overwrite = plan.request.overwrite
    if plan.threshold is not None:
        write_mask(path, found, spacing=image.spacing, overwrite=overwrite)
        return
    array = _HalfPrecision(found) if plan.request.probabilities == "float16" else found
    write_image(path, array, spacing=image.spacing, name="probability", overwrite=overwrite)


class _HalfPrecision:
    """A stack in 16-bit floats, converted as it is read: probabilities have no need of more."""

    def __init__(self, array: Any) -> None:
        self.array = array
        self.shape = tuple(array.shape)
        self.ndim = len(self.shape)
        self.dtype = np.dtype(np.float16)

    def __getitem__(self, index: Any) -> np.ndarray:
        return np.asarray(self.array[index]).astype(np.float16)


def write_preview_of(plan: PredictPlan, image: Image, volume: Any, found: Any, path: Path) -> None:
    """A PNG of the image beside outlines of the mask, or beside the probabilities."""
    write = write_preview if plan.threshold is not None else write_step_preview
    write(
        path,
        volume,
        found,
        spacing=image.spacing,
        title=f"{image.stem}: {plan.model.architecture.name}, {Path(plan.request.model).name}",
        overwrite=plan.request.overwrite,
    )


def stores(
    plan: PredictPlan, outputs: PredictOutputs, image: Image, tile: tuple[int, ...]
) -> Iterator[tuple[str, AbstractContextManager[OmeZarrStore]]]:
    """OME-Zarr outputs that tiles are written to, by the selection's name, the main one first.

    Opened in this order and closed in the opposite one, the main one takes its place last.
    """
    options: dict[str, Any] = {
        "tile": tile,
        "spacing": image.spacing,
        "overwrite": plan.request.overwrite,
    }
    shape = image.shape[2:]
    for name, path in outputs.maps.items():
        if plan.threshold is not None:
            yield name, new_mask(path, shape, **options)
        else:
            yield name, new_image(path, shape, plan.request.probabilities, name="probability", **options)
