"""From settings to a run that can begin: everything is looked at before the first step, and told at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fastseg.arrays import Device
from fastseg.errors import FastsegError, Problems, ReadError, UsageError
from fastseg.unet.graph import Triple
from fastseg.unet.model import Model, check_selections, load_model
from fastseg.unet.model_info import Selection
from fastseg.unet.networks.registry import Architecture, architecture
from fastseg.unet.normalization import Recipe
from fastseg.unet.torch_library import import_torch, torch_device
from fastseg.unet.training.checks import check_items
from fastseg.unet.training.curated import MANIFEST, recorded_recipe
from fastseg.unet.training.footprint import choose_batch, choose_patch
from fastseg.unet.training.items import find_items
from fastseg.unet.training.settings import TrainSettings
from fastseg.unet.training.split import Split, split_items
from fastseg.unet.training.stacks import ItemStacks, open_item

_SHARE = 0.2
"""Of the images that is held back when nothing is said."""

_NEAR = 0.02
"""Voxel sizes that differ by less are taken to be the same."""


@dataclass(frozen=True)
class Plan:
    """A run, checked and complete.

    Attributes
    ----------
    settings : TrainSettings
        Nothing in it is left to be chosen.
    architecture : Architecture
    split : Split
    device : Device
    precision : str
    notes : tuple of str
        What the user should know.
    """

    settings: TrainSettings
    architecture: Architecture
    split: Split
    device: Device
    precision: str
    notes: tuple[str, ...] = ()

    @property
    def size_in(self) -> Triple:
        assert self.settings.patch is not None
        return self.settings.patch

    @property
    def size_out(self) -> Triple:
        return self.architecture.sizes.size_out(self.size_in)

    @property
    def batch(self) -> int:
        """Patches of a step, of all processes together."""
        assert self.settings.batch is not None
        return self.settings.batch

    @property
    def selections(self) -> tuple[Selection, ...]:
        """What validation judges."""
        assert self.settings.validation.outputs is not None
        return self.settings.validation.outputs


def prepare(settings: TrainSettings, *, begun: bool = False) -> Plan:
    """Look at everything and choose what was left open.

    Parameters
    ----------
    settings : TrainSettings
    begun : bool
        The run has a state: the weights that it began with are not looked for.

    Raises
    ------
    Problems
        Everything that is wrong with the images, or with settings that only images and network can show.
    ReadError, UsageError
        If there are no images, or a device, network or weights do not exist.
    """
    import_torch()
    device = torch_device(settings.device)
    _check_devices(device, settings.devices)
    precision = choose_precision(settings.precision, device)
    items = find_items(settings.data.folder)
    leaveout = settings.data.leaveout
    if leaveout is None:
        leaveout = (_SHARE,) if len(items) > 1 else ()
    split = split_items(items, leaveout, seed=settings.seed)
    stacks, problems = _opened(split)
    started = None if settings.init is None or begun else _started(settings.init)
    arch = _architecture(settings, started, stacks)
    outputs = _used_outputs(settings, arch)
    smallest = [min((s.shape[axis] for s in stacks), default=1) for axis in range(3)]
    patch = settings.patch or choose_patch(arch, (smallest[0], smallest[1], smallest[2]))
    problems += _setting_problems(settings, arch, patch)
    if problems:
        raise Problems("training", problems)
    warnings = check_items(
        [*split.training, *split.validation],
        channels=arch.params.channels,
        classes=[arch.graph.classes[i] for i in outputs],
        size_in=patch,
        size_out=arch.sizes.size_out(patch),
        quantise=settings.augmentation.quantise,
        trained=len(split.training),
    )
    notes = [*warnings]
    if not split.validation:
        notes.append("no image is held back: nothing says which model is best, or how good it is")
    half = precision in ("bfloat16", "float16")
    batch = settings.batch or choose_batch(arch, patch, outputs, device, settings.devices, 2 if half else 4)
    info = None if started is None else started.info
    spacing = settings.data.spacing or _spacing(stacks, notes) or (info.spacing if info else None)
    recipe = _recipe(settings, info.normalization if info else None, notes)
    if recipe is None:
        notes.append(
            "how the images were normalised is not said (data.normalization): the model will take images as they are"
        )
    complete = _completed(settings, arch, patch, batch, leaveout, spacing, recipe)
    return Plan(complete, arch, split, device, precision, tuple(notes))


def _completed(
    settings: TrainSettings,
    arch: Architecture,
    patch: Triple,
    batch: int,
    leaveout: Any,
    spacing: Any,
    recipe: Any,
) -> TrainSettings:
    folder = str(Path(settings.data.folder).absolute())
    changes = {"folder": folder, "leaveout": tuple(leaveout), "spacing": spacing, "normalization": recipe}
    outputs = settings.validation.outputs or tuple(
        Selection.model_validate({"output": 0, "class": c}) for c in range(1, arch.graph.classes[0])
    )
    return settings.model_copy(
        update={
            "data": settings.data.model_copy(update=changes),
            "network": arch.as_dict(),
            "init": None if settings.init is None else str(Path(settings.init).absolute()),
            "patch": tuple(patch),
            "batch": batch,
            "loss": settings.loss.model_copy(
                update={"weights": settings.loss.weights or (1.0,) * len(arch.graph.outputs)}
            ),
            "validation": settings.validation.model_copy(update={"outputs": outputs}),
        }
    )


def choose_precision(name: str, device: Device) -> str:
    """The precision that a name stands for on a device.

    ``auto`` is float32 on the CPU, where 16 bits help few processors; on GPUs bfloat16 where they have it (it has the
    range of float32), else float16 with a scaled loss.

    Raises
    ------
    UsageError
        If the device has no arithmetic for it.
    """
    from fastseg.unet.runner import check_precision

    if name != "auto":
        return check_precision(name, device)
    if device.kind == "cpu":
        return "float32"
    major, _ = import_torch().cuda.get_device_capability(device.index)
    return "bfloat16" if major >= 8 else "float16" if major >= 7 else "float32"


def _check_devices(device: Device, devices: int) -> None:
    if device.kind == "cuda":
        there = import_torch().cuda.device_count()
        if devices > there:
            raise UsageError(
                f"--devices {devices}: there {'is' if there == 1 else 'are'} {there} on this machine"
            )
        if devices > 1 and device.index:
            raise UsageError(
                f"--devices {devices} takes GPUs 0 to {devices - 1}: leave --device {device} out"
            )


def _opened(split: Split) -> tuple[list[ItemStacks], list[str]]:
    stacks, problems = [], []
    for item in (*split.training, *split.validation):
        try:
            stacks.append(open_item(item))
        except FastsegError as error:
            problems.append(f"{item.name}: {str(error).removeprefix(f'{item.name}: ')}")
    return stacks, problems


def _started(init: str) -> Model:
    """The model to start from."""
    try:
        return load_model(init)
    except ReadError as error:
        raise UsageError(f"init: {error}") from error


def _architecture(
    settings: TrainSettings,
    started: Model | None,
    stacks: Sequence[ItemStacks],
) -> Architecture:
    given = dict(settings.network)
    name = given.pop("name", None)
    if not isinstance(name, str):
        raise Problems("network", ["name: is missing"])
    if started is not None:
        found = started.architecture
        if "network" in settings.model_fields_set and name != found.name:
            raise UsageError(f"network {name} was asked for, but {settings.init} holds {found.name}")
        wrong = [
            f"{key}: {value!r} was asked for, but {settings.init} has {found.params.model_dump().get(key)!r}"
            for key, value in (given.items() if name == found.name else ())
            if architecture(name, {**found.params.model_dump(), key: value}) != found
        ]
        if wrong:
            raise Problems("network", wrong)
        return found
    if "channels" not in given and stacks:
        given["channels"] = stacks[0].image.channels
    return architecture(name, given)


def _used_outputs(settings: TrainSettings, arch: Architecture) -> list[int]:
    weights = settings.loss.weights or (1.0,) * len(arch.graph.outputs)
    return [i for i, weight in enumerate(weights[: len(arch.graph.outputs)]) if weight > 0] or [0]


def _setting_problems(settings: TrainSettings, arch: Architecture, patch: Triple) -> list[str]:
    problems = []
    outputs = len(arch.graph.outputs)
    weights = settings.loss.weights
    if weights is not None and len(weights) != outputs:
        problems.append(
            f"loss.weights: {len(weights)} are given; {arch.name} has {outputs} output{'s' if outputs > 1 else ''}"
        )
    if min(arch.graph.classes) < 2:
        problems.append(
            f"network.classes: {list(arch.graph.classes)}; training needs at least 2 in each output"
        )
    try:
        arch.sizes.check(patch)
    except UsageError as error:
        problems.append(str(error))
    if settings.validation.outputs is not None:
        try:
            check_selections(settings.validation.outputs, arch, "validation.outputs")
        except Problems as error:
            problems += [f"validation.outputs: {p}" for p in error.problems]
    return problems


def _recipe(settings: TrainSettings, of_model: str | Recipe | None, notes: list[str]) -> str | Recipe | None:
    """What was said, else what curation wrote beside the images, else what the model to start from was trained with."""
    said, noted = settings.data.normalization, None
    try:
        noted = recorded_recipe(settings.data.folder)
    except ReadError as error:
        notes.append(f"{error}: say it with data.normalization")
    if said and noted and said != noted:
        notes.append(
            f"data.normalization is {said}, but {MANIFEST} says that the images were normalised by {noted}"
        )
    return said or noted or of_model


def _spacing(stacks: Sequence[ItemStacks], notes: list[str]) -> tuple[float, float, float] | None:
    """The voxel size that all images share."""
    found = {s.item.name: s.image.spacing for s in stacks}
    known = [spacing for spacing in found.values() if spacing is not None]
    if len(known) < len(found):
        if known:
            silent = [name for name, spacing in found.items() if spacing is None]
            more = f" and {len(silent) - 1} more" if len(silent) > 1 else ""
            notes.append(f"{silent[0]}{more}: no voxel size is said in the file; none is recorded")
        return None
    first = known[0]
    for name, other in found.items():
        if other is not None and any(abs(a / b - 1) > _NEAR for a, b in zip(first, other, strict=True)):
            notes.append(
                f"{name}: its voxel size {other} differs from {first} of the first image; none is recorded"
            )
            return None
    z, y, x = first
    return float(z), float(y), float(x)
