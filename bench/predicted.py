"""Times that the CUDA kernels should take by the bytes they move and the instructions they issue. Nothing is measured.

    python -m bench.predicted    the predictions in docs/kernels.md

A kernel takes the larger of two times: its bytes over the bandwidth of memory, and its instructions over the rate at
which a device issues them. Launches, the host between them, and memory that is not reached at its full rate come on
top. Bytes count what has to come from or go to memory once a voxel, instructions those of the machine code (`sm_90`) on
the way of most voxels.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

from bench.cases import FIELD

BANDWIDTH = 3.35e12
"""Bytes a second of an H100 (SXM, HBM3)."""
ISSUE = 132 * 4 * 32 * 1.755e9
"""Instructions of single threads a second: 132 multiprocessors, four warps each at 1.755 GHz."""
RUNS = 1 / 40
"""Runs of objects a voxel: more than masks of microscopy have."""
INSIDE = 0.1
"""Voxels inside objects."""


@dataclass(frozen=True)
class Kernel:
    """One launch over a stack.

    Attributes
    ----------
    what : str
    block : str
        Threads of a block, and what a thread does.
    bytes : float
        Moved a voxel.
    instructions : float
        Issued a voxel; 0 where they are too few to matter.
    """

    what: str
    block: str
    bytes: float
    instructions: float = 0.0

    def seconds(self, voxels: int) -> float:
        """What a launch over so many voxels should take."""
        return voxels * max(self.bytes / BANDWIDTH, self.instructions / ISSUE)


_VOXEL, _ROW, _RUN, _LINE = "32 x 4 x 2, a voxel", "128, a row", "128, a run", "32 x 8, a voxel"
_BOX, _TILE, _OBJECT = "32 x 8, rows of a box", "32 x 8, a tile of columns", "128, an object"
_PLANES = "32 x 16, a voxel"

KERNELS: dict[str, Kernel] = {
    "statistics.start": Kernel("extremes of nothing", "1", 0),
    "statistics.extremes": Kernel("minimum and maximum", _BOX, 4),
    "statistics.fixed_point": Kernel("sums for mean and deviation, exact", _BOX, 4),
    "statistics.stretch": Kernel("clip and stretch", "128, a voxel", 8),
    "counting.histogram": Kernel("256 bins", _BOX, 4),
    "counting.wide_histogram": Kernel("256 bins, range beyond float32", _BOX, 4),
    "counting.upper": Kernel("upper halves of the values' bits", _BOX, 4),
    "counting.lower": Kernel("lower halves, given two upper ones", _BOX, 4),
    "gaussian.smooth": Kernel("Gaussian along three axes", _TILE, 8),
    "gaussian.laplacian": Kernel("Laplacian of Gaussian", _TILE, 8),
    "gaussian.along": Kernel("correlation along x, wide kernels", "32 x 8, 4 voxels", 8),
    "gaussian.across": Kernel("correlation along y or z, wide kernels", "32 x 8, 4 voxels", 8),
    "diffusion.gradient": Kernel("sum of squared gradients, exact", _BOX, 4),
    "diffusion.inverse": Kernel("factor of the fluxes", "1", 0),
    "diffusion.step": Kernel("a step of anisotropic diffusion", _TILE, 8),
    "vesselness.eigen_3d": Kernel("deciding eigenvalue of the Hessian", _VOXEL, 8),
    "vesselness.eigen_2d": Kernel("larger eigenvalue within planes", _VOXEL, 8),
    "vesselness.response": Kernel("ridge response", _VOXEL, 8),
    "vesselness.eigenvalue_3d": Kernel("one eigenvalue", _VOXEL, 8),
    "vesselness.eigenvalue_2d": Kernel("one eigenvalue within planes", _VOXEL, 8),
    "vesselness.fill": Kernel("start of minima", "64, a row", 0),
    "vesselness.from_order": Kernel("minima as numbers", "64, a row", 0),
    "morphology.pack": Kernel("a bit a voxel", "32 x 4 x 2, 8 voxels", 1 + 1 / 8),
    "morphology.unpack": Kernel("a byte a voxel", _VOXEL, 1 + 1 / 8),
    "morphology.widen": Kernel("a step along x", "128, 32 voxels", 1 / 4),
    "morphology.join": Kernel("rows of one width of a footprint", "128, 32 voxels", 1 / 4),
    "morphology.erode_image": Kernel("minimum of face neighbours", _VOXEL, 8),
    "labelling.count": Kernel("runs of rows", _ROW, 1 / 8),
    "labelling.edges": Kernel("where runs begin and end", _ROW, 1 / 8 + 12 * RUNS),
    "labelling.join": Kernel("union of runs of two rows", _ROW, 24 * RUNS),
    "labelling.shorten": Kernel("paths to roots", _RUN, 8 * RUNS),
    "labelling.mark_roots": Kernel("roots", _RUN, 8 * RUNS),
    "labelling.number": Kernel("numbers, sizes, first voxels", _ROW, 20 * RUNS),
    "runs.paint": Kernel("a byte of a component to its voxels", _LINE, 1 + 12 * RUNS),
    "runs.mark_sides": Kernel("components at the border", _ROW, 8 * RUNS),
    "runs.bound": Kernel("bounding boxes", _ROW, 12 * RUNS),
    "object_runs.mark": Kernel("bits where labels begin and end", "32 x 8, 8 voxels", 4 + 1 / 4),
    "object_runs.count": Kernel("runs of rows", _ROW, 1 / 8),
    "object_runs.places": Kernel("edges of runs", _ROW, 1 / 8 + 4 * RUNS),
    "object_runs.names": Kernel("labels of runs", _ROW, 16 * RUNS),
    "object_runs.extremes": Kernel("minimum and maximum of objects", _LINE, 4 * INSIDE + 12 * RUNS),
    "object_runs.values": Kernel("extremes as numbers", _OBJECT, 0),
    "thresholds.sizes": Kernel("voxels of objects", _ROW, 12 * RUNS),
    "thresholds.count": Kernel("histograms of objects", _LINE, 8 * INSIDE + 12 * RUNS),
    "thresholds.keep": Kernel("bins that hold voxels", _OBJECT, 0),
    "thresholds.otsu": Kernel("Otsu of objects", _OBJECT, 0),
    "distance.along_rows": Kernel("squared distances along x", _VOXEL, 4 + 1 / 8),
    "distance.across_rows": Kernel("squared distances along y", _VOXEL, 8),
    "distance.across_planes": Kernel("squared distances along z", _VOXEL, 8),
    "distance.before_the_first": Kernel("distances without any background", _VOXEL, 0),
    "peaks.candidates": Kernel("maxima of windows in objects", _VOXEL, 5 + 4 * INSIDE),
    "peaks.thin": Kernel("flat objects", _VOXEL, 2),
    "peaks.keep_first": Kernel("first of candidates that touch", _VOXEL, 1),
    "peaks.dilate_by_faces": Kernel("dilation by the face cross", _VOXEL, 2),
    "split.open": Kernel("state before the flood", _LINE, 12 + 4 * INSIDE),
    "split.count": Kernel("voxels at each distance", _LINE, 4 + 8 * INSIDE),
    "split.gather": Kernel("seeds", _LINE, 4 + 4 * INSIDE),
    "split.flood": Kernel("flood of an object, by one thread", "1 or 32, an object", 500 * INSIDE),
    "split.close": Kernel("lines", _LINE, 4),
    "thinning.open": Kernel("background around pixels", _VOXEL, 3),
    "thinning.walk": Kernel("pixels of the medial axis", _PLANES, 1 + 5 * INSIDE),
    "thinning.outside": Kernel("pixels off the axis", _VOXEL, 2),
    "thinning.further": Kernel("pixels far from the axis", _VOXEL, 5),
    "thinning.peel": Kernel("outer layer without what is far", _VOXEL, 3 + 1 / 8),
    "CuPy": Kernel("comparison of an image with a number", "CuPy's", 5),
    "CuPy, copy": Kernel("copy", "CuPy's", 8),
    "CuPy, maximum": Kernel("maximum projection", "CuPy's", 4),
}

Passes = list[tuple[str, float]]

_LABELS: Passes = [
    ("morphology.pack", 1),
    ("labelling.count", 1),
    ("labelling.edges", 1),
    ("labelling.join", 2),
    ("labelling.shorten", 2),
    ("labelling.mark_roots", 1),
    ("labelling.number", 1),
]
_SIZE_FILTER: Passes = [*_LABELS, ("runs.paint", 1)]
_STRETCH: Passes = [("statistics.extremes", 1), ("statistics.fixed_point", 1), ("statistics.stretch", 1)]
_DIFFUSION: Passes = [
    ("statistics.extremes", 1),
    ("diffusion.gradient", 10),
    ("diffusion.inverse", 10),
    ("diffusion.step", 10),
]
_FILAMENTS: Passes = [
    ("gaussian.smooth", 1),
    ("vesselness.fill", 1),
    ("vesselness.eigen_3d", 1),
    ("vesselness.from_order", 1),
    ("vesselness.response", 1),
    ("CuPy", 1),
]
_FILAMENTS_BY_PLANE: Passes = [
    ("CuPy, maximum", 1),
    ("CuPy, copy", 1),
    ("gaussian.smooth", 1),
    ("vesselness.fill", 1),
    ("vesselness.eigen_2d", 1),
    ("vesselness.from_order", 1),
    ("vesselness.response", 1),
    ("CuPy", 1),
]

WORKFLOWS: dict[str, Passes] = {
    "rab5a": [
        ("statistics.extremes", 2),
        ("statistics.stretch", 1),
        ("gaussian.smooth", 1),
        ("gaussian.laplacian", 1),
        ("CuPy", 1),
        *_SIZE_FILTER,
        *_SIZE_FILTER,
    ],
    "tjp1": [*_STRETCH, ("gaussian.smooth", 1), *_FILAMENTS, *_SIZE_FILTER],
    "tomm20": [*_STRETCH, ("gaussian.smooth", 1), *_FILAMENTS_BY_PLANE, *_SIZE_FILTER],
    "actb": [*_STRETCH, *_DIFFUSION, *_FILAMENTS, *_FILAMENTS, ("CuPy", 0.6), *_SIZE_FILTER],
    "sec61b": [*_STRETCH, *_DIFFUSION, *_FILAMENTS_BY_PLANE, *_SIZE_FILTER, *_SIZE_FILTER, *_SIZE_FILTER],
}
"""Launches of the workflows of `bench.cases.RESIDENT`."""


def seconds_of(workflow: str, voxels: int = prod(FIELD)) -> float:
    """The sum of a workflow's kernels."""
    return sum(times * KERNELS[name].seconds(voxels) for name, times in WORKFLOWS[workflow])
