"""fastseg: segmentation of 3D fluorescence microscopy, whole or tiled, on CPUs and GPUs.

>>> import fastseg
>>> image = fastseg.read("cells.ome.tif", channel="Lamin")    # doctest: +SKIP
>>> mask = fastseg.segment(image, workflow="lmnb1_interphase")  # doctest: +SKIP
>>> smooth = fastseg.operators.gaussian_smooth(stack, sigma=1)  # doctest: +SKIP
"""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastseg.version import __version__

if TYPE_CHECKING:
    from fastseg import operators as operators
    from fastseg.io import read as read
    from fastseg.io.image import Image as Image
    from fastseg.workflow.segment import segment as segment

# Loaded on first use: `import fastseg` itself must cost next to nothing.
_LAZY = {
    "Image": "fastseg.io.image",
    "read": "fastseg.io",
    "segment": "fastseg.workflow.segment",
    "operators": "",
}

_ROOT = Path(__file__).resolve().parents[1]
if (_ROOT / "kernels" / "jit.py").exists() and find_spec("fastseg.kernels") is None:
    __path__.append(str(_ROOT))  # a checkout that is not installed keeps its kernels beside the package

__all__ = ["Image", "__version__", "operators", "read", "segment"]


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module 'fastseg' has no attribute '{name}'")
    module = _LAZY[name]
    return getattr(import_module(module), name) if module else import_module(f"fastseg.{name}")


def __dir__() -> list[str]:
    return sorted([*globals(), *_LAZY])
