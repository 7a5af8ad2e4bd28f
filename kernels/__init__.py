"""Compiled loops. This package imports nothing from fastseg and is shipped as ``fastseg.kernels``.

``voxel`` holds the arithmetic of one voxel as plain functions, ``cpu`` the parallel loops over it, ``cuda`` the grids.
"""
