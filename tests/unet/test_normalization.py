"""Normalisation recipes against their formulas in float64."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage as ndi

from fastseg.errors import InputError, UsageError
from fastseg.tiling import Engine
from fastseg.unet.normalization import RECIPES, contrast, get_recipe, normalize, recipe_of
from tests.support import frozen

IMAGE = frozen((np.random.default_rng(2).gamma(2, 900, (12, 40, 44)) + 100).astype(np.float32))


def stretch(x: np.ndarray, a: float, b: float, high: float = 0, low: float = 0) -> np.ndarray:
    chosen = np.ones(x.shape, bool)
    if high > 0:
        chosen &= x < high
    if low > 0:
        chosen &= x > low
    mean, std = x[chosen].mean(), x[chosen].std()
    lo, hi = max(mean - a * std, x.min()), min(mean + b * std, x.max())
    return (np.clip(x, lo, hi) - lo + 1e-8) / (hi - lo + 1e-8)


def flat(x: np.ndarray) -> np.ndarray:
    above = x - ndi.gaussian_filter(x, 50, mode="nearest", truncate=3)
    return (above - above.min()) / (above.max() - above.min())


def minimum_25(x: np.ndarray) -> np.ndarray:
    hi, lo = min(x.mean() + 25 * x.std(), x.max()), x.min()
    return (np.minimum(x, hi) - lo + 1e-8) / (hi - lo + 1e-8)


FORMULAS = {
    0: lambda x: (x - x.min() + 1e-8) / (x.max() - x.min() + 1e-7),
    1: lambda x: stretch(x, 2, 11),
    2: lambda x: stretch(x, 2.5, 10),
    4: lambda x: stretch(x, 1, 15),
    7: lambda x: stretch(x, 1, 6),
    10: minimum_25,
    11: flat,
    12: lambda x: stretch(flat(x), 2.5, 10),
    13: lambda x: stretch(flat(x), 2, 11),
    14: lambda x: stretch(x, 1, 10),
    15: lambda x: flat(np.where(x > 4000, x.min(), x)),
    16: lambda x: stretch(flat(x), 1.5, 6),
    17: lambda x: stretch(flat(x), 1, 10),
    18: lambda x: stretch(flat(x), 1.5, 10),
}


def test_all_numbers_are_there() -> None:
    assert [r.number for r in RECIPES] == [*FORMULAS, None]
    assert len({r.name for r in RECIPES}) == len(RECIPES)


@pytest.mark.parametrize("number", FORMULAS)
def test_recipe_is_its_formula(number: int) -> None:
    expected = FORMULAS[number](IMAGE.astype(np.float64))
    found = normalize(IMAGE, number)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=2e-6, rtol=0)
    np.testing.assert_array_equal(normalize(IMAGE, get_recipe(number).name), found)


def test_contrast_of_selected_voxels() -> None:
    found = normalize(IMAGE, recipe_of([contrast(1, 4, 3000, 500)]))
    np.testing.assert_allclose(found, stretch(IMAGE.astype(np.float64), 1, 4, 3000, 500), atol=2e-6, rtol=0)


@pytest.mark.parametrize("number", [1, 10, 12, 15])
def test_tiles_change_no_bit(number: int) -> None:
    found = normalize(IMAGE, number, engine=Engine((5, 16, 13)))
    np.testing.assert_array_equal(found, normalize(IMAGE, number))


def test_recipe_0_is_nothing_in_compat() -> None:
    np.testing.assert_array_equal(normalize(IMAGE, get_recipe(0, compat=True)), IMAGE)
    assert normalize(IMAGE, "none") is not IMAGE


@pytest.mark.parametrize(("number", "value"), [(1, 1), (10, 1), (11, 0)])
def test_constant_images_stay_finite(number: int, value: int) -> None:
    found = normalize(np.full((3, 5, 6), 7, np.float32), number)
    np.testing.assert_array_equal(found, np.full((3, 5, 6), value, np.float32))


@pytest.mark.parametrize("name", [3, 5, 19, "None", -1, "", "contrast"])
def test_unknown_recipes(name: object) -> None:
    with pytest.raises(UsageError, match="unknown"):
        get_recipe(name)  # type: ignore[arg-type]


def test_nothing_selected_and_nan() -> None:
    with pytest.raises(InputError, match="no voxel lies below 1"):
        normalize(IMAGE, recipe_of([contrast(1, 4, 1)]))
    image = IMAGE.copy()
    image[0, 0, 0] = np.nan
    with pytest.raises(InputError, match="NaN"):
        normalize(image, 1)
