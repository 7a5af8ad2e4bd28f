"""What can be wrong with a data set, found before the first step and all at once."""

from __future__ import annotations

from collections.abc import Sequence

from fastseg.unet.graph import Triple
from fastseg.unet.training.items import TrainingItem


def check_items(
    items: Sequence[TrainingItem],
    *,
    channels: int,
    classes: Sequence[int],
    size_in: Triple,
    size_out: Triple,
    quantise: bool = False,
) -> tuple[str, ...]:
    """Read everything once and report what is wrong.

    Parameters
    ----------
    items : sequence of TrainingItem
    channels : int
        That the network takes.
    classes : sequence of int
        Of each output; the truth has to be below all of them.
    size_in, size_out : (z, y, x)
        Of the patches.
    quantise : bool
        `AugmentationSettings.quantise`: images outside [0, 1] are then errors.

    Returns
    -------
    tuple of str
        Warnings.

    Raises
    ------
    Problems
        Every error of every item.
    """
    raise NotImplementedError
