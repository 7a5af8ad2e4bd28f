"""Which letter of TCZYX each axis of a file is, as far as the file or the user says so."""

from __future__ import annotations

from pathlib import PurePath

from fastseg.errors import ReadError, UsageError
from fastseg.io.lazy import Sliceable, Squeezed
from fastseg.io.source import Scene
from fastseg.types import AXES

# Axes that tifffile could not name: Q unknown, I a sequence of pages of the same shape.
_UNLABELLED = "QI"


def resolve_axes(scene: Scene, path: str, override: str | None = None) -> tuple[Scene, tuple[str, ...]]:
    """`scene` with every axis a letter of TCZYX, and remarks about what was assumed.

    Parameters
    ----------
    scene : Scene
        As the reader opened it.
    path : str
        The file's name, for messages.
    override : str, optional
        The user's letters for the axes of the file. They may also add a Z of one plane to axes that the file
        names.

    Raises
    ------
    UsageError
        When `override` does not fit.
    ReadError
        When the image is no 3-D stack, or its axes are unknown.
    """
    shape = tuple(int(n) for n in scene.array.shape)
    if 0 in shape:
        raise ReadError(f"{path} has an axis of length 0 ({_spell(scene.axes, shape)}): it holds no voxels.")
    _check_dtype(scene, path)
    if override is not None:
        return _relabel(scene, path, override.upper().replace(" ", "").replace(",", "")), ()
    axes, samples = scene.axes, "S" in scene.axes
    if samples and axes == "SYX" and scene.samples_are_planes:
        axes = "QYX"
    elif samples:
        raise ReadError(
            f"{path} is a colour (RGB) image ({_spell(axes, shape)}): fastseg segments intensities, so "
            "export its channels "
            "separately or say what the axes are with --axes."
        )
    unknown = [i for i, a in enumerate(axes) if a not in AXES]
    if not unknown:
        _require_stack(scene, path, axes, shape)
        return _with_axes(scene, axes, range(len(axes))), ()
    long = [i for i in unknown if shape[i] > 1]
    z = long[0] if long else unknown[-1]
    rest = [i for i in range(len(axes)) if i not in unknown or i == z]
    if (
        [axes[i] for i in rest[1:]] != ["Y", "X"]
        or rest[0] != z
        or len(long) > 1
        or axes[z] not in _UNLABELLED
    ):
        raise ReadError(
            f"{path} does not say what its axes are ({_spell(axes, shape)}): name them with --axes, such as "
            "--axes "
            f"{'TCZYX'[-len(shape) :]}."
        )
    note = f"no axis labels in {PurePath(path).name}: taken as ZYX (override with --axes)"
    return _with_axes(scene, axes[:z] + "Z" + axes[z + 1 :], rest), (note,)


def _relabel(scene: Scene, path: str, override: str) -> Scene:
    shape = tuple(int(n) for n in scene.array.shape)
    if len(set(override)) != len(override) or not {"Y", "X"} <= set(override) <= set(AXES):
        raise UsageError(f"--axes {override!r}: use each letter of {AXES} at most once, Y and X always.")
    axes = override
    if len(override) == len(shape) + 1 and override.replace("Z", "") == scene.axes:
        axes = scene.axes  # the user says that a plane is a stack of one
    kept = [i for i, a in enumerate(scene.axes) if a in AXES or a == "S" or shape[i] > 1]
    if len(axes) != len(shape) and len(axes) == len(kept):
        letters = iter(axes)  # unlabelled axes of length 1 need no letter
        axes = "".join(next(letters) if i in kept else "Q" for i in range(len(shape)))
    else:
        kept = list(range(len(shape)))
    if len(axes) != len(shape):
        raise UsageError(
            f"--axes {override} names {len(override)} axes, but {path} has {len(shape)} "
            f"({_spell(scene.axes, shape)})."
        )
    if "Z" not in override:
        raise ReadError(
            f"{path} is 2-D ({override}) according to --axes {override}: fastseg segments 3-D stacks, so "
            "one axis has to be "
            "Z."
        )
    return _with_axes(scene, axes, kept)


def _require_stack(scene: Scene, path: str, axes: str, shape: tuple[int, ...]) -> None:
    if not {"Y", "X"} <= set(axes):
        raise ReadError(
            f"{path} has axes {_spell(axes, shape)}: fastseg segments 3-D stacks with Z, Y and X axes."
        )
    if "Z" in axes or scene.one_plane:
        return
    if len(axes) == 2:
        raise ReadError(
            f"{path} is 2-D ({axes}): fastseg segments 3-D stacks; if it is a stack of one plane, say so "
            "with --axes ZYX."
        )
    kind = {"C": "channels", "T": "time points"}
    long = max((a for a in axes if a in kind), key=lambda a: shape[axes.index(a)])
    fix = axes.replace(long, "Z")
    raise ReadError(
        f"{path} is 2-D with {shape[axes.index(long)]} {kind[long]} ({_spell(axes, shape)}): fastseg "
        "segments 3-D stacks; if "
        f"those {kind[long]} are z planes, say so with --axes {fix}."
    )


def _check_dtype(scene: Scene, path: str) -> None:
    kind = getattr(scene.array.dtype, "kind", "?")
    if kind == "c":
        raise ReadError(
            f"{path} holds complex numbers ({scene.array.dtype}): fastseg segments real intensities."
        )
    if kind not in "buif":
        raise ReadError(
            f"{path} holds voxels of type {scene.array.dtype}: integers, floats or booleans are needed."
        )


def _with_axes(scene: Scene, axes: str, kept: range | list[int]) -> Scene:
    """The scene relabelled, without the axes of length 1 that are not `kept`."""
    array: Sliceable = scene.array
    if len(kept) < len(axes):
        array = Squeezed(array, kept)
    return Scene(
        array=array,
        axes="".join(axes[i] for i in kept),
        spacing=scene.spacing,
        channel_names=scene.channel_names,
        notes=scene.notes,
    )


def _spell(axes: str, shape: tuple[int, ...]) -> str:
    return f"{axes} {' x '.join(map(str, shape))}"
