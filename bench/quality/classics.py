"""Every classic workflow on a stack, judged in the held-out part: what a network has to beat."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy import ndimage

from bench.quality.stacks import Stack, dice
from fastseg.errors import FastsegError
from fastseg.workflow.load import get_workflow, library_names
from fastseg.workflow.run import run_workflow

OWN = Path(__file__).parents[2] / "docs" / "workflows"
FILLED = ", filled"


@dataclass(frozen=True)
class Classic:
    """A workflow and its Dice in the held-out part."""

    name: str
    dice: float


def classics(stack: Stack) -> list[Classic]:
    """All workflows that accept the stack, plain and with enclosed holes filled, the best first.

    The whole stack is segmented; the choice is made in the held-out part, in favour of the classics.
    """
    true = stack.labels[stack.test] > 0
    found = []
    for name in (*library_names(), *(file.stem for file in sorted(OWN.glob("*.yaml")))):
        try:
            mask = segment(stack, name)
        except FastsegError as error:
            print(f"{stack.name}: {name} refuses: {error}", flush=True)
            continue
        found.append(Classic(name, dice(mask[stack.test], true)))
        found.append(Classic(name + FILLED, dice(filled(mask)[stack.test], true)))
    return sorted(found, key=lambda c: -c.dice)


def segment(stack: Stack, name: str) -> np.ndarray:
    """The mask of a workflow, called as in the ranking."""
    plain = name.removesuffix(FILLED)
    own = OWN / f"{plain}.yaml"
    mask = (
        run_workflow(get_workflow(str(own) if own.exists() else plain), stack.image, rescale=1.0).result > 0
    )
    return filled(mask) if name.endswith(FILLED) else mask


def filled(mask: np.ndarray) -> np.ndarray:
    """Holes that are enclosed in the volume, then those enclosed in a plane."""
    solid = ndimage.binary_fill_holes(mask)
    return np.stack([ndimage.binary_fill_holes(plane) for plane in solid])
