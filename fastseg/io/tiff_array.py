"""Lazy access to one image of a TIFF file, page by page and segment by segment."""

from __future__ import annotations

import math
import os
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np

from fastseg.errors import ReadError

_THREADS = 4
_SMALL = 1 << 22


class TiffArray:
    """An image series of a TIFF file as a sliceable array.

    Uncompressed contiguous images are mapped for the time of one read; of others, only the pages, and of
    tiled or stripped pages only the segments, that a slice touches are decoded. The file is open only while
    reading, and the object pickles as its path.

    Parameters
    ----------
    path : str
        The file.
    series : int
        Which image of the file, at full resolution.
    shape : tuple of int
        Its shape, as tifffile reports it.
    dtype : numpy.dtype
        Its data type, native byte order.
    """

    def __init__(self, path: str, series: int, shape: tuple[int, ...], dtype: np.dtype) -> None:
        self.path = path
        self.series = series
        self.shape = shape
        self.dtype = dtype
        self._pages: list[Any] | None = None
        self._mapped: tuple[int, np.dtype] | None = None
        self._lock = threading.Lock()

    def __getstate__(self) -> tuple[Any, ...]:
        return self.path, self.series, self.shape, self.dtype

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.__init__(*state)  # type: ignore[misc]

    def __getitem__(self, key: tuple[int | slice, ...]) -> np.ndarray:
        with self._lock:
            pages = self._open()
            if self._mapped is None:
                return self._read(pages, key)
            offset, dtype = self._mapped
            mapped = np.memmap(self.path, dtype, "r", offset, self.shape)
            return np.array(mapped[key], dtype=self.dtype)

    def check_complete(self) -> None:
        """Make sure that every byte of every page is in the file.

        Raises
        ------
        ReadError
            When the file is truncated, or another file of a set is missing.
        """
        with self._lock:
            pages = self._open()
            if self._mapped is not None:
                if self._mapped[0] + math.prod(self.shape) * self.dtype.itemsize > os.path.getsize(self.path):
                    raise truncated(self.path)
                return
            for number, page in enumerate(pages):
                if page is None:
                    raise ReadError(
                        f"{self.path} misses page {number + 1} of {len(pages)}: if it belongs to a set of "
                        "files, keep them "
                        "together, otherwise export it again."
                    )
                size = page.parent.filehandle.size
                for offset, count in zip(page.dataoffsets, page.databytecounts, strict=True):
                    if offset <= 0 or count <= 0 or offset + count > size:
                        raise truncated(self.path)

    def _open(self) -> list[Any]:
        """Find the pages, once; the file is closed again afterwards."""
        if self._pages is None:
            from tifffile import TiffFile

            with TiffFile(self.path) as file:
                level = file.series[self.series].levels[0]
                if level.dataoffset is not None and not getattr(level, "is_multifile", False):
                    self._mapped = int(level.dataoffset), np.dtype(level.dtype).newbyteorder(file.byteorder)
                    self._pages = []
                else:
                    self._pages = list(level.pages)
        return self._pages

    def _read(self, pages: list[Any], key: tuple[int | slice, ...]) -> np.ndarray:
        keyframe = next(page for page in pages if page is not None).keyframe
        lead = _lead_axes(self.shape, len(pages), tuple(keyframe.shape))
        chosen = np.arange(len(pages)).reshape(self.shape[:lead])[key[:lead]]
        wanted = [pages[int(number)] for number in np.ravel(chosen)]
        page_shape, page_key = self.shape[lead:], key[lead:]
        lock = threading.RLock()
        # Pages of plain samples are decoded by segment, so that a small box of a large page stays cheap.
        by_segment = (
            keyframe.shaped == (1, 1, *page_shape, 1)
            and len(keyframe.dataoffsets) > 1
            and keyframe.jpegtables is None
        )

        def decode(page: Any) -> np.ndarray:
            if by_segment:
                return _read_segments(page, page_shape, page_key, lock)
            # A copy: a view would keep the whole page in memory until the last one is decoded.
            return page.asarray(lock=lock, maxworkers=1).reshape(page_shape)[page_key].copy()

        with _opened(wanted):
            if len(wanted) > 1 and math.prod(page_shape) * len(wanted) * self.dtype.itemsize > _SMALL:
                with ThreadPoolExecutor(min(_THREADS, os.cpu_count() or 1)) as pool:
                    planes = list(pool.map(decode, wanted))
            else:
                planes = [decode(page) for page in wanted]
        return np.stack(planes).astype(self.dtype, copy=False).reshape(np.shape(chosen) + planes[0].shape)


