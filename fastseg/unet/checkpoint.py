"""Reading weights: published checkpoints, training states and bare tensor dictionaries, never running what they say.

A PyTorch file is a pickle, and a pickle can run any program when it is opened. Files are therefore opened in
PyTorch's weights-only mode, which knows tensors, numbers, texts and containers and refuses everything else.
"""

from __future__ import annotations

import errno
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from warnings import catch_warnings, simplefilter

import numpy as np

from fastseg.errors import Problems, ReadError, UsageError
from fastseg.unet.networks.registry import NETWORKS, Architecture, architecture, recognise
from fastseg.unet.torch_library import import_torch

STATE = "model_state_dict"
"""Where a training checkpoint keeps the tensors; a file without it is taken to be the tensors themselves."""

_PREFIX = "module."
_COUNTER = ".num_batches_tracked"
_SHOWN, _NAMED = 12, 3
"""Problems, and tensors of one problem, that are listed."""


def read_state(path: str | Path, *, trusted: bool = False) -> dict[str, Any]:
    """The tensors of a checkpoint by name, on the CPU.

    Parameters
    ----------
    path : path-like
    trusted : bool
        Open a file that holds more than tensors and plain values. Such a file runs code of its author's choice: only
        for files that you made yourself or would run as a program.

    Returns
    -------
    dict of str to Tensor
        Without the prefix ``module.`` that training on several devices leaves.

    Raises
    ------
    ReadError
        If the file is missing, is not a checkpoint, or holds more than weights.
    """
    found = _open(Path(path), trusted)
    state = found.get(STATE, found) if isinstance(found, Mapping) else found
    torch = import_torch()
    if not isinstance(state, Mapping) or not state:
        kind = type(state).__name__
        raise ReadError(f"{path} holds no tensors by name (it holds a {kind}): a state dictionary is needed")
    strange = [str(k) for k, v in state.items() if not (isinstance(k, str) and isinstance(v, torch.Tensor))]
    if strange:
        raise ReadError(
            f"{path} is no checkpoint: it holds {', '.join(strange[:4])}, which {'are' if len(strange) > 1 else 'is'} "
            f"not a tensor, and no '{STATE}'"
        )
    if all(name.startswith(_PREFIX) for name in state):
        state = {name.removeprefix(_PREFIX): tensor for name, tensor in state.items()}
    return dict(state)


def _open(path: Path, trusted: bool) -> Any:
    torch = import_torch()
    from pickle import UnpicklingError

    if not path.is_file():
        raise ReadError(f"checkpoint {path} {'is a folder' if path.is_dir() else 'does not exist'}")
    try:
        with catch_warnings():
            simplefilter("ignore", UserWarning)  # of pickle versions; what cannot be read is an error below
            return torch.load(path, map_location="cpu", weights_only=not trusted)
    except UnpicklingError as error:
        if trusted:
            raise ReadError(f"{path} is not a PyTorch checkpoint: {_first_line(error)}") from None
        if not _is_pickle(path):
            raise ReadError(f"{path} is not a PyTorch checkpoint") from None
        raise ReadError(
            f"{path} holds more than weights ({_culprit(error)}), and opening it fully would run code that its author "
            "chose; it was not opened: ask for a file of weights only, or give trusted=True (--trust-checkpoint) if "
            "you would also run a program from the same source"
        ) from None
    except (RuntimeError, EOFError, ValueError, KeyError, AttributeError, ModuleNotFoundError) as error:
        raise ReadError(f"{path} cannot be read as a PyTorch checkpoint: {_first_line(error)}") from None
    except OSError as error:
        if error.errno == errno.EINVAL:  # PyTorch looks for the file's end before its beginning
            raise ReadError(
                f"{path} cannot be read as a PyTorch checkpoint: it is cut off or damaged"
            ) from None
        raise ReadError(f"checkpoint {path} cannot be read: {error.strerror or error}") from None


def _is_pickle(path: Path) -> bool:
    with open(path, "rb") as stream:
        return stream.read(2) in (b"PK", b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]


def _culprit(error: Exception) -> str:
    """What the weights-only mode stumbled over, out of PyTorch's long advice."""
    found = re.search(r"GLOBAL ([\w.]+)|Unsupported class ([\w.]+)", str(error))
    return next(filter(None, found.groups())) if found else "objects of an unknown kind"


