"""What curation notes about the images of a folder reaches the model."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fastseg.errors import ReadError
from fastseg.unet.normalization import Recipe, contrast, get_recipe
from fastseg.unet.recipe_file import as_mapping
from fastseg.unet.training.curated import MANIFEST, recorded_recipe
from fastseg.unet.training.settings import TrainSettings


def _note(folder: Path, text: str) -> Path:
    (folder / MANIFEST).write_text(text)
    return folder


def test_a_recipe_by_name_and_one_of_a_users_file(tmp_path: Path) -> None:
    assert recorded_recipe(_note(tmp_path, json.dumps({"normalization": "contrast_2_11"}))) == "contrast_2_11"
    own = Recipe(None, "mine", "", (contrast(3, 7),))
    found = recorded_recipe(_note(tmp_path, json.dumps({"normalization": as_mapping(own)})))
    assert isinstance(found, Recipe)
    assert as_mapping(found) == as_mapping(own)


def test_nothing_is_said_without_a_manifest_or_a_recipe_of_all_images(tmp_path: Path) -> None:
    assert recorded_recipe(tmp_path) is None
    assert recorded_recipe(tmp_path / "list.csv") is None
    assert recorded_recipe(_note(tmp_path, json.dumps({"normalization": None}))) is None
    assert recorded_recipe(_note(tmp_path, "{}")) is None


@pytest.mark.parametrize("text", ["{", "[]", '{"normalization": "no such"}'])
def test_a_manifest_that_cannot_be_read_is_an_error(text: str, tmp_path: Path) -> None:
    with pytest.raises(ReadError, match=r"manifest\.json does not say how the images were normalised"):
        recorded_recipe(_note(tmp_path, text))


def test_settings_hold_recipes_and_a_network_without_a_name_is_the_default_one() -> None:
    settings = TrainSettings.model_validate({"data": {"normalization": 1}, "network": {"width": 8}})
    assert settings.data.normalization == get_recipe(1).name
    assert settings.network == {"name": "residual_unet", "width": 8}
