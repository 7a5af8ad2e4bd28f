"""What is measured: operators with the speed-ups asked of them, the same at smaller sizes, and every workflow.

On a CUDA device also more operators, and workflows of each kind on a whole field that stays on the device.
"""

from dataclasses import dataclass, field
from math import prod
from typing import Any, Literal

from bench.arrays import Shape
from bench.lineup import LOOP

Kind = Literal["image", "mask"]

# Their results hang on an order of ties that the reference leaves undefined (with its order, `compat`, they are equal);
# where objects are small, the cuts between them are a large share of the mask.
UNDEFINED_ORDER = ("cetn2", "dsp", "polr2a_blob", "slc25a17", "st6gal1")
UNDEFINED_TOLERANCE = 2e-2


@dataclass(frozen=True)
class Case:
    """One operation on given arrays.

    Attributes
    ----------
    name : str
    group : str
        ``operators``, ``objects`` (one operation, growing number of objects), ``sizes``, ``workflows``, ``resident`` or
        ``unet``.
    operation : str
        Name under which contenders know it.
    inputs : tuple of str
        Arrays of `bench.arrays`.
    shape : tuple of 3 ints
    parameters : dict
        In fastseg's vocabulary.
    kind : {"image", "mask"}
        How answers are compared: by largest error, or by Dice coefficient.
    tolerance : float
        Largest error relative to the range of values, or one minus the least Dice coefficient.
    target : float
        Speed-up against the reference asked for; 0 for none.
    amount : int
        Number of objects, where a case belongs to a series of them.
    tolerances : dict
        Of contenders that are held to another one, by name.
    target_s : float
        Seconds asked for; 0 for none.
    """

    name: str
    group: str
    operation: str
    inputs: tuple[str, ...]
    shape: Shape
    parameters: dict[str, Any] = field(default_factory=dict)
    kind: Kind = "image"
    tolerance: float = 1e-5
    target: float = 0.0
    amount: int = 0
    tolerances: dict[str, float] = field(default_factory=dict)
    target_s: float = 0.0

    @property
    def key(self) -> str:
        """Name and shape: what a result is stored under."""
        return f"{self.name} @ {'x'.join(str(n) for n in self.shape)}"

    @property
    def voxels(self) -> int:
        """Voxels of one input."""
        return prod(self.shape)


# name, operation, inputs, parameters, kind, tolerance, target
_OPERATORS: list[tuple[str, str, tuple[str, ...], dict[str, Any], Kind, float, float]] = [
    ("intensity normalisation", "intensity_normalize", ("counts",), {"scaling": [1, 10]}, "image", 1e-5, 0),
    ("Gaussian 3D", "gaussian_smooth", ("unit",), {"sigma": 1.0}, "image", 1e-5, 2),
    ("Gaussian by plane", "gaussian_smooth_slices", ("unit",), {"sigma": 1.0}, "image", 1e-5, 2),
    ("edge-preserving smoothing", "edge_preserving_smooth", ("unit",), {}, "image", 1e-5, 10),
    ("spot filter 3D", "laplacian_of_gaussian", ("unit",), {"sigma": 1.0}, "image", 1e-5, 3),
    ("spot filter by plane", "laplacian_of_gaussian_slices", ("unit",), {"sigma": 1.0}, "image", 1e-5, 3),
    # single-precision eigenvalues next to a double root, where the response is steep
    ("filament filter 3D", "jerman_vesselness", ("smooth",), {"sigmas": [1.0]}, "image", 1e-3, 40),
    (
        "filament filter by plane",
        "jerman_vesselness_slices",
        ("smooth",),
        {"sigmas": [1.0]},
        "image",
        1e-3,
        30,
    ),
    (
        "hole filling 2D",
        "fill_holes",
        ("mask",),
        {"hole_min": 1, "hole_max": 400, "slices": True},
        "mask",
        0,
        3,
    ),
    (
        "hole filling 3D",
        "fill_holes",
        ("mask",),
        {"hole_min": 1, "hole_max": 400, "slices": False},
        "mask",
        0,
        3,
    ),
    ("size filter", "remove_small_objects", ("mask",), {"min_size": 20}, "mask", 0, 3),
    # pixels of equal distance leave the medial axis in an order that the reference draws at random
    ("thinning", "thin_preserving_topology", ("bodies",), {"min_thickness": 1.0, "thin": 1}, "mask", 1e-2, 5),
    # releases of scikit-image draw watershed lines at different voxels
    ("local maxima + watershed", "split_objects", ("relief", "bodies"), {}, "mask", 2e-2, 3),
]
# the reference takes no part on a device: no speed-up is asked for
_MORE_OPERATORS: list[tuple[str, str, tuple[str, ...], dict[str, Any], Kind, float, float]] = [
    ("dilation by a ball", "dilate", ("mask",), {"radius": 5}, "mask", 0, 0),
    ("Otsu's threshold", "otsu_threshold", ("unit",), {}, "image", 1e-5, 0),
    ("median", "median_threshold", ("unit",), {}, "image", 1e-5, 0),
]
FIELD: Shape = (65, 624, 924)
"""A field of the Allen Institute's microscopes at 100x."""
RESIDENT = {
    "spots": ("rab5a", 0.04),
    "filaments": ("tjp1", 0.04),
    "filaments by plane": ("tomm20", 0.04),
    "edge-preserving, filaments": ("actb", 0.15),
    "edge-preserving, filaments by plane": ("sec61b", 0.15),
    "objects": ("npm1", 0.0),
}
"""Workflows of each kind, and the seconds asked of them on a data-centre GPU."""
_OBJECTS = (10, 100, 2_000, 10_000, 100_000)
_SIZED = ("Gaussian 3D", "edge-preserving smoothing", "filament filter 3D", "size filter")


