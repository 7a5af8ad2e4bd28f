"""Small files and workflows for tests of whole runs, with results that numpy alone can predict."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import tifffile

SHAPE = (8, 32, 32)
SPACING = (0.3, 0.2, 0.1)
LEVEL = 500

BRIGHT = f"""\
schema_version: 1
name: bright
title: Bright voxels
structure: test
steps:
  - id: over
    operator: greater_than
    inputs: [image]
    parameters: {{value: {LEVEL}}}
result: {{step: over}}
"""
"""Foreground is every voxel above LEVEL."""

EVERYTHING = """\
schema_version: 1
name: everything
steps:
  - {id: norm, operator: intensity_normalize, inputs: [image], parameters: {scaling: [0]}}
  - {id: im, operator: rescale_xy, inputs: [norm], when: rescale}
  - {id: over, operator: greater_than, inputs: [im], parameters: {value: 0.5}}
  - {id: middle, operator: middle_frame, inputs: [im]}
  - {id: plane, operator: take_slice, inputs: [im, middle]}
  - {id: flat, operator: greater_than, inputs: [plane], parameters: {value: 0.5}}
  - {id: seeds, operator: seeds_from_slice, inputs: [flat, over, middle], parameters: {background_seed: false}}
result: {step: over, foreground: 7}
exposes: {im_norm: norm, seed: seeds}
"""
"""Steps of every kind: image, mask, labels, a scalar and a plane."""

STRUCTURED = """\
schema_version: 1
name: tubes
steps:
  - {id: r, operator: jerman_vesselness, inputs: [image], parameters: {sigmas: [1]}}
  - {id: over, operator: greater_than, inputs: [r], parameters: {value: 0.1}}
result: {step: over}
"""
"""Needs more than one plane."""


def stack(seed: int = 0, shape: tuple[int, ...] = SHAPE) -> np.ndarray:
    """uint16 noise from 0 to 999."""
    return np.random.default_rng(seed).integers(0, 1000, shape).astype(np.uint16)


def write_stack(path: Path, array: np.ndarray | None = None, axes: str = "ZYX") -> Path:
    """An OME-TIFF with axes and voxel size."""
    path.parent.mkdir(parents=True, exist_ok=True)
    metadata = {"axes": axes}
    for axis, length in zip("ZYX", SPACING, strict=True):
        metadata |= {f"PhysicalSize{axis}": length, f"PhysicalSize{axis}Unit": "µm"}
    tifffile.imwrite(path, stack() if array is None else array, ome=True, metadata=metadata)
    return path


def write_workflow(folder: Path, text: str = BRIGHT, name: str = "bright.yaml") -> Path:
    """A definition file."""
    path = folder / name
    path.write_text(text)
    return path


def expected(array: np.ndarray, foreground: int = 255) -> np.ndarray:
    """The result of the workflow BRIGHT."""
    return np.where(array > LEVEL, foreground, 0).astype(np.uint8)


def files_in(folder: Path) -> list[str]:
    """Names of everything in a folder, hidden files included, sorted; empty if there is no folder."""
    return sorted(os.listdir(folder)) if folder.is_dir() else []
