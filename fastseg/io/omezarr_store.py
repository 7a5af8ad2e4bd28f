"""OME-Zarr made up front and filled in by tasks: each writes whole files of its own, in any order and process."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from fastseg.arrays import to_host
from fastseg.errors import UsageError, WriteError
from fastseg.io.atomic import atomic_output, write_error
from fastseg.io.content import Content
from fastseg.io.omezarr_layout import Layout, Sides, boxes, default_layout, is_aligned, layout_for
from fastseg.io.omezarr_metadata import check_version, require_zarr, write_groups
from fastseg.io.pyramid import REDUCERS, Factor, pyramid_factors, reduced_shape
from fastseg.types import Array, Box, Spacing


@dataclass(frozen=True)
class Level:
    """One resolution of a pyramid.

    Attributes
    ----------
    shape : tuple of int
        (Z, Y, X).
    factor : tuple of int
        From the finer level to this one; 1 for level 0.
    layout : Layout
    """

    shape: Sides
    factor: Factor
    layout: Layout


@dataclass(frozen=True)
class OmeZarrStore:
    """An OME-Zarr whose metadata are complete and whose voxels are written box by box.

    It travels to workers as paths and numbers. Two tasks may write at the same time, since no file belongs to
    two aligned boxes. What has not been written reads as 0.

    Attributes
    ----------
    folder : str
        Where it is made.
    target : str
        The path that it will have, for messages.
    content : Content
    levels : tuple of Level
        Level 0 and the pyramid.
    """

    folder: str
    target: str
    content: Content
    levels: tuple[Level, ...]
    _arrays: dict[tuple[str, int], Any] = field(default_factory=dict, repr=False, compare=False)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_arrays": {}}

    @property
    def shape(self) -> Sides:
        """(Z, Y, X) of level 0."""
        return self.levels[0].shape

    @property
    def unit(self) -> Sides:
        """Sides (z, y, x) of what is written as one file: the borders of boxes are multiples of it, or the
        volume's."""
        return self.levels[0].layout.unit

    @property
    def needed(self) -> int:
        """Bytes that the whole takes at most."""
        return self.content.bytes_needed(self.shape)

    def write(self, box: Box, block: Array) -> None:
        """Write a box of level 0, of the image and of the labels.

        Parameters
        ----------
        box : Box
            (z, y, x), with borders that are multiples of `unit` or the volume's.
        block : array
            Of the box's shape: a mask, labels or an image as the content says; on the host or a device.

        Raises
        ------
        ValueError
            When other boxes share a file with this one, or the shape of `block` is another.
        WriteError
            When the disk is full or cannot be written to, or the file's type does not hold a value.
        """
        if not is_aligned(box, self.unit, self.shape):
            raise ValueError(f"{box} is not made of whole files of {self.unit} in a volume of {self.shape}")
        part = to_host(block)
        if part.shape != box.shape:
            raise ValueError(f"a block of shape {part.shape} cannot fill {box}")
        for place, values in self.content.images():
            converted = values(part)
            with self._writing():
                self._array(place, 0)[box.slices] = converted

    def pyramid(self) -> Iterator[tuple[int, list[Box]]]:
        """The levels that are made of others, in order: their numbers, and boxes that cover them.

        The boxes of one level are tasks for :meth:`reduce` in any order, once the finer level is complete.
        """
        for number, level in enumerate(self.levels[1:], start=1):
            yield number, list(boxes(level.shape, level.layout.unit))

    def reduce(self, level: int, box: Box) -> None:
        """Write a box of level 1 or more from the finer level, of the image and of the labels.

        It takes the memory of the box, and of the voxels that make one row of its chunks.

        Parameters
        ----------
        level : int
        box : Box
            Of that level, with borders that are multiples of its layout's unit or its own.

        Raises
        ------
        ValueError
            When there is no such level, or other boxes share a file with this one.
        WriteError
            When the disk is full or cannot be written to.
        """
        if not 0 < level < len(self.levels):
            raise ValueError(f"level {level} is not one of 1 to {len(self.levels) - 1}")
        made, finer = self.levels[level], self.levels[level - 1]
        if not is_aligned(box, made.layout.unit, made.shape):
            raise ValueError(f"{box} is not made of whole files of {made.layout.unit} in level {level}")
        reducer = REDUCERS[self.content.reduce]
        row = (*made.layout.chunks[:2], box.shape[2])
        for place, values in self.content.images():
            block = np.empty(box.shape, values.dtype)
            for part in boxes(box.shape, row, most=0):
                cells = zip(box.start, part.start, part.stop, made.factor, finer.shape, strict=True)
                source = tuple(slice((o + a) * f, min((o + b) * f, n)) for o, a, b, f, n in cells)
                with self._writing():
                    voxels = np.asarray(self._array(place, level - 1)[source])
                block[part.slices] = reducer(voxels, made.factor)
            with self._writing():
                self._array(place, level)[box.slices] = block

    def complete(self) -> None:
        """Make the whole pyramid in this process."""
        for level, tasks in self.pyramid():
            for box in tasks:
                self.reduce(level, box)

    def _array(self, place: str, level: int) -> Any:
        import zarr

        folder = os.path.join(self.folder, place, str(level))
        if not os.path.isdir(folder):  # zarr would make it again, beside an output that was given up
            raise WriteError(
                f"{self.target} cannot be written: {self.folder} was removed meanwhile, or is not on a file "
                "system that this process sees."
            )
        if (place, level) not in self._arrays:
            self._arrays[place, level] = zarr.open_array(folder, mode="r+")
        return self._arrays[place, level]

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise write_error(Path(self.target), error, self.needed) from error


