"""``fastseg train`` with what a stranger may give it: one sentence, or a run that ends."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import torch
from typer.testing import Result

from fastseg.unet.model import load_model
from tests.cli.training import TINY, TINY_NETWORK
from tests.unet.training.made import item, store
from tests.unet.training.runs import SHAPE, blob_set, blobs

Cli = Callable[..., Result]


@pytest.fixture(autouse=True)
def one_thread(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    before = torch.get_num_threads()
    monkeypatch.setattr("fastseg.unet.runner.usable_cores", lambda: 1)
    monkeypatch.setattr("fastseg.unet.training.trainer.usable_cores", lambda: 1)
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return blob_set(tmp_path / "data", 2)


def plain(done: Result) -> str:
    """What was printed, as one line."""
    return " ".join(done.output.split())


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--epochs", "0"), "epochs: input should be greater than or equal to 1 (given: 0)"),
        (("--leaveout", "img_001,img_002"), "leaves no image to train with: the data set has 2 images"),
        (("--leaveout", "0.9"), "leaveout 0.9 leaves no image to train with: the data set has 2 images"),
        (("--leaveout", "001"), "'001' is no image of this data set (did you mean img_001?)"),
        (("--leaveout", "nan"), "'nan' is no image of this data set (they are img_001, img_002)"),
        (("--leaveout", "inf"), "'inf' is no image of this data set"),
        (("--set", "data.leaveout=[.inf]"), "inf is no index from 0 to 1"),
        (("--batch", "0"), "batch: input should be greater than or equal to 1 (given: 0)"),
        (
            ("--patch", "28,48,48"),
            "img_001: the image is smaller than the output of a patch (6 along z instead of 16",
        ),
        (("--set", "epochs=many"), "epochs: a whole number is needed (given: 'many')"),
        (("--set", "loss=nll"), "loss: a mapping of keys to values is needed (given: 'nll')"),
        (
            ("--set", "network.features=3"),
            "features: there is no such parameter (known: channels, classes, width, levels)",
        ),
    ],
)
def test_requests_that_cannot_be(options: tuple, sentence: str, data: Path, tmp_path: Path, cli: Cli) -> None:
    done = cli("train", data, "-o", tmp_path / "run", *TINY, *options)
    assert done.exit_code == 2, done.output
    assert sentence in plain(done)
    assert not (tmp_path / "run").exists()


def test_a_cost_of_nothing_in_one_image(data: Path, tmp_path: Path, cli: Cli) -> None:
    store(data / "img_002_CM.ome.tif", np.zeros(SHAPE, np.float32))
    done = cli("train", data, "-o", tmp_path / "run", *TINY)
    assert done.exit_code == 2
    assert "img_002_CM.ome.tif is 0 everywhere: no voxel of this image counts, leave it out" in plain(done)


def test_output_folders_that_cannot_be_one(
    data: Path, tmp_path: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("mine")
    for run in (tmp_path / "file", tmp_path / "file" / "run"):
        done = cli("train", data, "-o", run, *TINY)
        assert done.exit_code == 2
        assert f"output folder {run} cannot be made: {tmp_path / 'file'} is a file" in done.output
    (tmp_path / "old" / "best.model").mkdir(parents=True)
    done = cli("train", data, "-o", tmp_path / "old", *TINY)
    assert done.exit_code == 2
    assert f"{tmp_path / 'old'} holds best.model of another run, and no state to go on from" in done.output
    access = os.access
    monkeypatch.setattr(os, "access", lambda path, *rest: Path(path) != tmp_path and access(path, *rest))
    done = cli("train", data, "-o", tmp_path / "new" / "run", *TINY)
    assert done.exit_code == 2
    assert f"run cannot be written to: permission denied in {tmp_path}" in done.output
    assert (tmp_path / "file").read_text() == "mine"


def trained(cli: Cli, data: Path, run: Path, *options: Any) -> str:
    done = cli("train", data, "-o", run, *options)
    assert done.exit_code == 0, done.output
    assert "1 epoch trained" in done.output
    assert load_model(run).architecture.name == "residual_unet"
    return plain(done)


def test_a_single_image(tmp_path: Path, cli: Cli) -> None:
    told = trained(cli, blob_set(tmp_path / "data", 1), tmp_path / "run", *TINY)
    assert "1 image; 1 step of 2 patches" in told
    assert "no image is held back: nothing says which model is best, or how good it is" in told


def test_images_of_one_plane_and_less_than_a_patch(tmp_path: Path, cli: Cli) -> None:
    data = tmp_path / "data"
    data.mkdir()
    for number in (1, 2):
        item(data, f"img_{number:03d}", *blobs(number, (1, 9, 11)))
    told = trained(cli, data, tmp_path / "run", *TINY_NETWORK, "--leaveout", "0")
    assert "epoch 0 of 0 to 0: loss " in told
    assert "Dice" in told


def test_more_patches_in_a_step_than_in_an_epoch(data: Path, tmp_path: Path, cli: Cli) -> None:
    assert "1 step of 3 patches" in trained(cli, data, tmp_path / "fresh", *TINY, "--batch", "3")
    buffer = ("--batch", "3", "--set", "sampling.strategy=buffer")
    assert "1 step of 3 patches" in trained(cli, data, tmp_path / "buffer", *TINY, *buffer)


def test_images_that_nobody_normalised(tmp_path: Path, cli: Cli) -> None:
    data = tmp_path / "data"
    data.mkdir()
    for number in (1, 2):
        image, truth, cost = blobs(number)
        item(data, f"img_{number:03d}", (60_000 * image).astype(np.uint16), truth, cost)
    told = trained(cli, data, tmp_path / "run", *TINY)
    assert "img_001.ome.tif has values from " in told
    assert "; normalised images lie in [0, 1]" in told
    assert "how the images were normalised is not said" in told


def test_a_class_that_no_image_has(data: Path, tmp_path: Path, cli: Cli) -> None:
    told = trained(cli, data, tmp_path / "run", *TINY, "--set", "network.classes=[3]", "--leaveout", "1")
    assert "no image to train with has a voxel of class 2 that counts: the network will not find it" in told
    metrics = (tmp_path / "run" / "metrics.csv").read_text().splitlines()[0]
    assert "dice_output0_class2" in metrics


def test_voxel_sizes_that_differ(data: Path, tmp_path: Path, cli: Cli) -> None:
    for number, length in ((1, 0.1), (2, 0.2)):
        keys: dict[str, Any] = {"axes": "ZYX"} | {f"PhysicalSize{axis}": length for axis in "ZYX"}
        tifffile.imwrite(data / f"img_{number:03d}.ome.tif", blobs(number)[0], ome=True, metadata=keys)
    told = trained(cli, data, tmp_path / "run", *TINY)
    assert "img_001: its voxel size" in told or "img_002: its voxel size" in told
    assert load_model(tmp_path / "run").info.spacing is None


def test_numbers_are_indices_and_other_names_are_names(tmp_path: Path, cli: Cli) -> None:
    data = tmp_path / "data"
    data.mkdir()
    for number, name in enumerate(("001", "002", "1e1")):
        item(data, name, *blobs(number))
    for leaveout, expected in (("001", ["001"]), ("1", ["002"]), ("1e1,0", ["001", "1e1"])):
        run = tmp_path / f"run-{leaveout}"
        trained(cli, data, run, *TINY, "--leaveout", leaveout)
        assert load_model(run).info.provenance["validation"] == expected


def test_a_state_of_other_settings_is_told(data: Path, tmp_path: Path, cli: Cli) -> None:
    run = tmp_path / "run"
    trained(cli, data, run, *TINY)
    config = run / "config.yaml"
    config.write_text(config.read_text().replace("width: 4", "width: 5"))
    done = cli("train", "--resume", run, "--epochs", "2")
    assert done.exit_code == 1
    assert f"{run / 'state.pt'} is not the state of the run that config.yaml describes: " in plain(done)
    assert "--debug" not in done.output
