"""The study of trained networks: parts that share no object, masks judged by Dice, a page with figures and pictures."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from bench.quality import __main__ as study
from bench.quality import classics, report
from bench.quality.stacks import Stack, dice

pytest.importorskip("torch")


def tiny(name: str = "tiny") -> Stack:
    """Two bright cuboids on a dim ground, one in each part."""
    labels = np.zeros((16, 40, 80), np.uint8)
    labels[4:12, 10:30, 8:28], labels[4:12, 12:30, 52:70] = 1, 2
    image = np.where(labels, 900, 100) + np.random.default_rng(0).integers(0, 40, labels.shape)
    parts = np.s_[:, :, :40], np.s_[:, :, 40:]
    return Stack(name, "Cuboids", image.astype(np.float32), labels, (0.3, 0.1, 0.1), *parts)


def test_an_object_in_both_parts_is_refused() -> None:
    stack = tiny()
    stack.check()
    stack.labels[5, 20, 20:60] = 3
    with pytest.raises(ValueError, match=r"tiny: objects \[.*3.*\] lie in both parts"):
        stack.check()


def test_dice() -> None:
    a, b = np.array([1, 1, 1, 0], bool), np.array([0, 1, 1, 1], bool)
    assert dice(a, b) == pytest.approx(2 * 2 / 6)
    assert dice(a & False, b & False) == 1
    assert dice(a, a & False) == 0


def test_holes_are_filled_in_the_volume_and_in_planes() -> None:
    mask = np.ones((5, 7, 7), bool)
    mask[2, 3, 3] = False  # enclosed
    mask[:, 1, 1] = False  # open above and below, enclosed in every plane
    mask[:, 5, 6] = False  # open at the side
    left = np.zeros_like(mask)
    left[:, 5, 6] = True
    assert np.array_equal(~classics.filled(mask), left)


def test_a_study_is_saved_run_by_run_and_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = {
        "format_version": 1,
        "data": {"normalization": "contrast_1_10"},
        "network": {"name": "residual_unet", "width": 4, "levels": 1},
        "patch": [14, 24, 24],
        "batch": 1,
        "epochs": 1,
        "sampling": {"patches": 2},
    }
    for place, value in (("SETTINGS", tmp_path), ("STACKS", {"tiny": lambda data: tiny()})):
        monkeypatch.setattr(study, place, value)
    for place, value in (("DOCS", tmp_path), ("PICTURES", tmp_path / "training_quality")):
        monkeypatch.setattr(report, place, value)
    monkeypatch.setattr(study, "folder_of", lambda device: tmp_path)
    monkeypatch.setattr(classics, "library_names", lambda: ("npm1",))
    (tmp_path / "small.yaml").write_text(json.dumps(settings))
    arguments = ["--data", str(tmp_path), "--stacks", "tiny", "--seeds", "0", "--work", str(tmp_path)]
    study.main(arguments)
    found = json.loads((tmp_path / "quality.json").read_text())["stacks"]["tiny"]
    assert (found["train_objects"], found["test_objects"]) == (1, 1)
    assert {c["name"] for c in found["classics"]} >= {"npm1", "npm1, filled", "nuclei_dna"}
    assert found["classics"][0]["dice"] == max(c["dice"] for c in found["classics"]) > 0.5
    (run,) = found["runs"]
    assert 0 <= run["dice"] <= 1
    assert run["curve"][0][2] is not None
    assert (tmp_path / "training_quality" / "tiny_small.png").read_bytes().startswith(b"\x89PNG")
    monkeypatch.setattr(study.networks, "train", None)  # what is there is not run again
    study.main(arguments)
    pytest.importorskip("matplotlib")
    study.main([*arguments, "--report"])
    page = (tmp_path / "training_quality.md").read_text()
    assert (
        f"| small, seed 0 | {run['dice']:.4f} | {run['dice'] - found['classics'][0]['dice']:+.4f} |" in page
    )
    assert (tmp_path / "training_quality" / "tiny.svg").exists()