def shapes_of(state: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    """Shape of every tensor."""
    return {name: tuple(tensor.shape) for name, tensor in state.items()}


def identify(state: Mapping[str, Any], path: str | Path = "the checkpoint") -> Architecture:
    """The network that a checkpoint belongs to.

    Raises
    ------
    UsageError
        If no network, or more than one, has tensors of these names.
    """
    found = recognise(shapes_of(state))
    if len(found) == 1:
        return found[0]
    names = ", ".join(a.name for a in found) or "none"
    some = ", ".join(sorted(state)[:4])
    raise UsageError(
        f"{path} does not say which network it belongs to (candidates: {names}; its tensors begin with {some}): give "
        f"--network, one of {', '.join(NETWORKS)}"
    )


def expected_shapes(arch: Architecture) -> dict[str, tuple[int, ...]]:
    """Shape of every tensor that a network has."""
    graph = arch.graph
    found: dict[str, tuple[int, ...]] = {}
    for layer in graph.layers:
        before = graph.channels_of(layer.inputs[0])
        if layer.kind in ("conv", "up"):
            pair = (layer.channels, before) if layer.kind == "conv" else (before, layer.channels)
            found[f"{layer.name}.weight"] = (*pair, *layer.kernel)
            found[f"{layer.name}.bias"] = (layer.channels,)
        elif layer.kind == "norm":
            own = ("weight", "bias") if layer.affine else ()
            for name in (*own, "running_mean", "running_var"):
                found[f"{layer.name}.{name}"] = (layer.channels,)
            found[f"{layer.name}{_COUNTER}"] = ()
    return found


def check_state(state: Mapping[str, Any], arch: Architecture, path: str | Path = "the checkpoint") -> None:
    """Refuse tensors that do not fit a network.

    Raises
    ------
    Problems
        That the tensors are those of another network; or every missing, superfluous, misshapen, non-numeric or
        non-finite one.
    """
    expected, given = expected_shapes(arch), shapes_of(state)
    if not _fits(given, arch):
        others = [other for other in recognise(given) if other != arch and _fits(given, other)]
        if len(others) == 1:
            raise Problems(str(path), [f"it holds {_described(others[0])}, not {_described(arch)}"])
    problems = [
        f"{name} is missing; shape {shape} is expected"
        for name, shape in expected.items()
        if name not in given and not name.endswith(_COUNTER)
    ]
    problems += [f"{name} is not part of {arch.name}" for name in given if name not in expected]
    endless = []
    for name, shape in expected.items():
        if name not in given or name.endswith(_COUNTER):
            continue
        tensor = state[name]
        if given[name] != shape:
            problems.append(f"{name} has shape {given[name]}; {shape} is expected")
        elif not tensor.is_floating_point():
            problems.append(f"{name} holds {tensor.dtype}; floating-point numbers are expected")
        elif not bool(tensor.isfinite().all()):
            endless.append(name)
        elif name.endswith("running_var") and bool((tensor < 0).any()):
            problems.append(f"{name} holds negative variances")
    if endless:
        others_too = f" and {len(endless) - _NAMED} more" if len(endless) > _NAMED else ""
        verb = "holds" if len(endless) == 1 else "hold"
        problems.append(
            f"{', '.join(endless[:_NAMED])}{others_too} {verb} NaN or infinite numbers; weights have to be finite"
        )
    if problems:
        more = len(problems) - _SHOWN
        shown = problems if more <= 0 else [*problems[:_SHOWN], f"and {more} more of the same kind"]
        raise Problems(f"{path} as {_described(arch)}", shown)


def _fits(given: Mapping[str, tuple[int, ...]], arch: Architecture) -> bool:
    """Whether tensors of these shapes are a network's, counters aside."""

    def weights(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, tuple[int, ...]]:
        return {name: shape for name, shape in shapes.items() if not name.endswith(_COUNTER)}

    return weights(given) == weights(expected_shapes(arch))


def _described(arch: Architecture) -> str:
    settings = ", ".join(f"{k}={v}" for k, v in arch.params.model_dump().items())
    return f"{arch.name} ({settings})"


def complete_state(state: Mapping[str, Any], arch: Architecture) -> dict[str, Any]:
    """The state with the counters that very old files lack, as contiguous float32 tensors in the network's order."""
    torch = import_torch()
    found = {}
    for name in expected_shapes(arch):
        if name.endswith(_COUNTER):
            found[name] = state.get(name, torch.zeros((), dtype=torch.int64)).to(torch.int64).reshape(())
        else:
            found[name] = state[name].detach().to(torch.float32).contiguous()
    return found


def load_checkpoint(
    path: str | Path,
    network: str | None = None,
    params: Mapping[str, Any] | None = None,
    *,
    trusted: bool = False,
) -> tuple[Architecture, dict[str, Any]]:
    """A checkpoint, checked tensor by tensor.

    Parameters
    ----------
    path : path-like
    network : str, optional
        Name of the network; recognised from the tensors otherwise.
    params : mapping, optional
        The network's parameters, such as ``channels``; recognised from the tensors as far as they are not given.
    trusted : bool
        See `read_state`.

    Returns
    -------
    Architecture
    dict of str to Tensor
        float32, on the CPU.

    Raises
    ------
    ReadError, UsageError, Problems
        See `read_state`, `identify` and `check_state`.
    """
    state = read_state(path, trusted=trusted)
    if network is None:
        arch = identify(state, path)
    else:
        likely = [a for a in recognise(shapes_of(state)) if a.name == network]
        arch = likely[0] if likely else architecture(network)
    if params:
        arch = architecture(arch.name, {**arch.params.model_dump(), **params})
    check_state(state, arch, path)
    return arch, complete_state(state, arch)


def state_digest(state: Mapping[str, Any]) -> str:
    """SHA-256 of names, shapes and values: the same weights have the same digest in any file format."""
    from hashlib import sha256

    found = sha256()
    for name in sorted(state):
        array = np.ascontiguousarray(state[name].numpy())
        found.update(f"{name} {array.shape} {array.dtype.str}\n".encode())
        found.update(array.data)
    return found.hexdigest()
