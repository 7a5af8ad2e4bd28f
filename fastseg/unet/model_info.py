"""What a model folder says about itself: `model.yaml`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from fastseg.errors import Problems, ReadError, UsageError
from fastseg.unet.normalization import StoredRecipe
from fastseg.unet.wording import field_problems
from fastseg.unet.yaml_file import read_yaml
from fastseg.version import __version__

FORMAT_VERSION = 1
DESCRIPTION = "model.yaml"


class Selection(BaseModel):
    """One probability map: a class of an output of the network (0 is the main output)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    output: int = Field(default=0, ge=0)
    class_: int = Field(default=1, ge=0, alias="class")

    @property
    def name(self) -> str:
        return f"output{self.output}_class{self.class_}"


class ModelInfo(BaseModel):
    """What a model says about itself; `model.yaml` holds just these fields.

    Attributes
    ----------
    format_version : int
    fastseg_version : str
        That wrote the folder.
    network : dict
        ``name`` and the network's parameters.
    normalization : str, Recipe or None
        For every channel, by name, or whole where it is from a user's file; None if the image is taken as it is.
    spacing : (z, y, x) or None
        Voxel size of the training images in micrometres.
    threshold : float or None
        On the probability of the first selection; None if none was chosen.
    selections : tuple of Selection
        What prediction gives by default.
    weights_sha256 : str
        Of names, shapes and values of the tensors.
    provenance : dict
        Free: training images, command, date, source file.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    format_version: int = FORMAT_VERSION
    fastseg_version: str = __version__
    network: dict[str, Any]
    normalization: StoredRecipe | None = None
    spacing: tuple[float, float, float] | None = None
    threshold: float | None = None
    selections: tuple[Selection, ...] = (Selection(),)
    weights_sha256: str = ""
    provenance: dict[str, Any] = Field(default_factory=dict)

    @field_validator("spacing")
    @classmethod
    def _positive(cls, value: tuple[float, ...] | None) -> tuple[float, ...] | None:
        if value is not None and not all(0 < v < float("inf") for v in value):
            raise ValueError("must hold finite numbers above 0")
        return value

    @field_validator("threshold")
    @classmethod
    def _in_range(cls, value: float | None) -> float | None:
        if value is not None and not 0 <= value < 1:
            raise ValueError("must be at least 0 and below 1, or null for probabilities")
        return value


def read_info(path: str | Path) -> ModelInfo:
    """The description of a model folder, without its weights.

    Raises
    ------
    ReadError
        If it cannot be read, or a newer version wrote it.
    Problems
        If fields are wrong.
    """
    file = Path(path) / DESCRIPTION
    try:
        found = read_yaml(file, "description of a model")
    except UsageError as error:
        raise ReadError(str(error)) from None
    version = found.get("format_version")
    if type(version) is not int or version != FORMAT_VERSION:
        given = "no format_version" if version is None else f"format_version {version!r}"
        raise ReadError(f"{file} has {given}; this fastseg ({__version__}) reads {FORMAT_VERSION}")
    return parse_info(found, str(file))


def parse_info(found: Mapping[str, Any], where: str) -> ModelInfo:
    try:
        return ModelInfo.model_validate(found)
    except ValidationError as error:
        raise Problems(where, field_problems(error, ModelInfo)) from None
