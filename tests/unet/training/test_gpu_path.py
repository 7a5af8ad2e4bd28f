"""What training does on a GPU besides arithmetic: patches made on a stream of their own, precisions. None is needed."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from fastseg.unet.training.train import resume, train
from tests.unet.torch_double import torch_double
from tests.unet.training.runs import blob_set, tiny
from tests.unet.training.test_run import RICH, Killed, assert_same_run, killed_at


@pytest.fixture(autouse=True)
def one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fastseg.unet.training.trainer.usable_cores", lambda: 1)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return blob_set(tmp_path_factory.mktemp("blobs"))


def metrics(run: Path) -> list[list[float]]:
    """All columns but the time."""
    with (run / "metrics.csv").open() as file:
        _, *rows = csv.reader(file)
    return [[float(cell or -1) for cell in row[:-1]] for row in rows]


@pytest.mark.parametrize(
    ("precision", "like"), [("float32", "float32"), ("tf32", "float32"), ("bfloat16", None)]
)
def test_a_run_is_that_of_the_cpu(precision: str, like: str | None, data: Path, tmp_path: Path) -> None:
    train(tiny(data, precision=like or precision), tmp_path / "cpu")
    with torch_double(late=False) as gpu:
        train(tiny(data, device="cuda", precision=precision), tmp_path / "cuda")
    assert metrics(tmp_path / "cuda") == metrics(tmp_path / "cpu")
    assert gpu.log.count("up") > 10
    assert gpu.pageable == 0


def test_half_precision_learns(data: Path, tmp_path: Path) -> None:
    train(tiny(data), tmp_path / "cpu")
    with torch_double(late=False):
        train(tiny(data, device="cuda", precision="float16"), tmp_path / "cuda")
    np.testing.assert_allclose(metrics(tmp_path / "cuda"), metrics(tmp_path / "cpu"), rtol=0.1)


def test_a_killed_run_that_goes_on_is_the_same_run(data: Path, tmp_path: Path) -> None:
    settings = tiny(data, **RICH, device="cuda", precision="float16")  # whose loss has a scale of its own
    with torch_double(late=False):
        train(settings, tmp_path / "whole")
        with pytest.raises(Killed):
            train(settings, tmp_path / "cut", killed_at(2, 1))
        resume(tmp_path / "cut")
    assert_same_run(tmp_path / "whole", tmp_path / "cut")
