"""The arithmetic of one voxel, written once.

These functions are compiled by `numba.njit` and called from the CPU loops and the CUDA kernels alike. They use only
what IEEE 754 defines exactly (+ - * / sqrt) and own polynomials: calls into libm or SVML round differently in the
vector body and in the scalar tail of a loop, and a tile border would then show in the last bit.

Most are inlined by force: a loop with a call in it does not vectorise, and the compiler leaves long functions as calls.
Conditions choose between values that are both computed, for the same reason.
"""
