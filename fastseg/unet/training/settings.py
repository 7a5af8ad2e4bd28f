"""What can be said about a training run: one typed tree, which is the configuration file and what a run keeps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from fastseg.unet.graph import Triple
from fastseg.unet.model_info import Selection
from fastseg.unet.normalization import StoredRecipe
from fastseg.unet.training.augmentation import AugmentationSettings
from fastseg.unet.training.sampling import SamplingSettings

FORMAT_VERSION: Literal[1] = 1
DEFAULT_NETWORK = "residual_unet"

Precision = Literal["auto", "float32", "tf32", "bfloat16", "float16"]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class DataSettings(_Section):
    """What is trained with, and what of it is held back.

    Attributes
    ----------
    folder : str
        As of `fastseg.unet.training.items.find_items`.
    leaveout : list of number or str, optional
        As of `fastseg.unet.training.split.split_items`; by default a fifth, or nothing of a single image.
    normalization : str or Recipe, optional
        The recipe that the images were normalised with. It is not applied; the model says it to prediction. By default
        the one that curation noted in the folder.
    spacing : (z, y, x), optional
        In micrometres; the images' own by default.
    memory : int
        Bytes of decoded images that are held in memory, in each process.
    """

    folder: str = Field(default="", description="folder or CSV file of the training images")
    leaveout: tuple[float | str, ...] | None = Field(
        default=None, description="images to validate with: a share, indices or names; [] for none"
    )
    normalization: StoredRecipe | None = Field(
        default=None,
        description="recipe that the images were normalised with, for prediction; as curation noted it by default",
    )
    spacing: tuple[float, float, float] | None = Field(
        default=None, description="voxel size z, y, x in micrometres; the images' own by default"
    )
    memory: int = Field(default=2**30, ge=2**20, description="bytes of decoded images held in memory")

    @field_validator("spacing")
    @classmethod
    def _positive(cls, value: tuple[float, ...] | None) -> tuple[float, ...] | None:
        if value is not None and not all(0 < v < float("inf") for v in value):
            raise ValueError("must hold finite numbers above 0")
        return value


class LossSettings(_Section):
    """What is minimised, see `fastseg.unet.training.losses`."""

    name: Literal["nll", "dice_cross_entropy", "focal"] = Field(
        default="nll", description="nll (weighted by the cost map), dice_cross_entropy or focal"
    )
    weights: tuple[Annotated[float, Field(ge=0, allow_inf_nan=False)], ...] | None = Field(
        default=None, description="of the network's outputs; 1 for all by default"
    )
    divide_by: Literal["voxels", "costs"] = Field(
        default="voxels", description="mean over all voxels, or over the sum of costs"
    )
    dice_weight: float = Field(
        default=1.0, gt=0, le=1000, description="of the Dice part of dice_cross_entropy"
    )
    gamma: float = Field(default=2.0, ge=0, le=10, description="of focal: how little right voxels count")

    @field_validator("weights")
    @classmethod
    def _some_weight(cls, value: tuple[float, ...] | None) -> tuple[float, ...] | None:
        if value is not None and not sum(value) > 0:
            raise ValueError("at least one weight has to be above 0")
        return value

    @field_validator("gamma")
    @classmethod
    def _steep_enough(cls, value: float) -> float:
        if 0 < value < 1:
            raise ValueError("must be 0, or 1 and more: between them gradients are infinite")
        return value


class OptimizerSettings(_Section):
    """How weights follow the gradient: AdamW (Loshchilov and Hutter, ICLR 2019) or Adam (Kingma and Ba, ICLR 2015).

    Attributes
    ----------
    decay_all : bool
        Biases and scales of normalisations decay too.
    inert_biases : bool
        Train the biases of convolutions whose batch is normalised next: they have no effect.
    reset_every_epoch : bool
        Forget Adam's moments at the start of every epoch.
    average : float, optional
        Decay of an exponential moving average of the weights, which is then validated and kept in place of them.
    """

    name: Literal["adamw", "adam"] = Field(
        default="adamw", description="adamw, or adam (decay in the gradient)"
    )
    learning_rate: float = Field(default=1e-3, gt=0, le=10, description="the highest of the run")
    weight_decay: float = Field(default=0.01, ge=0, le=10, description="pull of weights towards 0")
    betas: tuple[Annotated[float, Field(ge=0, lt=1)], Annotated[float, Field(ge=0, lt=1)]] = Field(
        default=(0.9, 0.999), description="decay of the moments"
    )
    eps: float = Field(default=1e-8, gt=0, le=1, description="added to the root of the second moment")
    clip_norm: float | None = Field(default=12.0, gt=0, description="longest gradient; null for any")
    decay_all: bool = Field(default=False, description="biases and norm scales decay too")
    inert_biases: bool = Field(default=False, description="train biases that normalisation cancels")
    reset_every_epoch: bool = Field(default=False, description="forget the moments at every epoch")
    average: float | None = Field(
        default=None, gt=0, lt=1, description="decay of a moving average of the weights, such as 0.999"
    )


class ScheduleSettings(_Section):
    """How the learning rate runs, see `fastseg.unet.training.schedule`."""

    name: Literal["cosine", "plateau", "constant"] = Field(
        default="cosine", description="cosine, plateau (lowered when validation stops improving) or constant"
    )
    warmup_epochs: float = Field(default=1.0, ge=0, le=1000, description="epochs of linear rise; parts too")
    final: float = Field(default=0.01, ge=0, le=1, description="lowest learning rate in parts of the highest")
    patience: int = Field(default=5, ge=0, description="of plateau: validations without a better value")
    factor: float = Field(default=0.3, gt=0, lt=1, description="of plateau: what the rate is multiplied by")


class ValidationSettings(_Section):
    """How held-back images are judged: predicted whole, compared where their cost is not 0.

    Attributes
    ----------
    every : int
        Epochs 0, `every`, 2 `every` ... and the last.
    outputs : tuple of Selection, optional
        Every class above 0 of the main output by default.
    threshold : float
        On probabilities; the model's own later.
    metric : {"dice", "iou", "loss"}
        What the best model, the plateau and early stopping go by.
    patience : int, optional
        Stop after this many validations without a better value.
    """

    every: int = Field(default=5, ge=1, description="epochs between validations")
    outputs: tuple[Selection, ...] | None = Field(
        default=None, description="output and class pairs; the classes of the main output by default"
    )
    threshold: float = Field(default=0.5, ge=0, lt=1, description="of masks; also the model's own")
    metric: Literal["dice", "iou", "loss"] = Field(default="dice", description="what 'best' goes by")
    patience: int | None = Field(
        default=None, ge=1, description="stop after so many validations without a better value"
    )


class SaveSettings(_Section):
    """What is kept of a run, and when.

    Attributes
    ----------
    every : int
        Epochs between two states to resume from (and ``last.model``).
    keep_every : int
        A model of its own of epochs 0, `keep_every`, 2 `keep_every` ... and the last; 0 for none.
    reference : bool
        Keep these as the reference's ``checkpoint_epoch_<epoch>.pytorch``.
    samples : int
        Held-back images that the report shows.
    """

    every: int = Field(default=1, ge=1, description="epochs between states to resume from")
    keep_every: int = Field(default=0, ge=0, description="epochs between models that are kept; 0 for none")
    reference: bool = Field(default=False, description="keep them as checkpoint_epoch_<epoch>.pytorch")
    samples: int = Field(default=3, ge=0, le=32, description="held-back images shown in the report")


class TrainSettings(_Section):
    """A training run.

    Attributes
    ----------
    network : dict
        ``name``, and parameters as far as they are not the network's defaults. Without ``channels`` the images decide.
    init : str, optional
        Weights to start from: a model folder or a checkpoint.
    patch : (z, y, x), optional
        Input of the network; chosen for the images by default.
    batch : int, optional
        Patches of a step, of all processes together; chosen for the memory by default.
    epochs : int
        Counted from 0 in all files.
    device : str
    devices : int
        Processes that train together: with GPUs, one on each.
    """

    format_version: Literal[1] = FORMAT_VERSION
    data: DataSettings = DataSettings()
    network: dict[str, Any] = Field(
        default_factory=lambda: {"name": DEFAULT_NETWORK}, description="name and parameters"
    )
    init: str | None = Field(default=None, description="model folder or checkpoint to start from")
    patch: Triple | None = Field(
        default=None, description="input of the network; made for the images by default"
    )
    batch: int | None = Field(
        default=None, ge=1, description="patches of a step, all processes together; by memory by default"
    )
    epochs: int = Field(default=100, ge=1, le=1_000_000, description="numbered from 0")
    seed: int = Field(default=0, ge=0, lt=2**63, description="of weights, split, patches and augmentation")
    precision: Precision = Field(
        default="auto", description="float32 on the CPU, mixed 16 bits on GPUs, or one by name"
    )
    device: str = Field(default="auto", description="auto, cpu, cuda or cuda:N")
    devices: int = Field(default=1, ge=1, le=1024, description="processes that train together")
    loss: LossSettings = LossSettings()
    optimizer: OptimizerSettings = OptimizerSettings()
    schedule: ScheduleSettings = ScheduleSettings()
    sampling: SamplingSettings = SamplingSettings()
    augmentation: AugmentationSettings = AugmentationSettings()
    validation: ValidationSettings = ValidationSettings()
    save: SaveSettings = SaveSettings()

    @field_validator("network", mode="before")
    @classmethod
    def _named(cls, value: Any) -> Any:
        """A name alone is a network with its defaults; parameters alone are those of the default network."""
        if isinstance(value, str):
            return {"name": value}
        return {"name": DEFAULT_NETWORK, **value} if isinstance(value, Mapping) else value

    @model_validator(mode="after")
    def _divisible(self) -> TrainSettings:
        if self.batch is not None and self.batch % self.devices:
            raise ValueError(f"batch: {self.batch} patches cannot be shared evenly by {self.devices} devices")
        return self