def create_store(
    folder: Path,
    shape: Sequence[int],
    content: Content,
    *,
    spacing: Spacing | None,
    layout: Layout | None = None,
    version: str = "0.5",
    target: Path | None = None,
) -> OmeZarrStore:
    """Make the groups and arrays of all levels, with all of their metadata and none of their voxels.

    Parameters
    ----------
    folder : Path
        It must not exist yet.
    shape : sequence of int
        (Z, Y, X).
    content : Content
        Name, types and labels; see :mod:`fastseg.io.content`.
    spacing : tuple of float or None
        Voxel size (z, y, x) in micrometres. Without it the axes have no unit and the scale is 1.
    layout : Layout, optional
        Chunks and shards of level 0; see :func:`fastseg.io.omezarr_layout.layout_for`. By default chunks of
        32 x 256 x 256 without shards.
    version : {"0.5", "0.4"}
        Of OME-NGFF: 0.5 is Zarr v3, 0.4 is Zarr v2 and has no shards.
    target : Path, optional
        What messages call it; by default `folder`.

    Raises
    ------
    UsageError
        When the version is unknown, or is 0.4 and the layout has shards.
    WriteError
        When zarr is too old, or the folder cannot be written to.
    """
    path = target or folder
    check_version(version)
    require_zarr(path)
    sides = (int(shape[0]), int(shape[1]), int(shape[2]))
    first = layout or default_layout(sides, sharded=False)
    if first.shards is not None and version == "0.4":
        raise UsageError("OME-Zarr version '0.4' has no shards: use version 0.5, or a layout without shards.")
    levels = [Level(sides, (1, 1, 1), first)]
    for factor in pyramid_factors(sides, spacing):
        sides = reduced_shape(sides, factor)
        levels.append(Level(sides, factor, default_layout(sides, sharded=first.shards is not None)))
    store = OmeZarrStore(str(folder), str(path), content, tuple(levels))
    with store._writing():
        write_groups(folder, content, [level.factor for level in levels[1:]], spacing, version)
        for place, values in content.images():
            for number, level in enumerate(levels):
                _create_array(folder / place / str(number), level, values.dtype, version)
    return store


@contextmanager
def new_ome_zarr(
    path: str | os.PathLike[str],
    shape: Sequence[int],
    content: Content,
    *,
    spacing: Spacing | None,
    overwrite: bool,
    tile: Sequence[int] | None = None,
    version: str = "0.5",
) -> Iterator[OmeZarrStore]:
    """A store beside `path` that takes its place when the block ends well, and vanishes when it does not.

    The pyramid is the caller's to make: by :meth:`OmeZarrStore.reduce` on workers, or
    :meth:`OmeZarrStore.complete`.

    Parameters
    ----------
    path : path-like
        The folder; it appears only when complete.
    shape, content, spacing, version
        As of :func:`create_store`.
    overwrite : bool
        Whether an existing output is replaced.
    tile : sequence of int, optional
        Sides (z, y, x) of the tiles that will write level 0; see
        :func:`fastseg.io.omezarr_layout.layout_for`.

    Raises
    ------
    UsageError
        When the version is unknown.
    WriteError
        When zarr is too old, or the output exists already or cannot be written.
    """
    check_version(version)
    final = Path(path)
    require_zarr(final)
    layout = None if tile is None else layout_for(tile, shape, sharded=version != "0.4")
    with atomic_output(final, overwrite=overwrite, needed=content.bytes_needed(shape)) as temporary:
        yield create_store(
            temporary, shape, content, spacing=spacing, layout=layout, version=version, target=final
        )


def _create_array(folder: Path, level: Level, dtype: np.dtype, version: str) -> None:
    import zarr

    options: dict[str, Any] = {"dimension_names": list("zyx"), "shards": level.layout.shards}
    if version == "0.4":
        options = {"zarr_format": 2, "chunk_key_encoding": {"name": "v2", "separator": "/"}}
    zarr.create_array(
        str(folder), shape=level.shape, chunks=level.layout.chunks, dtype=dtype, fill_value=0, **options
    )
