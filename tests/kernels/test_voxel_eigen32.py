"""Eigenvalues in float32 against LAPACK in float64: double and triple roots, any scale."""

from __future__ import annotations

import numpy as np
import pytest
from numba import njit

from fastseg.kernels.voxel import eigen32

BOUND_3X3, BOUND_2X2 = 4e-7, 2.5e-7


@njit
def _of_3x3(matrices: np.ndarray, out: np.ndarray) -> None:
    for i in range(matrices.shape[0]):
        m = matrices[i]
        out[i] = eigen32.eigenvalues_3x3(m[0, 0], m[1, 1], m[2, 2], m[0, 1], m[0, 2], m[1, 2])


@njit
def _of_2x2(matrices: np.ndarray, out: np.ndarray) -> None:
    for i in range(matrices.shape[0]):
        m = matrices[i]
        out[i] = eigen32.eigenvalues_2x2(m[0, 0], m[1, 1], m[0, 1])


def _matrices(roots: np.ndarray, seed: int) -> np.ndarray:
    """Symmetric float32 matrices with about these eigenvalues."""
    n = roots.shape[1]
    turn = np.linalg.qr(np.random.default_rng(seed).normal(size=(len(roots), n, n)))[0]
    found = np.einsum("kij,kj,klj->kil", turn, roots, turn).astype(np.float32)
    return (found + found.transpose(0, 2, 1)) / np.float32(2)


def _roots(kind: str, n: int, count: int = 8_000) -> np.ndarray:
    rng = np.random.default_rng(5)
    roots = rng.normal(size=(count, n))
    if kind == "double":  # a bright tube
        roots[:, 1] = roots[:, 0]
    elif kind == "nearly double":
        roots[:, 1] = roots[:, 0] * (1 + 10.0 ** rng.uniform(-8, -1, count))
    elif kind == "triple":
        roots[:] = roots[:, :1]
    elif kind == "nearly triple":
        roots[:] = roots[:, :1] * (1 + 10.0 ** rng.uniform(-8, -1, (count, 1)) * rng.normal(size=(count, n)))
    elif kind == "rank one":
        roots[:, 1:] = 0
    return roots


KINDS = ["any", "double", "nearly double", "triple", "nearly triple", "rank one"]


@pytest.mark.parametrize("scale", [1.0, 1e-6, 1e-25, 1e30])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("n", "solve", "bound"), [(3, _of_3x3, BOUND_3X3), (2, _of_2x2, BOUND_2X2)])
def test_error(n: int, solve: object, bound: float, kind: str, scale: float) -> None:
    matrices = _matrices(scale * _roots(kind, n), 1)
    found = np.empty(matrices.shape[:2], np.float32)
    solve(matrices, found)  # type: ignore[operator]
    exact = np.linalg.eigvalsh(matrices.astype(np.float64))
    error = np.abs(found - exact).max(axis=1) / np.abs(exact).max(axis=1)
    assert error.max() <= bound


def test_matrices_of_zeros_and_diagonals() -> None:
    matrices = np.zeros((3, 3, 3), np.float32)
    matrices[1] = np.diag([2, 2, 2])
    matrices[2] = np.diag([3, -1, 3])
    found = np.empty((3, 3), np.float32)
    _of_3x3(matrices, found)
    np.testing.assert_allclose(found, [[0, 0, 0], [2, 2, 2], [-1, 3, 3]], atol=1e-6)
    flat = np.empty((3, 2), np.float32)
    _of_2x2(matrices[:, :2, :2], flat)
    np.testing.assert_allclose(flat, [[0, 0], [2, 2], [-1, 3]], atol=1e-6)
