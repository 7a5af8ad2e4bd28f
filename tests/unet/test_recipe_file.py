"""Recipes of one's own: from a file, applied as their operations say, kept in the models trained with them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from fastseg.cli.main import app
from fastseg.errors import Problems, UsageError
from fastseg.operators import gaussian_smooth
from fastseg.unet.model import load_model, make_model, save_model
from fastseg.unet.model_info import ModelInfo
from fastseg.unet.normalization import (
    RECIPES,
    Recipe,
    background,
    contrast,
    get_recipe,
    normalize,
    recipe_of,
    stored_recipe,
)
from fastseg.unet.predict import predict
from fastseg.unet.recipe_file import as_mapping, from_mapping, read_recipes
from tests.support import frozen
from tests.unet.small import small_model

IMAGE = frozen(np.random.default_rng(4).gamma(2, 900, (5, 20, 24)).astype(np.float32))

TEXT = """\
recipes:
  flat_5:
    summary: without background
    operations:
      - background_subtract: {sigma: 5}
      - contrast: {low_std: 1, high_std: 8}
  soft:
    operations:
      - gaussian_smooth: {sigma: [1, 2, 2], truncate: 1e0}
      - unit_range
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "my.recipes.yaml"
    path.write_text(TEXT, encoding="utf-8")
    return path


def test_a_recipe_of_a_file_does_what_it_says(file: Path) -> None:
    expected = normalize(IMAGE, recipe_of([background(5), contrast(1, 8)]))
    np.testing.assert_array_equal(normalize(IMAGE, f"{file}:flat_5"), expected)
    smooth = gaussian_smooth(IMAGE, sigma=(1, 2, 2), truncate=1.0)
    np.testing.assert_array_equal(normalize(IMAGE, f"{file}:soft"), normalize(smooth, "minmax"))
    assert [r.name for r in read_recipes(file)] == ["flat_5", "soft"]


def test_a_file_of_one_recipe_needs_no_name(tmp_path: Path) -> None:
    path = tmp_path / "one.yml"
    path.write_text("recipes: {only: {operations: [unit_range: ]}}")
    np.testing.assert_array_equal(normalize(IMAGE, str(path)), normalize(IMAGE, 0))


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda r: r.name)
def test_every_recipe_is_stored_by_name_and_found_again(recipe: Recipe) -> None:
    assert stored_recipe(recipe) == stored_recipe(recipe.name) == recipe.name
    assert str(recipe) == recipe.name


def test_a_recipe_survives_plain_values(file: Path) -> None:
    for recipe in (*read_recipes(file), recipe_of([background(5), contrast(1, 8, 0.9, 0.1)])):
        found = from_mapping(as_mapping(recipe))
        assert as_mapping(found) == as_mapping(recipe)
        np.testing.assert_array_equal(normalize(IMAGE, found), normalize(IMAGE, recipe))
    assert stored_recipe(recipe_of([])) == "none"


def test_a_model_keeps_the_whole_recipe(file: Path, tmp_path: Path) -> None:
    plain = small_model()
    given = f"{file}:flat_5"
    path = save_model(
        make_model(plain.architecture, plain.state, normalization=given), tmp_path / "small.model"
    )
    file.unlink()
    model = load_model(path)
    found = model.info.normalization
    assert isinstance(found, Recipe)
    assert str(found).startswith("flat_5: background_subtract(sigma=5.0), contrast(low_std=1.0, high_std=8.0")
    expected = predict(plain, normalize(IMAGE, found), normalization="none", device="cpu").array()
    np.testing.assert_allclose(predict(model, IMAGE, device="cpu").array(), expected, atol=1e-6, rtol=0)
    shown = CliRunner().invoke(app, ["models", "show", str(path)])
    assert "flat_5: background_subtract(sigma=5.0)" in shown.output


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("recipes: []", "recipes: a mapping of names to recipes is needed"),
        ("- 1", "recipes: a mapping of names to recipes is needed"),
        (
            "recipes: {a: {operations: [unit_range]}}\nmore: 1",
            r"more: there is no such key \(known: recipes\)",
        ),
        ("recipes: {minmax: {operations: [unit_range]}}", "'minmax' is the name of a recipe of fastseg"),
        ("recipes: {7: {operations: [unit_range]}}", "'7' is no name"),
        ("recipes: {a: 3}", "recipes.a: a mapping with operations is needed"),
        (
            "recipes: {a: {steps: []}}",
            r"recipes.a.steps: there is no such key \(known: summary, operations\)",
        ),
        ("recipes: {a: {operations: []}}", "recipes.a.operations: a list of operations is needed"),
        ("recipes: {a: {summary: 1, operations: [unit_range]}}", "recipes.a.summary: 1 is no text"),
        (
            "recipes: {a: {operations: [{contrast: {}, unit_range: {}}]}}",
            r"operations\[0\]: one operation with",
        ),
        ("recipes: {a: {operations: [background]}}", "did you mean background_subtract"),
        (
            "recipes: {a: {operations: [jerman_vesselness]}}",
            "'jerman_vesselness' is unknown .known: unit_range",
        ),
        ("recipes: {a: {operations: [contrast: 3]}}", r"operations\[0\].contrast: a mapping of parameters"),
        ("recipes: {a: {operations: [contrast: {low_std: 1}]}}", "contrast.high_std: is required"),
        (
            "recipes: {a: {operations: [background_subtract: {sigma: -3}]}}",
            r"background_subtract.sigma: input should be greater than 0 \(given: -3\)",
        ),
        (
            "recipes: {a: {operations: [background_subtract: {sigma: 3, size: 1}]}}",
            "'background_subtract' has no parameter 'size'",
        ),
    ],
)
def test_bad_files(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(text)
    with pytest.raises(Problems, match="(?s)bad.yaml.*" + message):
        get_recipe(f"{path}:a")


def test_what_a_file_does_not_hold(file: Path, tmp_path: Path) -> None:
    for given, message in (
        (f"{file}", r"holds 2 recipes: choose one with .*:NAME \(flat_5, soft\)"),
        (f"{file}:flat", r"holds no recipe 'flat': did you mean flat_5\?"),
        (f"{file}:zzz", "holds no recipe 'zzz': it holds flat_5, soft"),
        (f"{tmp_path / 'none.yaml'}:a", "No such file"),
    ):
        with pytest.raises(UsageError, match=message):
            get_recipe(given)
    broken = tmp_path / "broken.yaml"
    broken.write_text("recipes:\n  a: {operations: [unit_range]}\n  a: {}\n")
    with pytest.raises(UsageError, match=r"is not valid YAML \(line 3\): key 'a' appears twice"):
        get_recipe(f"{broken}:a")


@pytest.mark.parametrize("given", [{}, {"name": "a"}, {"name": "a", "operations": ["nothing"]}, "flatt", 3])
def test_models_refuse_what_is_no_recipe(given: object) -> None:
    with pytest.raises(ValueError, match="normalisation recipe"):
        ModelInfo.model_validate({"network": {}, "normalization": given})
