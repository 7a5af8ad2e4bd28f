"""Times that the CUDA kernels should take by the bytes they move and the instructions they issue. Nothing is measured.

    python -m bench.predicted    the predictions in docs/kernels.md

A kernel takes the larger of two times: its bytes over the bandwidth of memory, and its instructions over the rate at
which a device issues them. Launches, the host between them, and memory that is not reached at its full rate come on
top. Bytes count what has to come from or go to memory once a voxel; instructions are those of the machine code for 9.0
on the way of most voxels, counted roughly, of smoothing at a sigma of 1.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from math import prod

from bench.cases import FIELD, RESIDENT

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
    shared : str
        Bytes of shared memory that a launch asks for, beside what the kernel declares.
    """

    what: str
    block: str
    bytes: float
    instructions: float = 0.0
    shared: str = ""

    def seconds(self, voxels: int) -> float:
        """What a launch over so many voxels should take."""
        return voxels * max(self.bytes / BANDWIDTH, self.instructions / ISSUE)


_VOXEL, _ROW, _RUN, _LINE = "32 x 4 x 2, a voxel", "128, a row", "128, a run", "32 x 8, a voxel"
_BOX, _TILE, _OBJECT = "32 x 8, rows of a box", "32 x 8, a tile of columns", "128, an object"
_PLANES = "32 x 16, a voxel"

