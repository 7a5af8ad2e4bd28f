"""The reference's configuration files for training: checked as a whole, and turned into settings of this program."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Any

from fastseg.errors import FastsegError, Problems
from fastseg.unet.networks.registry import NETWORKS, Architecture, architecture
from fastseg.unet.training.augmentation import AugmentationSettings
from fastseg.unet.training.config import parse_settings
from fastseg.unet.training.sampling import SamplingSettings
from fastseg.unet.training.settings import TrainSettings

_NEEDED = (
    *("model", "nchannel", "nclass", "size_in", "size_out", "checkpoint_dir", "resume", "learning_rate"),
    *("weight_decay", "epochs", "save_every_n_epoch", "loss", "loader", "validation"),
)
_PARTS: Mapping[str, tuple[str, ...]] = {
    "model": ("name",),
    "loss": ("name", "loss_weight"),
    "loader": ("name", "datafolder", "batch_size", "PatchPerBuffer", "epoch_shuffle", "NumWorkers"),
    "validation": ("metric", "leaveout", "OutputCh", "validate_every_n_epoch"),
}
_OPTIONAL: Mapping[str, tuple[str, ...]] = {
    "": ("device",),
    "model": ("zoom_ratio",),
    "loss": ("ignore_index",),
}
_LOADERS = ("default", "focus")


def is_reference_config(found: Mapping[str, Any]) -> bool:
    """Whether a mapping is a configuration of the reference: most of its keys are keys of that one alone."""
    ours = set(TrainSettings.model_fields)
    theirs = {*_NEEDED, *_OPTIONAL[""]}
    keys = set(found)
    return len(keys & (theirs - ours)) > len(keys & (ours - theirs))


@dataclass(frozen=True)
class ReferenceRun:
    """What a configuration of the reference asks for.

    Attributes
    ----------
    settings : TrainSettings
    folder : Path
        Its ``checkpoint_dir``.
    notes : tuple of str
        Keys that have no effect, and what is done otherwise than in the reference.
    """

    settings: TrainSettings
    folder: Path
    notes: tuple[str, ...]


def read_reference(found: Mapping[str, Any], where: str, *, compat: bool = False) -> ReferenceRun:
    """Take a configuration of the reference.

    Parameters
    ----------
    found : mapping
    where : str
        What to call it.
    compat : bool
        Train as the reference does where it is corrected on purpose: Adam is forgotten at every epoch, patches go on
        with zeros beyond the image, images and costs are brought to 8 bits.

    Raises
    ------
    Problems
        Everything that is wrong with it: keys that are missing or unknown, values that are not allowed.
    """
    config = _Config(found)
    tree = config.tree(compat)
    if config.problems:
        raise Problems(where, tuple(dict.fromkeys(config.problems)))  # what is looked at twice is told once
    notes = config.notes
    if not compat:
        notes.append(
            "one optimizer for the whole run, patches mirrored at the border of the image and not brought to 8 "
            "bits; --compat trains as the reference does"
        )
    return ReferenceRun(parse_settings(tree, where), Path(found["checkpoint_dir"]), tuple(notes))


class _Config:
    """Takes a configuration apart and collects what is wrong with it."""

    def __init__(self, found: Mapping[str, Any]) -> None:
        self.found = found
        self.problems: list[str] = []
        self.notes: list[str] = []
        self._check_keys(found, _NEEDED, _OPTIONAL[""], "")
        for name, needed in _PARTS.items():
            part = found.get(name)
            if isinstance(part, Mapping):
                self._check_keys(part, needed, _OPTIONAL.get(name, ()), f"{name}.")
            elif name in found:
                self.problems.append(f"{name}: {part!r} is no mapping of keys to values")

    def tree(self, compat: bool) -> dict[str, Any]:
        """Settings as a tree; problems may have been found."""
        network = self._network()
        epochs = self._whole("epochs", 0)
        loader = self._choice("loader.name", _LOADERS)
        sampling = SamplingSettings.reference(
            loader or "default",
            self._whole("loader.PatchPerBuffer", 1) or 1,
            self._whole("loader.epoch_shuffle", 1) or 1,
        )
        augmentation = AugmentationSettings.reference()
        if not compat:
            sampling = sampling.model_copy(update={"extension": "mirror"})
            augmentation = augmentation.model_copy(update={"quantise": False})
        self._text("checkpoint_dir")
        self._choice("loss.name", ("Aux",))
        self._note_what_does_nothing()
        return {
            "data": {"folder": self._text("loader.datafolder"), "leaveout": self._leaveout()},
            "network": network,
            "init": self._text("resume", optional=True),
            "patch": self._numbers("size_in", 3),
            "batch": self._whole("loader.batch_size", 1),
            "epochs": (epochs or 0) + 1,
            "device": self._device(),
            "loss": {"name": "nll", "weights": self._numbers("loss.loss_weight", 3, whole=False)},
            "optimizer": {
                "name": "adam",
                "learning_rate": self._number("learning_rate"),
                "weight_decay": self._number("weight_decay"),
                "clip_norm": None,
                "decay_all": True,
                "inert_biases": compat,
                "reset_every_epoch": compat,
            },
            "schedule": {"name": "constant", "warmup_epochs": 0},
            "sampling": sampling.model_dump(),
            "augmentation": augmentation.model_dump(),
            "precision": "float32" if compat else "auto",
            "validation": {
                "every": self._whole("validation.validate_every_n_epoch", 1),
                "outputs": self._outputs(),
            },
            "save": {"keep_every": self._whole("save_every_n_epoch", 1), "reference": True},
        }

    def _check_keys(
        self, found: Mapping[Any, Any], needed: Sequence[str], optional: Sequence[str], where: str
    ) -> None:
        self.problems += [f"{where}{key}: is missing" for key in needed if key not in found]
        known = ", ".join([*needed, *optional])
        self.problems += [
            f"{where}{key}: there is no such key (known: {known})"
            for key in found
            if key not in needed and key not in optional
        ]

    def _get(self, place: str) -> Any:
        """The value at ``key`` or ``part.key``; None if it is missing, which is a problem already where it matters."""
        part: Any = self.found
        for key in place.split("."):
            part = part.get(key) if isinstance(part, Mapping) else None
        return part

    def _has(self, place: str) -> bool:
        part, _, key = place.rpartition(".")
        holder = self._get(part) if part else self.found
        return isinstance(holder, Mapping) and key in holder

    def _wrong(self, place: str, wanted: str) -> None:
        if self._has(place):
            self.problems.append(f"{place}: {self._get(place)!r} is {wanted}")

    def _text(self, place: str, optional: bool = False) -> str | None:
        value = self._get(place)
        if value is None and optional:
            return None
        if isinstance(value, str) and value:
            return value
        self._wrong(place, "no text")
        return None

    def _choice(self, place: str, choices: Sequence[str]) -> str | None:
        value = self._get(place)
        if value in choices:
            return str(value)
        self._wrong(place, f"unknown ({' or '.join(choices)})")
        return None

    def _number(self, place: str) -> float | None:
        found = as_number(self._get(place))
        if found is None or found < 0:
            self._wrong(place, "no number of at least 0")
            return None
        return found

    def _whole(self, place: str, least: int) -> int | None:
        found = as_number(self._get(place))
        if found is None or found != int(found) or found < least:
            self._wrong(place, f"no whole number of at least {least}")
            return None
        return int(found)

    def _numbers(self, place: str, count: int, whole: bool = True) -> list[Any] | None:
        value = self._get(place)
        found = [as_number(n) for n in value] if isinstance(value, list) else []
        kind = "whole numbers of at least 1" if whole else "numbers of at least 0"
        right = [n for n in found if n is not None and (n >= 1 and n == int(n) if whole else n >= 0)]
        if len(right) != count or len(found) != count:
            self._wrong(place, f"no list of {count} {kind}")
            return None
        return [int(n) for n in right] if whole else right

    def _network(self) -> dict[str, Any]:
        names = {spec.config_name: name for name, spec in NETWORKS.items() if spec.config_name}
        name = self._choice("model.name", tuple(names))
        params: dict[str, Any] = {}
        if self._has("model.zoom_ratio"):
            ratio = self._whole("model.zoom_ratio", 1)
            if name == "unet_xy_zoom" and ratio:
                params["zoom_ratio"] = ratio
            elif name:
                self.notes.append(f"model.zoom_ratio has no effect on {name}")
        channels, classes = self._whole("nchannel", 1), self._numbers("nclass", 3)
        if channels:
            params["channels"] = channels
        if classes:
            params["classes"] = classes
        if name:
            self._check_sizes(names[name], params)
        return {"name": names.get(name or "", "unet_xy"), **params}

    def _check_sizes(self, name: str, params: Mapping[str, Any]) -> None:
        size_in, size_out = self._numbers("size_in", 3), self._numbers("size_out", 3)
        if not size_in:
            return
        try:
            arch: Architecture = architecture(name, params)
            arch.sizes.check((size_in[0], size_in[1], size_in[2]))
        except FastsegError as error:
            self.problems.append(f"size_in: {error}")
            return
        expected = list(arch.sizes.size_out((size_in[0], size_in[1], size_in[2])))
        if size_out and size_out != expected:
            self.problems.append(
                f"size_out: {size_out} does not belong to size_in {size_in}: it is {expected}"
            )

    def _leaveout(self) -> list[float]:
        value = self._get("validation.leaveout")
        metric = self._get("validation.metric")
        if value == [] or (metric is None and self._has("validation.metric")):
            self.notes.append("validation.leaveout is empty or validation.metric null: no image is held back")
            return []
        found = [as_number(n) for n in value] if isinstance(value, list) else [None]
        right = [n for n in found if n is not None]
        if len(right) != len(found):
            self._wrong("validation.leaveout", "no list of numbers")
        if len(right) > 1 or not all(0 < n < 1 for n in right):  # fractions of indices are cut off
            return [float(int(n)) for n in right]
        return right

    def _outputs(self) -> list[dict[str, int]] | None:
        value = self._get("validation.OutputCh")
        right = isinstance(value, list) and all(
            isinstance(n, int) and not isinstance(n, bool) and n >= 0 for n in value
        )
        if not right or not value or len(value) % 2:
            self._wrong("validation.OutputCh", "no list of pairs of output and class")
            return None
        return [{"output": t, "class": c} for t, c in zip(value[::2], value[1::2], strict=True)]

    def _device(self) -> str:
        value = self._get("device")
        if value is None:
            return "auto"
        return self._text("device") or "auto"

    def _note_what_does_nothing(self) -> None:
        if self._get("loss.ignore_index") is not None:
            self.notes.append("loss.ignore_index has no effect, as in the reference: use the cost map")
        metric = self._get("validation.metric")
        if metric not in (None, "default"):
            self.notes.append(f"validation.metric {metric!r} has no effect: Dice and IoU are measured")
        self._whole("loader.NumWorkers", 0)


def as_number(value: Any) -> float | None:
    """A finite number, also where YAML reads it as text, such as ``1e-5``; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        found = float(value)
    except ValueError:
        return None
    return found if isfinite(found) else None
