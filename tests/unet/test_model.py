"""Model folders: written whole, read strictly."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from fastseg.errors import Problems, ReadError, WriteError
from fastseg.unet.model import load_model, make_model, save_model
from fastseg.unet.model_info import Selection
from fastseg.unet.predict import predict
from tests.unet.small import small_model


def folder(tmp_path: Path) -> Path:
    plain = small_model()
    model = make_model(
        plain.architecture,
        plain.state,
        normalization="10",
        spacing=(0.29, 0.1, 0.1),
        threshold=0.6,
        selections=(Selection.model_validate({"output": 0, "class": 0}),),
        provenance={"images": 12},
    )
    return save_model(model, tmp_path / "small.model")


def change(path: Path, **fields: object) -> Path:
    file = path / "model.yaml"
    found = yaml.safe_load(file.read_text())
    found.update(fields)
    file.write_text(yaml.safe_dump({k: v for k, v in found.items() if v != "gone"}))
    return path


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    path = folder(tmp_path)
    assert sorted(p.name for p in path.iterdir()) == ["model.yaml", "weights.pt"]
    found = load_model(path)
    assert found.architecture.as_dict() == small_model().architecture.as_dict()
    assert found.info.normalization == "minimum_25"
    assert (found.info.threshold, found.info.spacing) == (0.6, (0.29, 0.1, 0.1))
    assert found.info.provenance == {"images": 12}
    assert [s.name for s in found.info.selections] == ["output0_class0"]
    for name, tensor in small_model().state.items():
        assert torch.equal(found.state[name], tensor)


def test_the_folder_alone_says_how_to_predict(tmp_path: Path) -> None:
    image = np.random.default_rng(0).integers(100, 900, (4, 20, 24)).astype(np.uint16)
    found = predict(load_model(folder(tmp_path)), image, device="cpu")
    settings = {"normalization": 10, "threshold": 0.6, "device": "cpu"}
    picks = (Selection.model_validate({"class": 0}),)
    expected = predict(small_model(), image, selections=picks, **settings).array()
    assert found.array().dtype == bool
    np.testing.assert_array_equal(found.array(), expected)


def test_weights_open_in_the_weights_only_mode(tmp_path: Path) -> None:
    assert set(torch.load(folder(tmp_path) / "weights.pt", weights_only=True)) == set(small_model().state)


def test_an_existing_folder_is_kept_unless_told(tmp_path: Path) -> None:
    path = folder(tmp_path)
    with pytest.raises(WriteError, match="exists already"):
        folder(tmp_path)
    save_model(small_model(), path, overwrite=True)
    assert load_model(path).info.threshold is None
    assert [p.name for p in tmp_path.iterdir()] == ["small.model"]


def test_a_failed_save_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch, "save", fail)
    with pytest.raises(WriteError, match="disk is full"):
        folder(tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["model.yaml", "weights.pt"])
def test_an_incomplete_folder_is_refused(tmp_path: Path, name: str) -> None:
    path = folder(tmp_path)
    (path / name).unlink()
    with pytest.raises(ReadError, match=rf"is incomplete: {name} is missing"):
        load_model(path)


def test_weights_of_another_model_are_refused(tmp_path: Path) -> None:
    path = folder(tmp_path)
    state = {k: v + 1 if v.is_floating_point() else v for k, v in small_model().state.items()}
    torch.save(state, path / "weights.pt")
    with pytest.raises(ReadError, match="its checksum differs"):
        load_model(path)


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"threshold": 1.5}, r"threshold: must be at least 0 and below 1, .* \(given: 1.5\)"),
        ({"normalization": "flatt"}, "did you mean flat"),
        ({"colour": "red"}, r"colour: there is no such key \(known: format_version"),
        ({"spacing": [0.1, 0, 0.1]}, "spacing: must hold finite numbers above 0"),
        ({"network": {"name": "residual_unet", "depth": 3}}, "depth: there is no such parameter"),
        ({"network": {"width": 4}}, "its name is missing"),
        ({"selections": [{"output": 0, "class": 5}]}, "class 5: output 0 has classes 0 to 1"),
    ],
)
def test_wrong_fields_are_told(tmp_path: Path, fields: dict, text: str) -> None:
    with pytest.raises(Problems, match=text):
        load_model(change(folder(tmp_path), **fields))


def test_a_newer_format_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ReadError, match="format_version 2; this fastseg"):
        load_model(change(folder(tmp_path), format_version=2))


@pytest.mark.parametrize("text", ["a: [", "- 1", "!!python/object/apply:os.getcwd []"])
def test_descriptions_that_are_none(tmp_path: Path, text: str) -> None:
    path = folder(tmp_path)
    (path / "model.yaml").write_text(text)
    with pytest.raises(ReadError, match=r"model\.yaml"):
        load_model(path)


def test_a_folder_of_another_network_than_asked_for(tmp_path: Path) -> None:
    with pytest.raises(Problems, match="the folder holds residual_unet, unet_xy was asked for"):
        load_model(folder(tmp_path), "unet_xy")
