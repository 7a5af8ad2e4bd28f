"""Tiling rules: how an operator may be computed tile by tile without changing its answer.

A rule holds the array code of an operator together with everything the engine must know to run it on any grid. All
functions are module-level functions, so that tasks can be pickled and sent to workers.

===============  =======================================================================================
Local            a tile needs a halo of known width
Reduce           an exactly mergeable statistic of the volume, giving one small value
Labels           connected components with per-object tables, merged across tiles
Objects          component by component in its bounding box plus a margin
Whole            the whole volume at once; the planner says so before running
Chain            several of the above in sequence: a statistic and what is computed with it, iterations
===============  =======================================================================================

``Local`` with ``planes=True`` works on whole XY planes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from fastseg.arrays.labels import Runs
from fastseg.tiling.block import Block
from fastseg.types import Array

Halo: TypeAlias = tuple[int, int, int]
"""Halo in voxels (z, y, x); an operator on a plane uses the last two."""


def no_halo(params: Any) -> Halo:
    return (0, 0, 0)


def same_shape(shape: tuple[int, ...], params: Any) -> tuple[int, ...]:
    return shape


@dataclass(frozen=True)
class Reduce:
    """A statistic of whole volumes whose partial results merge exactly, whatever the tiles.

    Attributes
    ----------
    chunk : callable
        ``chunk(block) -> partial``; only the voxels of ``block.place.keep`` may count.
    combine : callable
        ``combine(partial, partial) -> partial``; must be exactly associative and commutative.
    finalize : callable
        ``finalize(partial, values, params) -> value``; `values` are the non-volume inputs.
    halo : callable
        ``halo(params) -> (z, y, x)`` in voxels.
    volume : bool
        The value is an array, such as a plane, that is tiled in turn where it is used.
    """

    chunk: Callable[[Block], Any]
    combine: Callable[[Any, Any], Any]
    finalize: Callable[[Any, tuple[Any, ...], Any], Any]
    halo: Callable[[Any], Halo] = no_halo
    volume: bool = False


@dataclass(frozen=True)
class Local:
    """A tile of the output needs the same tile of the inputs and a halo.

    Attributes
    ----------
    apply : callable
        ``apply(block) -> array`` covering ``block.place.box`` (the engine cuts the core out) or the core alone. With
        `emits`, ``apply(block) -> (array, partial)``.
    halo : callable
        ``halo(params) -> (z, y, x)`` in voxels.
    planes : bool
        Tiles span whole XY planes.
    output_shape : callable
        ``output_shape(input_shape, params)``; only Y and X may change, and only with `planes`.
    emits : Reduce, optional
        A statistic computed on the way (its `combine` and `finalize` are used); a later link of the chain refers to
        it as ``"<link>.emitted"``. Saves a second pass over the tiles.
    """

    apply: Callable[[Block], Any]
    halo: Callable[[Any], Halo] = no_halo
    planes: bool = False
    output_shape: Callable[[tuple[int, ...], Any], tuple[int, ...]] = same_shape
    emits: Reduce | None = None


@dataclass(frozen=True)
class Table:
    """A per-object statistic, one row an object, merged across tiles.

    Attributes
    ----------
    chunk : callable
        ``chunk(block, ids, count, tables) -> array (count + 1, ...)``, row 0 being the background. `ids` are the
        object numbers inside the tile (1..count); `tables` maps the names of earlier tables to the merged rows of
        these objects.
    combine : {"add", "minimum", "maximum"}
        The ufunc that merges rows. Sums must be of integers.
    initial : scalar
        Its neutral element.
    runs : callable, optional
        ``runs(block, runs) -> array (count + 1, ...)``: the same as `chunk` from the tile's runs
        (`fastseg.arrays.labels.Runs`), which the CPU finds first; it sees no earlier tables. If all tables of a rule
        have it or `runs_with`, labels are held as runs in memory, and are never written out voxel by voxel.
    runs_with : callable, optional
        ``runs_with(block, runs, tables) -> rows``: the same as `chunk` from the tile's runs, where earlier tables are
        needed.
    merge : callable, optional
        ``merge(count, parts) -> rows`` of all objects, instead of `combine`, for rows that are no array; `parts` are
        the final numbers of the objects of each tile and what `chunk` gave for them. No later table sees such rows.
    """

    chunk: Callable[[Block, Array, int, Mapping[str, np.ndarray]], Array]
    combine: str = "add"
    initial: Any = 0
    runs: Callable[[Block, Runs], np.ndarray] | None = None
    runs_with: Callable[[Block, Runs, Mapping[str, np.ndarray]], Any] | None = None
    merge: Callable[[int, Iterable[tuple[np.ndarray, Any]]], Any] | None = None


def face_connectivity(params: Any, ndim: int) -> int:
    return 1


def full_connectivity(params: Any, ndim: int) -> int:
    return ndim


def in_volume(params: Any) -> bool:
    return False


def in_planes(params: Any) -> bool:
    return True


def no_tables(params: Any) -> Mapping[str, Any]:
    return {}


def every_object(
    tables: Mapping[str, np.ndarray], count: int, values: tuple[Any, ...], params: Any
) -> np.ndarray:
    """The decision that numbers objects 1..count in scan order of their first voxel."""
    return np.arange(count + 1, dtype=np.int32 if count < 2**31 - 1 else np.int64)


@dataclass(frozen=True)
class Labels:
    """Connected components, measured and decided on as whole objects.

    Attributes
    ----------
    mask : callable
        ``mask(block) -> bool array``: the voxels whose components are meant.
    apply : callable
        ``apply(block, rows) -> array``: the output, where ``rows`` holds for every voxel the decision on its object;
        it may be `rows` itself, which is its own to change.
    apply_runs : callable, optional
        ``apply_runs(block, runs, decided) -> array``: the same as `apply` from the tile's runs and the decisions on its
        objects, used where labels are held as runs.
    decide : callable
        ``decide(tables, count, values, params) -> array (count + 1,)``: the decision on every object; row 0 is for
        voxels outside all objects.
    tables : callable
        ``tables(params) -> {name: Table}``, computed in this order.
    connectivity : callable
        ``connectivity(params, ndim) -> int`` from 1 (faces) to ndim (corners).
    planar : callable
        ``planar(params) -> bool``: components within each XY plane only.
    background : bool
        The components of what the mask leaves out are meant, without its complement being made.
    """

    mask: Callable[[Block], Array]
    apply: Callable[[Block, Array], Array]
    decide: Callable[[Mapping[str, np.ndarray], int, tuple[Any, ...], Any], np.ndarray] = every_object
    tables: Callable[[Any], Mapping[str, Table]] = no_tables
    connectivity: Callable[[Any, int], int] = face_connectivity
    planar: Callable[[Any], bool] = in_volume
    background: bool = False
    apply_runs: Callable[[Block, Runs, np.ndarray], Array] | None = None


@dataclass(frozen=True)
class Objects:
    """Exact when computed component by component, each in its bounding box plus a margin.

    Attributes
    ----------
    mask : callable
        ``mask(block) -> bool array``: the voxels whose components are the objects.
    dtype : callable
        ``dtype(input_dtypes, params)`` of the output.
    connectivity : callable
        ``connectivity(params, ndim) -> int``.
    margin : int
        Voxels around the bounding box.
    compute : callable, optional
        ``compute(block, inside) -> array`` for one object; `inside` marks its voxels in the block. Only results on
        these voxels are kept; everything outside all objects becomes 0.
    compute_many : callable, optional
        ``compute_many(block, labels, count) -> array`` for many objects at once, instead of `compute`; `labels` numbers
        their voxels in the block from 1 to `count`, and is 0 everywhere else, on other objects too. The result is 0
        outside the objects; it may be `labels` itself, which is its own to change.
    on_device : bool
        `compute_many` takes arrays on any device and gives one there; otherwise arrays on a GPU are brought to the
        host, and the results go back.
    packed : callable, optional
        ``packed(object, values, params, limit) -> array (n,)``: the same from the list of the object's voxels
        (`fastseg.tiling.packed.PackedObject`), for an object whose box is larger than `limit` voxels.
    """

    mask: Callable[[Block], Array]
    dtype: Callable[[Sequence[np.dtype[Any]], Any], np.dtype[Any]]
    connectivity: Callable[[Any, int], int] = face_connectivity
    margin: int = 1
    compute: Callable[[Block, Array], Array] | None = None
    compute_many: Callable[[Block, Array, int], Array] | None = None
    on_device: bool = False
    packed: Callable[[Any, tuple[Any, ...], Any, int], np.ndarray] | None = None


@dataclass(frozen=True)
class Whole:
    """No exact way to tile is known: the whole volume is gathered.

    Attributes
    ----------
    compute : callable
        ``compute(block) -> array`` with the block covering everything.
    host_only : bool
        The computation has no GPU form: arrays on a GPU are brought to the host and the result goes back.
    """

    compute: Callable[[Block], Array]
    host_only: bool = False


@dataclass(frozen=True)
class Link:
    """One link of a chain.

    Attributes
    ----------
    name : str
        What later links call its result.
    rule : Rule
        Any rule but a chain.
    inputs : tuple of str
        Names of operator inputs or earlier links.
    params : object, optional
        Parameters instead of the operator's own.
    """

    name: str
    rule: Local | Reduce | Labels | Objects | Whole
    inputs: tuple[str, ...]
    params: Any = None


@dataclass(frozen=True)
class Chain:
    """Rules in sequence; the last link gives the result.

    Attributes
    ----------
    links : callable
        ``links(params, inputs) -> sequence of Link``, with the names of the operator's inputs.
    kind : str
        The rule that users are told: the one that decides how the operator scales.
    """

    links: Callable[[Any, tuple[str, ...]], Sequence[Link]]
    kind: str = "Statistics"


Rule: TypeAlias = Local | Reduce | Labels | Objects | Whole | Chain


def kind_of(rule: Rule) -> str:
    """The rule's name in listings."""
    if isinstance(rule, Chain):
        return rule.kind
    if isinstance(rule, Local) and rule.planes:
        return "Planes"
    if isinstance(rule, Reduce):
        return "Statistics"
    return type(rule).__name__
