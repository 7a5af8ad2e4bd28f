"""Predicting a volume: normalise, run the network, threshold; in memory or tile by tile, with one answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from time import perf_counter
from typing import Any

import numpy as np

from fastseg.errors import InputError
from fastseg.tiling import ArrayVolume, Engine, Volume
from fastseg.tiling.journal import Journal
from fastseg.types import Array
from fastseg.unet.fit import Fitted, fit_tile
from fastseg.unet.job import Job, OnStage, Predicted, quiet
from fastseg.unet.model import Model
from fastseg.unet.settings import PredictSettings
from fastseg.unet.wording import counted


def predict_volumes(
    model: Model,
    channels: Sequence[Volume],
    settings: PredictSettings | None = None,
    engine: Engine | None = None,
    *,
    outputs: Mapping[str, Volume] | None = None,
    on_stage: OnStage = quiet,
    fitted: Fitted | None = None,
    journal: Journal | None = None,
) -> Predicted:
    """Predict a volume that need not fit into memory.

    Parameters
    ----------
    model : Model
    channels : sequence of Volume (z, y, x)
        float32, never written to.
    settings : PredictSettings, optional
    engine : Engine, optional
        On the CPU; its tile, executor and storage decide where and how the work is done. In memory by default.
    outputs : mapping of str to Volume, optional
        Where maps are written, by the selection's name.
    on_stage : callable
        Called before every stage.
    fitted : Fitted, optional
        Patches and tiles; by default they are made for the engine's tile.
    journal : Journal, optional
        Of an earlier run of the same prediction, whose finished stages are not run again. Without a resize only.

    Returns
    -------
    Predicted
        The result does not depend on the engine.

    Raises
    ------
    InputError
        If the image is unsuitable.
    UsageError, Problems
        If settings do not fit.
    """
    settings, engine = settings or PredictSettings(), engine or Engine()
    started = perf_counter()
    _check_channels(model, channels)
    shape = tuple(channels[0].shape)
    job = Job(
        model,
        settings,
        fitted or fit_tile(model, shape, settings, engine.tile),
        engine,
        outputs or {},
        on_stage,
        journal,
    )
    found = job.direct(channels) if settings.resize is None else job.resized(channels)
    found.seconds = perf_counter() - started
    return found


def _check_channels(model: Model, channels: Sequence[Volume]) -> None:
    count = model.architecture.params.channels
    if len(channels) != count:
        raise InputError(
            f"the image has {counted(len(channels), 'channel')}; this model takes {count}: select them with --channel"
        )
    shapes = {tuple(c.shape) for c in channels}
    if len(shapes) > 1 or len(min(shapes)) != 3:
        raise InputError(f"channels must be (Z, Y, X) stacks of one shape; they have {sorted(shapes)}")
    if 0 in min(shapes):
        raise InputError(f"the image has shape {min(shapes)}; no axis may be empty")


def predict(model: Model, image: Array, **settings: Any) -> Predicted:
    """Predict an image in memory.

    Parameters
    ----------
    model : Model
    image : array (Z, Y, X) or (C, Z, Y, X)
        Any real dtype, used as float32; never modified.
    **settings
        Fields of `PredictSettings`; and ``engine``.

    Returns
    -------
    Predicted

    Raises
    ------
    InputError
        If the image is unsuitable.
    UsageError, Problems
        If settings do not fit.
    """
    engine = settings.pop("engine", None)
    array = np.asarray(image)
    if array.ndim not in (3, 4):
        raise InputError(f"the image is {array.ndim}-D {array.shape}; (Z, Y, X) or (C, Z, Y, X) is needed")
    if array.dtype.kind not in "buif":
        raise InputError(f"the image has dtype {array.dtype}; real numbers are needed")
    stacks = array[None] if array.ndim == 3 else array
    with np.errstate(over="ignore"):  # what is beyond float32 becomes infinite, and is refused as such
        volumes = [ArrayVolume(np.ascontiguousarray(s, dtype=np.float32)) for s in stacks]
    return predict_volumes(model, volumes, PredictSettings(**settings), engine)
