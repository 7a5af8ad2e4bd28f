"""The arithmetic of one voxel against NumPy in float64."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numba import njit

from fastseg.kernels.voxel.diffusion import face_factors, face_flux, fixed_point, power_of_two
from fastseg.kernels.voxel.eigen import by_magnitude_2, by_magnitude_3, eigenvalues_2x2, eigenvalues_3x3
from fastseg.kernels.voxel.hessian import hessian_2d, hessian_across_planes
from fastseg.kernels.voxel.vesselness import response

EPS = np.finfo(np.float64).eps
ENTRIES = st.floats(-(2.0**10), 2.0**10, width=32)  # as differences of float32 voxels


@njit
def powers_of_two(x, out):
    for i in range(x.size):
        out[i] = power_of_two(x[i])


@njit
def responses(middle, last, floor):
    """float32 as in the loops over voxels."""
    return response(np.float32(middle), np.float32(last), np.float32(floor))


def matrix_3(zz: float, yy: float, xx: float, zy: float, zx: float, yx: float) -> np.ndarray:
    return np.array([[zz, zy, zx], [zy, yy, yx], [zx, yx, xx]])


def assert_eigenvalues(got: tuple[float, ...], matrix: np.ndarray, tolerance: float) -> None:
    """Ascending, and within `tolerance` of the matrix norm."""
    assert list(got) == sorted(got)
    expected = np.linalg.eigvalsh(matrix)
    np.testing.assert_allclose(got, expected, rtol=0, atol=tolerance * np.abs(matrix).max() + 1e-300)


@given(st.tuples(*[ENTRIES] * 6))
def test_eigenvalues_3x3(entries: tuple[float, ...]) -> None:
    low, middle, high = eigenvalues_3x3(*entries)
    # close to a double root the closed form loses half of the digits
    matrix = matrix_3(*entries)
    np.testing.assert_allclose(
        [low, middle, high], np.linalg.eigvalsh(matrix), rtol=0, atol=1e-7 * np.abs(matrix).max() + 1e-300
    )


def test_eigenvalues_3x3_of_random_matrices_are_accurate() -> None:
    rng = np.random.default_rng(1)
    worst = []
    for scale in (1e-12, 1e-3, 1.0, 1e6):
        for _ in range(500):
            entries = rng.standard_normal(6) * scale
            matrix = matrix_3(*entries)
            expected = np.linalg.eigvalsh(matrix)
            if np.diff(expected).min() > 0.1 * scale:
                worst.append(np.abs(np.array(eigenvalues_3x3(*entries)) - expected).max() / scale)
    assert max(worst) < 1e-10


@pytest.mark.parametrize(
    "entries",
    [
        (0, 0, 0, 0, 0, 0),
        (1, 1, 1, 0, 0, 0),
        (-2.5, -2.5, -2.5, 0, 0, 0),
        (3, 1, 2, 0, 0, 0),
        (1, 1, 5, 0, 0, 0),
        (5, 5, 1, 0, 0, 0),
        (2, 2, 2, 1, 1, 1),
        (2, 2, 2, -1, -1, -1),
        (0, 0, 0, 1, 0, 0),
        (0, 0, 0, 1, 1, 1),
        (1e-310, -1e-310, 2e-310, 1e-311, 0, 0),
        (1e-160, 2e-160, -1e-160, 3e-161, 1e-160, 0),
        (1e100, -3e100, 2e100, 1e100, 5e99, -2e100),
        (1e30, 1, -1e30, 0, 0, 0),
    ],
)
def test_eigenvalues_3x3_of_special_matrices(entries: tuple[float, ...]) -> None:
    entries = tuple(float(e) for e in entries)
    tolerance = (
        1e-7 if max(map(abs, entries)) > 1e-150 else 2
    )  # squares underflow: the mean takes the place of all
    assert_eigenvalues(eigenvalues_3x3(*entries), matrix_3(*entries), tolerance)


def test_eigenvalues_3x3_keep_trace_and_sign() -> None:
    rng = np.random.default_rng(2)
    for _ in range(300):
        m = rng.standard_normal((3, 3))
        negative = -(m @ m.T) - 0.01 * np.eye(3)
        low, middle, high = eigenvalues_3x3(
            negative[0, 0], negative[1, 1], negative[2, 2], negative[0, 1], negative[0, 2], negative[1, 2]
        )
        assert low <= middle <= high < 0
        assert low + middle + high == pytest.approx(np.trace(negative), rel=1e-12)


@given(ENTRIES, ENTRIES, ENTRIES)
def test_eigenvalues_2x2(yy: float, xx: float, yx: float) -> None:
    matrix = np.array([[yy, yx], [yx, xx]])
    assert_eigenvalues(eigenvalues_2x2(yy, xx, yx), matrix, 8 * EPS)


@pytest.mark.parametrize(
    "entries", [(0.0, 0.0, 0.0), (2.0, 2.0, 0.0), (-1.0, 3.0, 0.0), (0.0, 0.0, 1.0), (1e100, -1e100, 3e99)]
)
def test_eigenvalues_2x2_of_special_matrices(entries: tuple[float, ...]) -> None:
    yy, xx, yx = entries
    assert_eigenvalues(eigenvalues_2x2(yy, xx, yx), np.array([[yy, yx], [yx, xx]]), 8 * EPS)


_SMALL = st.sampled_from([-2.0, -1.0, -0.5, 0.0, 0.5, 1.0, 2.0])


@given(st.lists(st.one_of(_SMALL, ENTRIES), min_size=3, max_size=3).map(sorted))
def test_order_by_magnitude(values: list[float]) -> None:
    assert list(by_magnitude_3(*values)) == sorted(values, key=abs)  # sorted is stable
    assert list(by_magnitude_2(values[0], values[2])) == sorted([values[0], values[2]], key=abs)


def test_power_of_two_within_three_units_in_the_last_place() -> None:
    rng = np.random.default_rng(3)
    x = np.concatenate(
        [-rng.uniform(0, 64, 200_000), -np.logspace(-30, 1.8, 100_000), -np.arange(129) / 2, [0.0]]
    ).astype(np.float32)
    got = np.empty_like(x)
    powers_of_two(x, got)
    exact = np.exp2(x.astype(np.float64))
    ulp = np.spacing(exact.astype(np.float32)).astype(np.float64)
    assert (np.abs(got - exact) / ulp).max() < 3


def test_power_of_two_is_exact_at_whole_numbers_and_ends_at_its_floor() -> None:
    x = np.array([0.0, -0.0, -1.0, -64.0, -64.5, -1e30, -np.inf], np.float32)
    got = np.empty_like(x)
    powers_of_two(x, got)
    np.testing.assert_array_equal(got, np.array([1, 1, 0.5, *[2.0**-64] * 4], np.float32))


def test_power_of_two_rises() -> None:
    x = np.sort(-np.random.default_rng(4).uniform(0, 20, 100_000)).astype(np.float32)
    got = np.empty_like(x)
    powers_of_two(x, got)
    assert (np.diff(got.astype(np.float64)) >= -2 * np.spacing(got[1:])).all()


@pytest.mark.parametrize("value", [0.0, 1e-30, 0.3, 0.7, 1.0, 1e6])
@pytest.mark.parametrize("scale", [0.0, 1.0, 2.0**20, 1e9])
def test_fixed_point_is_the_nearest_whole_number(value: float, scale: float) -> None:
    got = fixed_point(np.float32(value), scale)
    assert isinstance(got, int)
    assert got == round(float(np.float32(value)) * scale)


_DIFFERENCE = st.floats(-2, 2, width=32)


@given(_DIFFERENCE, _DIFFERENCE, _DIFFERENCE, st.floats(-9, 0, width=32), st.integers(0, 2))
def test_flux_through_a_face(f: float, a: float, b: float, inverse: float, axis: int) -> None:
    weights = (1.0, 0.5, 2.0)
    factors = face_factors(tuple(np.float32(w) for w in weights), np.float32(inverse), np.float32(0.0625))
    given_factors = tuple(np.float32(v) for v in factors[axis])  # Python's floats otherwise
    got = face_flux(*(np.float32(v) for v in (f, a, b)), given_factors)
    across = [w for i, w in enumerate(weights) if i != axis]
    exponent = ((f * weights[axis]) ** 2 + (a * across[0] / 4) ** 2 + (b * across[1] / 4) ** 2) * inverse
    if exponent > -44:
        assert got == pytest.approx(0.0625 * f * weights[axis] * np.exp(exponent), rel=2e-5, abs=1e-37)


def response_by_formula(e: float, last: float, floor: float) -> float:
    lowered = floor if floor < last < 0 else last
    if e >= 0 or last >= 0:
        return 0.0
    if e < lowered / 2:
        return 1.0
    gap = abs(lowered - e)
    cube = (2 * abs(e) + gap) ** 3
    return 27 * e**2 * gap / (cube if cube else 1e-10)


_EIGEN = st.one_of(st.sampled_from([0.0, -0.5, -1.0, -2.0, 1.0]), st.floats(-3, 3, width=32))
_FLOOR = st.one_of(st.sampled_from([0.0, -1.0, -2.0]), st.floats(-4, 0, width=32))


@given(_EIGEN, _EIGEN, _FLOOR)
def test_response(e: float, last: float, floor: float) -> None:
    got = responses(e, last, floor)
    assert 0 <= got <= 1
    assert got == pytest.approx(response_by_formula(e, last, floor), rel=2e-6, abs=1e-12)


def test_response_does_not_depend_on_the_range_of_the_image() -> None:
    for exponent in (-120, -40, 0, 40, 100):
        unit = 2.0**exponent
        assert responses(-0.25 * unit, -unit, -unit) == responses(-0.25, -1.0, -1.0)


@pytest.mark.parametrize(
    ("part", "expected"), [(0.25, 27 * 0.0625 * 0.75 / 1.25**3), (0.5, 1.0), (0.500001, 1.0), (1.0, 1.0)]
)
def test_response_is_one_curve_of_the_part_of_the_floor(part: float, expected: float) -> None:
    for floor in (-1.0, -1e-6, -1e6):
        assert responses(part * floor, floor, floor) == pytest.approx(expected, rel=1e-6)


def test_response_rises_strictly_to_one() -> None:
    curve = np.array([responses(-p, -1.0, -1.0) for p in np.linspace(0.001, 0.5, 200)])
    assert (np.diff(curve[curve < 0.9999]) > 0).all()
    assert 0 < curve[0] < curve[-1] == 1


@pytest.mark.parametrize("shape", [(2, 3, 4), (3, 2, 5), (4, 5, 2), (6, 7, 8)])
def test_hessian_is_numpy_gradient_twice(shape: tuple[int, int, int]) -> None:
    image = np.random.default_rng(5).random(shape).astype(np.float32)
    rows = [np.gradient(g) for g in np.gradient(image.astype(np.float64))]
    planes = [[np.gradient(g) for g in np.gradient(plane.astype(np.float64))] for plane in image]
    scale = np.float32(2.25)
    for z, y, x in np.ndindex(shape):
        expected = [2.25 * rows[i][j][z, y, x] for i, j in ((0, 0), (0, 1), (0, 2))]
        np.testing.assert_allclose(hessian_across_planes(image, z, y, x, scale), expected, atol=1e-6)
        expected = [2.25 * planes[z][i][j][y, x] for i, j in ((0, 0), (1, 1), (0, 1))]
        np.testing.assert_allclose(hessian_2d(image, z, y, x, scale), expected, atol=1e-6)
