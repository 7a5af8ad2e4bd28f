"""The stacks of a file that a network is shown: channels in the order of its training, one time point or all."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from fastseg.errors import ReadError
from fastseg.io import Image, read
from fastseg.io.lazy import TczyxView
from fastseg.screen.predict_outputs import PredictOutputs, plan_predict_outputs
from fastseg.screen.predict_request import PredictPlan


@dataclass(frozen=True)
class Stack:
    """One stack to predict.

    Attributes
    ----------
    channels : tuple of Image
        In the order of the network's.
    outputs : PredictOutputs
    time : int or None
        Of a time lapse.
    """

    channels: tuple[Image, ...]
    outputs: PredictOutputs
    time: int | None = None

    @property
    def image(self) -> Image:
        """The first channel, for name and voxel size."""
        return self.channels[0]


def _length(image: Image, axis: str) -> int:
    """What a file has along an axis of which one index was chosen."""
    view = image.data
    if not isinstance(view, TczyxView) or axis not in view.axes:
        return 1
    return int(view.source.shape[view.axes.index(axis)])


def time_points(source: str, plan: PredictPlan) -> int:
    """How many time points a file has.

    Raises
    ------
    ReadError
        If it has one, or cannot be read.
    """
    request = plan.request
    first = read(source, channel=0, scene=request.scene, time=0, axes=request.axes, spacing=plan.spacing)
    count = _length(first, "T")
    if count < 2:
        raise ReadError(f"{source} has one time point: leave out --timelapse, which is for files of several")
    return count


def read_stack(source: str, plan: PredictPlan, time: int | None) -> Stack:
    """The channels of a file at a time point, lazily; None for the one that the request names.

    Raises
    ------
    ReadError, SelectionError
        As of `fastseg.io.read`.
    """
    request = plan.request
    one = partial(
        read,
        source,
        scene=request.scene,
        time=request.time if time is None else time,
        axes=request.axes,
        spacing=plan.spacing,
    )
    wanted = list(plan.channels)
    if any(isinstance(c, int) and c < 0 for c in wanted):
        count = _length(one(channel=0), "C")
        wanted = [c + count if isinstance(c, int) and -count <= c < 0 else c for c in wanted]
    channels = tuple(one(channel=c) for c in wanted)
    return Stack(channels, plan_predict_outputs(plan, channels[0].stem, time), time)