def truncated(path: str) -> ReadError:
    """The error for a file that ends too early."""
    return ReadError(f"{path} is truncated: it ends before its last page does, so copy or export it again.")


def _lead_axes(shape: tuple[int, ...], pages: int, page_shape: tuple[int, ...]) -> int:
    """How many leading axes of `shape` run over pages; the others lie inside a page."""
    fitting = [n for n in range(len(shape) + 1) if math.prod(shape[:n]) == pages]
    exact = [n for n in fitting if shape[n:] == page_shape]
    if not fitting:
        raise ValueError(f"{pages} pages of shape {page_shape} do not make up an image of shape {shape}")
    return (exact or fitting)[0]


def _read_segments(page: Any, shape: tuple[int, ...], key: Sequence[int | slice], lock: Any) -> np.ndarray:
    """Decode the strips or tiles of one (Y, X) page that `key` touches, and nothing else."""
    rows, columns = (_span(item, length) for item, length in zip(key, shape, strict=True))
    keyframe, handle = page.keyframe, page.parent.filehandle
    box = np.zeros((rows.stop - rows.start, columns.stop - columns.start), keyframe.dtype)
    for number in _touched(keyframe, rows, columns):
        offset, count = page.dataoffsets[number], page.databytecounts[number]
        _, (_, _, top, left, _), _ = keyframe.decode(None, number)
        with lock:
            handle.seek(offset)
            data = handle.read(count)
        segment = keyframe.decode(data, number)[0][0, :, :, 0]
        y0, x0 = max(top, rows.start), max(left, columns.start)
        part = segment[y0 - top : rows.stop - top, x0 - left : columns.stop - left]
        y, x = y0 - rows.start, x0 - columns.start
        box[y : y + part.shape[0], x : x + part.shape[1]] = part
    inner = (
        item - span.start if isinstance(item, int) else slice(0, None, item.step)
        for item, span in zip(key, (rows, columns), strict=True)
    )
    return box[tuple(inner)]


def _touched(keyframe: Any, rows: slice, columns: slice) -> Iterator[int]:
    """Numbers of the strips or tiles of a (Y, X) page that share a pixel with a box."""
    if not keyframe.is_tiled:
        yield from range(rows.start // keyframe.rowsperstrip, -(-rows.stop // keyframe.rowsperstrip))
        return
    high, wide = keyframe.tilelength, keyframe.tilewidth
    per_row = -(-keyframe.imagewidth // wide)
    for row in range(rows.start // high, -(-rows.stop // high)):
        for column in range(columns.start // wide, -(-columns.stop // wide)):
            yield row * per_row + column


def _span(item: int | slice, length: int) -> slice:
    """The half-open range that an index with positive step covers."""
    if isinstance(item, slice):
        wanted = range(*item.indices(length))
        return slice(wanted[0], wanted[-1] + 1)
    return slice(item, item + 1)


@contextmanager
def _opened(pages: Sequence[Any]) -> Iterator[None]:
    """Keep the files of `pages` open: tifffile logs a warning for every page read from a closed one."""
    handles = {id(page.parent.filehandle): page.parent.filehandle for page in pages}
    with ExitStack() as stack:
        for handle in handles.values():
            if handle.closed:
                handle.open()
                stack.callback(handle.close)
        yield
