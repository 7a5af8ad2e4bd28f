"""Opening CZI and other microscope formats through BioIO, or through its predecessor aicsimageio."""

from __future__ import annotations

import contextlib
import io
import threading
import warnings
from collections.abc import Iterator
from importlib import import_module
from importlib.util import find_spec
from pathlib import PurePath
from typing import Any

import numpy as np

from fastseg.errors import ReadError
from fastseg.io.lazy import Squeezed, reason
from fastseg.io.source import Scene, Source
from fastseg.io.units import known_spacing

# Suffix: BioIO plug-in that reads it, and what to install.
_PLUGINS = {
    ".czi": ("bioio_czi", "'fastseg-bio[czi]'"),
    ".nd2": ("bioio_nd2", "bioio-nd2"),
    ".lif": ("bioio_lif", "bioio-lif"),
    ".dv": ("bioio_dv", "bioio-dv"),
    ".r3d": ("bioio_dv", "bioio-dv"),
    ".sldy": ("bioio_sldy", "bioio-sldy"),
}
_FALLBACK = "bioio-bioformats"


class BioioArray:
    """One scene as a sliceable TCZYX array; it opens the file when first read, and pickles as its path."""

    def __init__(self, path: str, scene: int, shape: tuple[int, ...], dtype: np.dtype) -> None:
        self.path, self.scene, self.shape, self.dtype = path, scene, shape, dtype
        self._data: Any = None
        self._lock = threading.Lock()

    def __getstate__(self) -> tuple[Any, ...]:
        return self.path, self.scene, self.shape, self.dtype

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.__init__(*state)  # type: ignore[misc]

    def __getitem__(self, key: tuple[int | slice, ...]) -> np.ndarray:
        with self._lock, _quiet():
            if self._data is None:
                image = _open(self.path)
                image.set_scene(self.scene)
                self._data = image.get_image_dask_data("TCZYX")
            # Files of these formats are read by one handle, which gains nothing from Dask's threads.
            return np.asarray(self._data[key].compute(scheduler="synchronous"))


def open_bioio(path: str) -> Source:
    """Open a file with the BioIO plug-in for its format.

    Raises
    ------
    ReadError
        When no plug-in reads it, naming the one to install, or when it is damaged.
    """
    with _quiet():
        image = _open(path)
        try:
            names = tuple(str(name) for name in image.scenes)
        except Exception as error:
            raise _unreadable(path, error) from error

    def open_scene(index: int) -> Scene:
        with _quiet():
            try:
                image.set_scene(index)
                return _scene(image, path, index)
            except ReadError:
                raise
            except Exception as error:
                raise _unreadable(path, error) from error

    return Source(path, "BioIO", names, open_scene)


def _scene(image: Any, path: str, index: int) -> Scene:
    extra = [a for a in image.reader.dims.order if a not in "TCZYX" and getattr(image.reader.dims, a) > 1]
    if "S" in extra:
        raise ReadError(
            f"{path} is a colour (RGB) image: fastseg segments intensities, so export its channels "
            "separately."
        )
    if extra:
        raise ReadError(
            f"{path} has axes {image.reader.dims.order}, with {extra} besides TCZYX: export it as an "
            "OME-TIFF."
        )
    array = BioioArray(path, index, tuple(int(n) for n in image.shape), np.dtype(image.dtype))
    sizes = image.physical_pixel_sizes
    spacing = known_spacing([sizes.Z, sizes.Y, sizes.X])
    notes: tuple[str, ...] = ()
    if spacing == (1.0, 1.0, 1.0):
        spacing = None
        notes = (
            f"1.0 um for every axis in {PurePath(path).name} is what files without voxel size give: not used "
            "(give it with --spacing)",
        )
    elif spacing is None:
        notes = (f"no voxel size in {PurePath(path).name} (give it with --spacing)",)
    channels = tuple(str(name) for name in image.channel_names or ())
    # Images have all five axes here. A single plane counts as a stack where the distance of planes is known,
    # else as 2-D.
    absent = "TC" if sizes.Z is not None else "TCZ"
    kept = [i for i, (a, n) in enumerate(zip("TCZYX", array.shape, strict=True)) if n > 1 or a not in absent]
    return Scene(Squeezed(array, kept), "".join("TCZYX"[i] for i in kept), spacing, channels, notes=notes)


def _open(path: str) -> Any:
    """A BioImage, or an AICSImage where BioIO is not to be had."""
    suffix = PurePath(path).suffix.lower()
    try:
        bioio = import_module("bioio")
    except ImportError as error:
        return _open_with_aicsimageio(path, error)
    module, install = _PLUGINS.get(suffix, (None, _FALLBACK))
    try:
        if module is not None and find_spec(module):
            # Named, because BioIO otherwise tries every plug-in that claims the suffix.
            return bioio.BioImage(path, reader=import_module(module).Reader)
        return bioio.BioImage(path)
    except Exception as error:
        missing = not find_spec(module) if module else type(error).__name__ == "UnsupportedFileFormatError"
        if not missing:
            raise _unreadable(path, error) from error
        raise ReadError(
            f"{path} is no image that fastseg can read as installed: if it is a microscope's "
            f"{suffix or 'unnamed'} format, "
            f"install its BioIO plug-in with pip install {install}."
        ) from error


def _open_with_aicsimageio(path: str, missing: ImportError) -> Any:
    try:
        return import_module("aicsimageio").AICSImage(path)
    except ImportError:
        raise ReadError(
            f"{path} needs BioIO to be read, which does not import ({reason(missing)}): pip install "
            "'fastseg-bio[czi]'."
        ) from missing
    except Exception as error:
        raise _unreadable(path, error) from error


def _unreadable(path: str, error: BaseException) -> ReadError:
    return ReadError(
        f"{path} cannot be read, it is damaged or of another format than its name says ({reason(error)})."
    )


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Swallow what readers print and warn: BioIO reports every plug-in that failed before one succeeds."""
    with (
        contextlib.redirect_stderr(io.StringIO()),
        contextlib.redirect_stdout(io.StringIO()),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore")
        yield
