"""CUDA grids over the same voxel arithmetic as ``kernels.cpu``: same function names, arguments and results.

Arrays are anything with ``__cuda_array_interface__``. Kernels run on the current device and on the stream that
CuPy works on.
"""
