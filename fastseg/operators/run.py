"""Running one operator: inputs checked and converted, then handed to the engine."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from fastseg.arrays import namespace_of
from fastseg.errors import InputError, Problems, UsageError
from fastseg.operators.spec import Input, OpSpec, Params
from fastseg.tiling import ArrayVolume, Engine, Volume
from fastseg.types import Array


def execute(spec: OpSpec, inputs: Sequence[Any], params: Params, engine: Engine) -> Any:
    """Run an operator on volumes.

    Parameters
    ----------
    spec : OpSpec
    inputs : sequence of Volume or scalar
        In the operator's order and of the kinds it accepts: float32 images, bool masks, integer labels.
    params : Params
    engine : Engine

    Returns
    -------
    Volume or scalar

    Raises
    ------
    InputError
        If dimensions or shapes do not fit.
    """
    named = _name_inputs(spec, inputs)
    _check_shapes(spec, named)
    return engine.run(spec.rule, named, params)


def apply(spec: OpSpec, *arrays: Any, engine: Engine | None = None, **parameters: Any) -> Any:
    """Run an operator on arrays: numpy in, numpy out; cupy in, cupy out.

    Parameters
    ----------
    spec : OpSpec
    *arrays : arrays or scalars
        The inputs in the operator's order. Images of any real dtype are used as float32; masks count as non-zero.
    engine : Engine, optional
        A tiled one, for example; in memory by default.
    **parameters
        The operator's parameters.

    Raises
    ------
    Problems
        If parameters are wrong; all of them are listed.
    InputError
        If an array does not fit.
    """
    params, problems = spec.check(parameters)
    if params is None:
        raise Problems(spec.name, [f"{p.place}: {p.message}" for p in problems])
    if engine is None:
        engine = Engine(device=namespace_of(*(a for a in arrays if hasattr(a, "shape") and a.shape)).device)
    kinds = _expand(spec, len(arrays))
    with engine.ns.active():
        inputs = [_adapt(spec, item, array, engine) for item, array in zip(kinds, arrays, strict=True)]
        result = execute(spec, inputs, params, engine)
        if not isinstance(result, Volume):
            return result
        output = result.read(_whole(result))
        given = (a.array for a in inputs if isinstance(a, ArrayVolume))
        return output.copy() if any(engine.ns.xp.may_share_memory(output, a) for a in given) else output


def _whole(volume: Volume) -> Any:
    from fastseg.types import Box

    return Box.whole(volume.shape)


def _expand(spec: OpSpec, count: int) -> list[Input]:
    """The declaration of each of `count` inputs."""
    declared = list(spec.inputs)
    if declared[-1].many and count > len(declared):
        declared += [declared[-1]] * (count - len(declared))
    if count != len(declared):
        names = ", ".join(i.name + (", ..." if i.many else "") for i in spec.inputs)
        raise UsageError(f"{spec.name}: {count} inputs were given, it takes {names}")
    return declared


def _name_inputs(spec: OpSpec, inputs: Sequence[Any]) -> dict[str, Any]:
    names: dict[str, Any] = {}
    for item, value in zip(_expand(spec, len(inputs)), inputs, strict=True):
        name = item.name if item.name not in names else f"{item.name}{len(names)}"
        names[name] = value
    return names


def _adapt(spec: OpSpec, item: Input, array: Any, engine: Engine) -> Any:
    if item.kinds == ("scalar",):
        if getattr(array, "shape", ()) != ():
            raise InputError(f"{spec.name}: '{item.name}' must be one number")
        return array.item() if hasattr(array, "item") else array
    return ArrayVolume(_convert(spec, item, array, engine))


def _convert(spec: OpSpec, item: Input, array: Array, engine: Engine) -> Array:
    xp = engine.ns.xp
    array = xp.asarray(array)
    if array.dtype.kind not in "buif":
        raise InputError(f"{spec.name}: '{item.name}' has dtype {array.dtype}; real numbers are needed")
    kept_as_it_is = {"b": "mask", "u": "labels", "i": "labels", "f": "image"}[array.dtype.kind] in item.kinds
    if "image" in item.kinds and (array.dtype.kind == "f" or not kept_as_it_is):
        return xp.ascontiguousarray(array, dtype=np.float32)
    if item.kinds == ("mask",):
        return xp.ascontiguousarray(array != 0) if array.dtype.kind != "b" else xp.ascontiguousarray(array)
    if item.kinds == ("labels",) and array.dtype.kind == "f":
        raise InputError(f"{spec.name}: '{item.name}' has dtype {array.dtype}; integer labels are needed")
    return xp.ascontiguousarray(array, dtype=array.dtype.newbyteorder("="))


def _check_shapes(spec: OpSpec, inputs: dict[str, Any]) -> None:
    declared = _expand(spec, len(inputs))
    shape: tuple[int, ...] | None = None
    for (name, value), item in zip(inputs.items(), declared, strict=True):
        if not isinstance(value, Volume):
            continue
        if len(value.shape) not in item.dims:
            allowed = " or ".join(f"{d}-D" for d in item.dims)
            raise InputError(
                f"{spec.name}: '{name}' is {len(value.shape)}-D {value.shape}; it must be {allowed}"
            )
        if 0 in value.shape:
            raise InputError(f"{spec.name}: '{name}' has shape {value.shape}; no axis may be empty")
        if item.shape_only:
            continue
        if shape is not None and value.shape != shape:
            raise InputError(
                f"{spec.name}: '{name}' has shape {value.shape}, the inputs before it have {shape}"
            )
        shape = value.shape