KERNELS: dict[str, Kernel] = {
    "statistics.start": Kernel("extremes of nothing", "1", 0),
    "statistics.extremes": Kernel("minimum and maximum", _BOX, 4, 20),
    "statistics.fixed_point": Kernel("sums for mean and deviation, exact", _BOX, 4, 40),
    "statistics.stretch": Kernel("clip and stretch", "128, a voxel", 8, 150),
    "counting.histogram": Kernel("256 bins", _BOX, 4, 64),
    "counting.wide_histogram": Kernel("256 bins, range beyond float32", _BOX, 4, 50),
    "counting.upper": Kernel("upper halves of the values' bits", _BOX, 4, 42),
    "counting.lower": Kernel("lower halves, given two upper ones", _BOX, 4, 90),
    "gaussian.smooth": Kernel("Gaussian along three axes", _TILE, 8, 480, "20 496 at sigma 1"),
    "gaussian.laplacian": Kernel("Laplacian of Gaussian", _TILE, 8, 1100, "46 848 at sigma 1"),
    "gaussian.along": Kernel(
        "correlation along x, wide kernels", "32 x 8, 4 voxels", 8, 350, "6 016 at radius 30"
    ),
    "gaussian.across": Kernel(
        "correlation along y or z, wide kernels", "32 x 8, 4 voxels", 8, 250, "268 at radius 30"
    ),
    "diffusion.gradient": Kernel("sum of squared gradients, exact", _BOX, 4, 47),
    "diffusion.inverse": Kernel("factor of the fluxes", "1", 0),
    "diffusion.step": Kernel("a step of anisotropic diffusion", _TILE, 8, 250),
    "vesselness.eigen_3d": Kernel("deciding eigenvalue of the Hessian", _VOXEL, 8, 900),
    "vesselness.eigen_2d": Kernel("larger eigenvalue within planes", _VOXEL, 8, 480),
    "vesselness.response": Kernel("ridge response", _VOXEL, 8, 230),
    "vesselness.eigenvalue_3d": Kernel("one eigenvalue", _VOXEL, 8, 830),
    "vesselness.eigenvalue_2d": Kernel("one eigenvalue within planes", _VOXEL, 8, 430),
    "vesselness.fill": Kernel("start of minima", "64, a row", 0),
    "vesselness.from_order": Kernel("minima as numbers", "64, a row", 0),
    "morphology.pack": Kernel("a bit a voxel", "32 x 4 x 2, 8 voxels", 1 + 1 / 8, 30),
    "morphology.unpack": Kernel("a byte a voxel", _VOXEL, 1 + 1 / 8, 130),
    "morphology.widen": Kernel("a step along x", "128, 32 voxels", 1 / 4, 5),
    "morphology.join": Kernel("rows of one width of a footprint", "128, 32 voxels", 1 / 4, 5),
    "morphology.erode_image": Kernel("minimum of face neighbours", _VOXEL, 8, 200),
    "labelling.count": Kernel("runs of rows", _ROW, 1 / 8),
    "labelling.edges": Kernel("where runs begin and end", _ROW, 1 / 8 + 12 * RUNS),
    "labelling.join": Kernel("union of runs of two rows", _ROW, 24 * RUNS),
    "labelling.shorten": Kernel("paths to roots", _RUN, 8 * RUNS),
    "labelling.mark_roots": Kernel("roots", _RUN, 8 * RUNS),
    "labelling.number": Kernel("numbers, sizes, first voxels", _ROW, 20 * RUNS),
    "runs.paint": Kernel("a byte of a component to its voxels", _LINE, 1 + 12 * RUNS, 200),
    "runs.mark_sides": Kernel("components at the border", _ROW, 8 * RUNS),
    "runs.bound": Kernel("bounding boxes", _ROW, 12 * RUNS),
    "object_runs.mark": Kernel("bits where labels begin and end", "32 x 8, 8 voxels", 4 + 1 / 4, 42),
    "object_runs.count": Kernel("runs of rows", _ROW, 1 / 8),
    "object_runs.places": Kernel("edges of runs", _ROW, 1 / 8 + 4 * RUNS),
    "object_runs.names": Kernel("labels of runs", _ROW, 16 * RUNS),
    "object_runs.extremes": Kernel("minimum and maximum of objects", _LINE, 4 * INSIDE + 12 * RUNS, 180),
    "object_runs.values": Kernel("extremes as numbers", _OBJECT, 0),
    "thresholds.sizes": Kernel("voxels of objects", _ROW, 12 * RUNS),
    "thresholds.count": Kernel("histograms of objects", _LINE, 8 * INSIDE + 12 * RUNS, 190),
    "thresholds.keep": Kernel("bins that hold voxels", _OBJECT, 0),
    "thresholds.otsu": Kernel("Otsu of objects", _OBJECT, 0),
    "distance.along_rows": Kernel("squared distances along x", _VOXEL, 4 + 1 / 8, 160),
    "distance.across_rows": Kernel("squared distances along y", _VOXEL, 8, 100),
    "distance.across_planes": Kernel("squared distances along z", _VOXEL, 8, 100),
    "distance.before_the_first": Kernel("distances without any background", _VOXEL, 0),
    "peaks.candidates": Kernel("maxima of windows in objects", _VOXEL, 5 + 4 * INSIDE, 60),
    "peaks.thin": Kernel("flat objects", _VOXEL, 2, 50),
    "peaks.keep_first": Kernel("first of candidates that touch", _VOXEL, 1, 50),
    "peaks.dilate_by_faces": Kernel("dilation by the face cross", _VOXEL, 2, 200),
    "split.open": Kernel("state before the flood", _LINE, 12 + 4 * INSIDE, 60),
    "split.count": Kernel("voxels at each distance", _LINE, 4 + 8 * INSIDE, 50),
    "split.gather": Kernel("seeds", _LINE, 4 + 4 * INSIDE, 50),
    "split.flood": Kernel("flood of an object, by one thread", "1 or 32, an object", 500 * INSIDE),
    "split.close": Kernel("lines", _LINE, 4, 50),
    "thinning.open": Kernel("background around pixels", _VOXEL, 3, 60),
    "thinning.walk": Kernel("pixels of the medial axis", _PLANES, 1 + 5 * INSIDE, 60),
    "thinning.outside": Kernel("pixels off the axis", _VOXEL, 2, 50),
    "thinning.further": Kernel("pixels far from the axis", _VOXEL, 5, 50),
    "thinning.peel": Kernel("outer layer without what is far", _VOXEL, 3 + 1 / 8, 100),
    "CuPy": Kernel("comparison of an image with a number", "CuPy's", 5),
    "CuPy, or": Kernel("union of two masks", "CuPy's", 3),
    "CuPy, copy": Kernel("copy", "CuPy's", 8),
    "CuPy, maximum": Kernel("maximum projection", "CuPy's", 4),
}

NAMES = {
    "smooth": "gaussian.smooth",
    "laplacian": "gaussian.laplacian",
    "along": "gaussian.along",
    "across": "gaussian.across",
    "extremes": "statistics.extremes",
    "fixed point": "statistics.fixed_point",
    "stretch": "statistics.stretch",
    "histogram": "counting.histogram",
    "wide histogram": "counting.wide_histogram",
    "upper halves": "counting.upper",
    "lower halves": "counting.lower",
    "step": "diffusion.step",
    "gradient": "diffusion.gradient",
    "inverse": "diffusion.inverse",
    "start": "statistics.start",
    **{
        name: f"vesselness.{name}"
        for name in (
            *("eigen_3d", "eigen_2d", "response", "eigenvalue_3d", "eigenvalue_2d"),
            *("fill", "from_order"),
        )
    },
}
"""What the kernels of filters are called where they are compiled without a device."""