def operators(shape: Shape) -> list[Case]:
    """Operators with a target."""
    return [
        Case(name, "operators", operation, inputs, shape, parameters, kind, tolerance, target)
        for name, operation, inputs, parameters, kind, tolerance, target in _OPERATORS
    ]


def more_operators(shape: Shape) -> list[Case]:
    """Operators that are measured on CUDA devices only."""
    return [
        Case(name, "operators", operation, inputs, shape, parameters, kind, tolerance, target)
        for name, operation, inputs, parameters, kind, tolerance, target in _MORE_OPERATORS
    ]


def resident(shape: Shape) -> list[Case]:
    """Workflows from counts to mask, both on the device."""
    return [
        Case(
            f"resident {kind} ({name})",
            "resident",
            "workflow",
            ("counts",),
            shape,
            {"name": name},
            "mask",
            5e-4,
            target_s=seconds,
        )
        for kind, (name, seconds) in RESIDENT.items()
    ]


def objects(shape: Shape) -> list[Case]:
    """Masked-object threshold at rising numbers of objects; volumes too small for a number leave it out."""
    return [
        Case(
            f"masked-object threshold, {count} objects",
            "objects",
            "masked_object_threshold",
            (f"objects-{count}",),
            shape,
            {"method": "triangle", "min_size": 5},
            "mask",
            5e-4,
            60 if count == 2_000 else 0,
            count,
        )
        for count in _OBJECTS
        if prod(shape) / count >= 150
    ]


def sizes(shape: Shape) -> list[Case]:
    """Some operators on a half and a quarter of the shape along every axis."""
    smaller = [tuple(max(4, n // part) for n in shape) for part in (4, 2)]
    return [
        Case(name, "sizes", operation, inputs, small, parameters, kind, tolerance)  # type: ignore[arg-type]
        for small in smaller
        for name, operation, inputs, parameters, kind, tolerance, _ in _OPERATORS
        if name in _SIZED
    ]


def workflows(shape: Shape, names: list[str]) -> list[Case]:
    """Library workflows on counts, array to array."""
    return [
        Case(
            f"workflow {name}",
            "workflows",
            "workflow",
            ("counts",),
            shape,
            {"name": name},
            "mask",
            UNDEFINED_TOLERANCE if name in UNDEFINED_ORDER else 5e-4,
            3,
        )
        for name in names
    ]


def networks(shape: Shape, on_device: bool = False) -> list[Case]:
    """Predictions with published networks; those of `unet_xy`, which cost more, on half the rows and columns.

    The default patches begin at multiples of the pooling stride, which moves values beside the reference's: only with
    its own patches are answers compared closely.
    """
    half: Shape = (max(4, shape[0] * 4 // 5), *(max(4, n // 2) for n in shape[1:]))  # type: ignore[assignment]
    found = []
    for network, on in (("unet_xy_zoom", shape), ("unet_xy", half)):
        for what, parameters, tolerance, target in (
            ("", {"mode": "aligned"}, 1e-4, 2),
            (", bfloat16", {"mode": "aligned", "precision": "bfloat16"}, 2e-2, 0),
            (", reference's patches", {"mode": "compat"}, 1e-4, 0),
            *([(", tf32", {"mode": "aligned", "precision": "tf32"}, 2e-2, 0)] if on_device else []),
        ):
            name = f"prediction {network}{what}"
            loose = {LOOP: 1.0} if parameters["mode"] == "aligned" else {}
            parameters = {"network": network, **parameters}
            case = Case(
                name, "unet", "predict", ("unit",), on, parameters, "image", tolerance, target, 0, loose
            )
            found.append(case)
    return found


def small_networks(shape: Shape) -> list[Case]:
    """The same with a network that takes no time."""
    parameters = {
        "network": "residual_unet",
        "mode": "compat",
        "params": {"width": 4, "levels": 2},
        "patch": [24, 64, 64],
    }
    aligned = {**parameters, "mode": "aligned"}
    return [
        Case("prediction, small", "unet", "predict", ("unit",), shape, parameters, "image", 1e-4),
        Case(
            "prediction, small, aligned",
            "unet",
            "predict",
            ("unit",),
            shape,
            aligned,
            "image",
            1e-4,
            0,
            0,
            {LOOP: 1.0},
        ),
    ]
