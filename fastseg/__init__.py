"""fastseg: segmentation of 3D fluorescence microscopy, whole or tiled, on CPUs and GPUs."""

__version__ = "0.1.0"