@dataclass(frozen=True)
class Pass:
    """Launches of one kernel.

    Attributes
    ----------
    kernel : str
    times : int
    share : float
        Of the stack's voxels that a launch goes over.
    """

    kernel: str
    times: int = 1
    share: float = 1.0


def _passes(*names: str, share: float = 1.0) -> list[Pass]:
    return [Pass(name, 1, share) for name in names]


def _labels(neighbours: int) -> list[Pass]:
    """Components, with so many neighbouring rows before each row."""
    return [
        *_passes("morphology.pack", "labelling.count", "labelling.edges"),
        Pass("labelling.join", neighbours),
        Pass("labelling.shorten", neighbours),
        *_passes("labelling.mark_roots", "labelling.number"),
    ]


_SIZE_FILTER = [*_labels(2), Pass("runs.paint")]
_BY_PLANE = [*_labels(1), Pass("runs.paint")]
_EXTREMES = _passes("statistics.start", "statistics.extremes")
_STRETCH = [*_EXTREMES, *_passes("statistics.fixed_point", "statistics.stretch")]
_DIFFUSION = [
    *_EXTREMES,
    *(Pass(f"diffusion.{name}", 10) for name in ("gradient", "inverse", "step")),
]
_FILAMENTS = _passes(
    "gaussian.smooth",
    *(f"vesselness.{name}" for name in ("fill", "eigen_3d", "from_order", "response")),
    "CuPy",
)
_PLANE = ("gaussian.smooth", *(f"vesselness.{name}" for name in ("fill", "eigen_2d", "from_order")))
_FILAMENTS_BY_PLANE = [
    *_passes("CuPy, maximum", "CuPy, copy", *_PLANE, "vesselness.response", "CuPy"),
    *_passes(*_PLANE, share=1 / FIELD[0]),  # the projection beside the planes
]

WORKFLOWS: dict[str, list[Pass]] = {
    "rab5a": [
        *_EXTREMES,
        *_EXTREMES,
        *_passes("statistics.stretch", "gaussian.smooth", "gaussian.laplacian", "CuPy"),
        *_BY_PLANE,
        *_SIZE_FILTER,
    ],
    "tjp1": [*_STRETCH, Pass("gaussian.smooth"), *_FILAMENTS, *_SIZE_FILTER],
    "tomm20": [*_STRETCH, Pass("gaussian.smooth"), *_FILAMENTS_BY_PLANE, *_SIZE_FILTER],
    "actb": [*_STRETCH, *_DIFFUSION, *_FILAMENTS, *_FILAMENTS, Pass("CuPy, or"), *_SIZE_FILTER],
    "sec61b": [
        *_STRETCH,
        *_DIFFUSION,
        *_FILAMENTS_BY_PLANE,
        *_SIZE_FILTER,
        *_BY_PLANE,
        *_SIZE_FILTER,
    ],
}
"""Launches of the workflows of `bench.cases.RESIDENT`."""

VOXELS = prod(FIELD)


def seconds_of(workflow: str) -> float:
    """The sum of a workflow's kernels over a whole field."""
    return sum(p.times * p.share * KERNELS[p.kernel].seconds(VOXELS) for p in WORKFLOWS[workflow])


def bytes_of(workflow: str) -> float:
    """Bytes that a workflow moves a voxel."""
    return sum(p.times * p.share * KERNELS[p.kernel].bytes for p in WORKFLOWS[workflow])


def launches_of(workflow: str) -> Counter[str]:
    """Launches of fastseg's own kernels, by name."""
    found: Counter[str] = Counter()
    for one in WORKFLOWS[workflow]:
        if not one.kernel.startswith("CuPy"):
            found[one.kernel] += one.times
    return found


def rows() -> list[str]:
    """The table of workflows."""
    lines = [
        "| workflow | kernels | bytes a voxel | by bytes alone, ms | predicted, ms | asked for, ms |",
        "|---|---|---|---|---|---|",
    ]
    for kind, (name, target) in RESIDENT.items():
        if name in WORKFLOWS:
            moved, number = bytes_of(name), launches_of(name).total()
            least = moved * VOXELS / BANDWIDTH
            times = f"{1000 * least:.1f} | {1000 * seconds_of(name):.1f} | {1000 * target:.0f}"
            lines.append(f"| {kind} ({name}) | {number} | {moved:.0f} | {times} |")
    return lines


if __name__ == "__main__":
    print("\n".join(rows()))
