"""The function table of the reference's JSON workflows: what each function id is called and takes in fastseg.

Most functions are one operator under another name. The `form` names those that need more: see `legacy_steps` for
reading and `legacy_export` for writing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any, Literal, TypeAlias

Form: TypeAlias = Literal[
    "plain",  # one operator
    "filter",  # a response, and with a cutoff its comparison
    "size",  # the parameter `method` chooses the operator
    "invert",  # an image or a mask
    "mask",  # sets voxels of an image or a mask
    "erode",  # an image or a mask
    "hessian",  # several images at once
]

CATEGORIES = ("preprocessing", "core", "postprocessing")


@dataclass(frozen=True)
class Function:
    """One function id.

    Attributes
    ----------
    id : str
        Function id in JSON files.
    operator : str
        Operator that does the same; the first of several where `form` says so.
    parameters : mapping of str to str
        Name in JSON files to name in fastseg.
    required : tuple of str
        Parameters (JSON names) without which the reference fails although the operator has a default.
    form : str
    keeps_values : bool
        The reference keeps labels and grey values, where the operator knows only masks.
    category : str
        The usual one.
    """

    id: str
    operator: str
    parameters: Mapping[str, str] = field(default_factory=dict)
    required: tuple[str, ...] = ()
    form: Form = "plain"
    keeps_values: bool = False
    category: str = "core"

    def changes_input(self, values: Mapping[str, Any]) -> bool:
        """Whether the reference writes into the function's first image, which fastseg never does."""
        if self.operator != "intensity_normalize":
            return self.form == "mask"
        scaling = values.get("scaling_param")
        single = scaling[0] if isinstance(scaling, list) and len(scaling) == 1 else None
        return not (isinstance(single, int | float) and single < 1)


_NORMALIZE = {"scaling_param": "scaling"}
_FILAMENT = {"sigmas": "sigmas", "cutoff": "cutoff"}
_SPOT = {"log_sigma": "sigma", "cutoff": "cutoff"}
_HESSIAN = {"sigma": "sigma", "scale": "scale", "whiteonblack": "white_on_black"}
_LOW = {"global_thresh_method": "method", "object_minArea": "min_size", "dilate": "dilate"}
_HIGH = {"extra_criteria": "global_check", "local_adjust": "factor"}
_PRE, _POST = "preprocessing", "postprocessing"

_ROWS = (
    Function("intensity_normalization", "intensity_normalize", _NORMALIZE, category=_PRE),
    Function("intensity_normalization_with_bound", "intensity_normalize", _NORMALIZE, category=_PRE),
    Function("intensity_normalization_min_max_with_bound", "intensity_normalize", _NORMALIZE, category=_PRE),
    Function("edge_preserving_smoothing", "edge_preserving_smooth", category=_PRE),
    Function("filament_filter_slice_by_slice", "jerman_vesselness_slices", _FILAMENT, form="filter"),
    Function(
        "size_filter",
        "remove_small_objects",
        {"min_size": "min_size", "method": "method"},
        form="size",
        category=_POST,
    ),
    Function("filament_filter_3D", "jerman_vesselness", _FILAMENT, form="filter"),
    Function(
        "gaussian_smoothing_slice_by_slice",
        "gaussian_smooth_slices",
        {"sigma": "sigma"},
        ("sigma",),
        category=_PRE,
    ),
    Function("spot_filter_3D", "laplacian_of_gaussian", _SPOT, form="filter"),
    Function("gaussian_smoothing_3D", "gaussian_smooth", {"sigma": "sigma"}, ("sigma",), category=_PRE),
    Function("spot_filter_slice_by_slice", "laplacian_of_gaussian_slices", _SPOT, form="filter"),
    Function(
        "hole_filling",
        "fill_holes",
        {"hole_min": "hole_min", "hole_max": "hole_max", "fill_2d": "slices"},
        category=_POST,
    ),
    Function("find_local_maxima", "local_maxima"),
    Function("watershed_for_cutting", "watershed_split"),
    Function("watershed_for_segmentation", "watershed", {"watershed_line": "lines"}),
    Function("prune_z_slices", "prune_slices", keeps_values=True, category=_POST),
    Function(
        "topology_preserving_thinning",
        "thin_preserving_topology",
        {"min_thickness": "min_thickness", "thin": "thin"},
    ),
    Function("masked_object_treshold_high_level", "object_otsu_threshold", _HIGH),
    Function("masked_object_treshold_low_level", "coarse_threshold", _LOW),
    Function(
        "masked_object_treshold_combined",
        "masked_object_threshold",
        {**_LOW, **_HIGH, "return_object": ""},
    ),
    Function("invert_image", "invert_image", form="invert"),
    Function("mask_image", "mask_image", {"value": "value"}, form="mask"),
    Function("merge_segmentation", "logical_or"),
    Function("segmentation_xor", "logical_xor"),
    Function(
        "generate_seeding_image",
        "seeds_for_objects",
        {"area_min": "area_min", "area_max": "area_max", "bg_seed": "background_seed"},
    ),
    Function("remove_index_object", "remove_labels"),
    Function(
        "extract_boundary_of_objects",
        "boundaries",
        {"connectivity": "connectivity", "mode": "mode"},
        category=_POST,
    ),
    Function("erosion", "erode_image", form="erode"),
    Function("compute_3d_hessian_matrix", "hessian_element", _HESSIAN, form="hessian"),
    Function("absolute_3d_hessian_eigenvalues", "hessian_eigenvalue", _HESSIAN, form="hessian"),
    Function("remove_hot_pixel", "remove_hot_pixels", category=_POST),
)

FUNCTIONS: Mapping[str, Function] = {row.id: row for row in _ROWS}
"""All functions by id, in the reference's order."""

SIZE_METHODS = {"3D": "remove_small_objects", "slice_by_slice": "remove_small_objects_slices"}
"""Operator of each `method` of ``size_filter``."""

NORMALIZATIONS = {
    1: "intensity_normalization_min_max_with_bound",
    2: "intensity_normalization",
    4: "intensity_normalization_with_bound",
}
"""The usual id for each number of scaling values; the reference takes any of them for all."""

MULTISCALE = {
    "multiscale_spots": ("spot_filter_3D", "log_sigma"),
    "multiscale_spots_slices": ("spot_filter_slice_by_slice", "log_sigma"),
    "multiscale_filaments": ("filament_filter_3D", "sigmas"),
    "multiscale_filaments_slices": ("filament_filter_slice_by_slice", "sigmas"),
}
"""Operators that unite several filters with cutoffs: the filter and its scale."""

_RIGHT_SPELLING = {row.id.replace("treshold", "threshold"): row for row in _ROWS if "treshold" in row.id}


def find_function(name: str) -> Function | None:
    """The function with this id; ``masked_object_threshold_...`` is taken as well as the reference's ``treshold``."""
    return FUNCTIONS.get(name) or _RIGHT_SPELLING.get(name)


def unknown_function(name: str) -> str:
    """The sentence for a function id that does not exist."""
    near = get_close_matches(name, FUNCTIONS, n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(near)}?" if near else f"known are {', '.join(FUNCTIONS)}"
    return f"function '{name}' is unknown: {hint}"
