"""A trained model: one folder with weights and everything that is needed to use them.

::

    lamin.model/
        model.yaml    network, normalisation, voxel size, threshold, outputs, where it came from
        weights.pt    tensors by name, float32, readable in PyTorch's weights-only mode
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from fastseg.errors import Problems, ReadError, UsageError
from fastseg.io.atomic import atomic_output
from fastseg.unet.checkpoint import check_state, complete_state, load_checkpoint, read_state, state_digest
from fastseg.unet.model_info import DESCRIPTION, ModelInfo, Selection, parse_info, read_info
from fastseg.unet.networks.registry import NETWORKS, Architecture, architecture
from fastseg.unet.torch_library import import_torch

WEIGHTS = "weights.pt"

BEST, LAST = OF_RUNS = ("best.model", "last.model")
"""Model folders in the folder of a training run, the one to use first."""


@dataclass(frozen=True)
class Model:
    """A network with weights, ready for prediction or further training.

    Attributes
    ----------
    architecture : Architecture
    state : dict of str to Tensor
        float32, on the CPU.
    info : ModelInfo
    path : Path or None
        Where it was loaded from: workers load it from there.
    """

    architecture: Architecture
    state: Mapping[str, Any] = field(repr=False)
    info: ModelInfo
    path: Path | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        """A worker reads the weights from their file, once, instead of being sent them with every task."""
        if self.path is None:
            return Model, (self.architecture, dict(self.state), self.info)
        return _reopen, (self.path, self.architecture, self.info)

    def network(self) -> Any:
        """A new trainable module with these weights."""
        from fastseg.unet.module import Network

        made = Network(self.architecture.graph, initialise=False)
        made.load_state_dict(dict(self.state))
        return made


@lru_cache(maxsize=2)
def _weights(path: Path, arch: Architecture, digest: str) -> Mapping[str, Any]:
    found = load_model(path, arch.name, None if path.is_dir() else arch.params.model_dump())
    if found.info.weights_sha256 != digest:
        raise ReadError(f"the weights in {path} have changed since this run began")
    return found.state


def _reopen(path: Path, arch: Architecture, info: ModelInfo) -> Model:
    return Model(arch, _weights(path, arch, info.weights_sha256), info, path)


def check_selections(selections: tuple[Selection, ...], arch: Architecture, where: str) -> None:
    """Refuse outputs and classes that a network does not have.

    Raises
    ------
    Problems
        All of them.
    """
    classes = arch.graph.classes
    problems = [] if selections else ["at least one output must be selected"]
    for chosen in selections:
        if chosen.output >= len(classes):
            problems.append(f"output {chosen.output}: {arch.name} has outputs 0 to {len(classes) - 1}")
        elif chosen.class_ >= classes[chosen.output]:
            last = classes[chosen.output] - 1
            problems.append(f"class {chosen.class_}: output {chosen.output} has classes 0 to {last}")
    if len(set(selections)) < len(selections):
        problems.append("an output and class are selected twice")
    if problems:
        raise Problems(where, problems)


def make_model(arch: Architecture, state: Mapping[str, Any], **info: Any) -> Model:
    """A model from a network and its tensors.

    Parameters
    ----------
    arch : Architecture
    state : mapping of str to Tensor
    **info
        Fields of `ModelInfo` but `network`.

    Raises
    ------
    Problems
        If tensors, fields or selections do not fit.
    """
    check_state(state, arch)
    complete = complete_state({name: t.cpu() for name, t in state.items()}, arch)
    described = parse_info(
        {**info, "network": arch.as_dict(), "weights_sha256": state_digest(complete)}, "model"
    )
    check_selections(described.selections, arch, "model")
    return Model(arch, complete, described)


def save_model(model: Model, path: str | Path, *, overwrite: bool = False) -> Path:
    """Write a model folder: whole, or not at all.

    Raises
    ------
    WriteError
        If it exists and may not be replaced, or cannot be written.
    """
    import yaml

    torch = import_torch()
    final = Path(path)
    needed = sum(t.numel() * t.element_size() for t in model.state.values()) + 2**16
    text = yaml.safe_dump(model.info.model_dump(mode="json", by_alias=True), sort_keys=False)
    with atomic_output(final, overwrite=overwrite, needed=needed) as folder:
        folder.mkdir()
        with open(folder / WEIGHTS, "wb") as stream:
            torch.save(dict(model.state), stream)
        (folder / DESCRIPTION).write_text(text, encoding="utf-8")
    return final


def load_model(
    path: str | Path,
    network: str | None = None,
    params: Mapping[str, Any] | None = None,
    *,
    trusted: bool = False,
) -> Model:
    """A model folder, or a checkpoint file whose network is recognised or given.

    Parameters
    ----------
    path : path-like
        The folder of a training run stands for its best model, or its last where none was validated.
    network, params, trusted
        For a checkpoint file, see `fastseg.unet.checkpoint.load_checkpoint`. A folder knows its network; giving
        another one is an error.

    Raises
    ------
    ReadError
        If something is missing or cannot be read.
    Problems
        If fields or tensors do not fit.
    """
    path = Path(path)
    if path.is_dir():
        return _load_folder(_model_folder(path), network)
    if not path.exists():
        raise ReadError(
            f"model {path} does not exist: give a model folder, the folder of a training run, or a checkpoint"
        )
    if path.name == DESCRIPTION:
        raise ReadError(f"{path} describes a model: give its folder, {path.parent}")
    arch, state = load_checkpoint(path, network, params, trusted=trusted)
    info = ModelInfo(
        network=arch.as_dict(), weights_sha256=state_digest(state), provenance={"checkpoint": path.name}
    )
    return Model(arch, state, info, None if trusted else path.absolute())


def _model_folder(path: Path) -> Path:
    """The folder itself, or the model of a training run in it."""
    inside = [path / name for name in OF_RUNS if (path / name / DESCRIPTION).is_file()]
    return inside[0] if inside and not (path / DESCRIPTION).exists() else path


def _check_files(path: Path) -> None:
    """Refuse a folder without the files of a model, and say what it is then."""
    missing = [name for name in (DESCRIPTION, WEIGHTS) if not (path / name).exists()]
    if len(missing) == 2:
        raise ReadError(
            f"{path} is no model: a model folder holds {DESCRIPTION} and {WEIGHTS}, that of a training run "
            f"{' or '.join(OF_RUNS)}"
        )
    if missing:
        raise ReadError(f"model folder {path} is incomplete: {missing[0]} is missing")
    for name in (DESCRIPTION, WEIGHTS):
        if not (path / name).is_file():
            raise ReadError(f"{path / name} is a folder; a model folder holds a file of this name")


def _described(info: ModelInfo, where: str) -> Architecture:
    """The network that a description names."""
    params = dict(info.network)
    name = params.pop("name", None)
    if not isinstance(name, str):
        wrong = "its name is missing" if name is None else f"{name!r} is no name"
        raise Problems(where, [f"network: {wrong} (there are {', '.join(NETWORKS)})"])
    try:
        return architecture(name, params)
    except Problems as error:
        raise Problems(where, [f"network.{problem}" for problem in error.problems]) from None
    except UsageError as error:
        raise Problems(where, [f"network.name: {error}"]) from None


def _load_folder(path: Path, network: str | None) -> Model:
    _check_files(path)
    info = read_info(path)
    where = str(path / DESCRIPTION)
    arch = _described(info, where)
    if network is not None and network != arch.name:
        raise Problems(where, [f"network: the folder holds {arch.name}, {network} was asked for"])
    check_selections(info.selections, arch, where)
    state = read_state(path / WEIGHTS)
    check_state(state, arch, path / WEIGHTS)
    state = complete_state(state, arch)
    if info.weights_sha256 and state_digest(state) != info.weights_sha256:
        raise ReadError(
            f"{path / WEIGHTS} is not the file that {DESCRIPTION} describes: its checksum differs"
        )
    if state_digest(state) != info.weights_sha256:
        info = info.model_copy(update={"weights_sha256": state_digest(state)})
    return Model(arch, state, info, path.absolute())
