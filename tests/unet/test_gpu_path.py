"""What prediction does on a GPU besides arithmetic: copies that overlap, batches, too little memory. None is needed."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
from typer.testing import CliRunner

from fastseg.arrays import Device
from fastseg.cli.main import app
from fastseg.errors import InputError
from fastseg.tiling import Engine
from fastseg.tiling.executors import Threads
from fastseg.unet import runner as runners
from fastseg.unet.model import make_model, save_model
from fastseg.unet.model_info import Selection
from fastseg.unet.predict import predict
from fastseg.unet.runner import Runner
from tests.support import frozen
from tests.unet.published import batch_of, golden, meta, model_of, network_of, state_of
from tests.unet.small import small_model
from tests.unet.test_predict import forgetful
from tests.unet.torch_double import TorchGpu, torch_double

TOLERANCE = 2e-5
IMAGE = frozen(np.random.default_rng(0).random((6, 25, 34), dtype=np.float32))
SMALL_PATCH = (22, 44, 44)


@pytest.fixture(autouse=True)
def gpu(monkeypatch: pytest.MonkeyPatch) -> Iterator[TorchGpu]:
    monkeypatch.setattr(runners, "_RUNNERS", OrderedDict())
    with torch_double() as found:
        yield found


@pytest.mark.parametrize("case", ["xy_small", "xy_multi", "zoom2_small", "orig_nobn_small"])
def test_probabilities_are_the_published_ones(case: str) -> None:
    arch, about = network_of(case), meta()["cases"][case]
    runner = Runner(make_model(arch, state_of(arch)), Device("cuda"))
    for output, classes in enumerate(about["nclass"]):
        picks = [Selection.model_validate({"output": output, "class": c}) for c in range(classes)]
        maps = runner.submit(batch_of(case), picks)()
        expected = golden()[f"{case}/out{output}"]
        found = maps[1][0] if expected.ndim == 3 else np.stack(list(maps), -1)
        np.testing.assert_allclose(found, expected, atol=TOLERANCE, rtol=0)


@pytest.mark.parametrize("flips", ["none", "single"])
@pytest.mark.parametrize("patch", [None, SMALL_PATCH])
@pytest.mark.parametrize("tile", [None, (4, 12, 16)])
def test_probabilities_are_those_of_the_cpu(tile: tuple | None, patch: tuple | None, flips: str) -> None:
    expected = predict(small_model(), IMAGE, device="cpu", flips=flips).array()
    engine = Engine(tile, Threads(2))
    found = predict(small_model(), IMAGE, device="cuda", flips=flips, patch=patch, engine=engine)
    np.testing.assert_allclose(found.array(), expected, atol=TOLERANCE, rtol=0)


def test_several_masks_are_those_of_the_cpu() -> None:
    model = model_of("unet_xy", classes=(2, 3, 2))
    picks = (Selection(), Selection.model_validate({"output": 1, "class": 2}))
    image = IMAGE[:4]
    plain = predict(model, image, device="cpu", selections=picks)
    threshold = float(np.median(plain.array(picks[0].name)))
    found = predict(model, image, device="cuda", selections=picks, threshold=threshold)
    for pick in picks:
        probability = plain.array(pick.name)
        sure = abs(probability - threshold) > TOLERANCE
        np.testing.assert_array_equal(
            found.array(pick.name).astype(bool)[sure], (probability > threshold)[sure]
        )


def test_the_next_batches_are_on_their_way_before_a_result_is_waited_for(gpu: TorchGpu) -> None:
    model = small_model()
    expected = predict(model, IMAGE, device="cpu").array()
    found = predict(model, IMAGE, device="cuda", patch=SMALL_PATCH, memory=2**28)
    np.testing.assert_allclose(found.array(), expected, atol=TOLERANCE, rtol=0)
    batches = gpu.log.count("up")
    assert batches >= 4
    assert gpu.log.count("wait") == batches
    assert gpu.log.count("down") == 2 * batches  # the map, and whether all scores are finite
    for number in range(batches):  # at every wait the next two batches have been started
        begun = gpu.log[: [i for i, what in enumerate(gpu.log) if what == "wait"][number]].count("up")
        assert begun == min(number + 3, batches)
    assert gpu.pageable == 0


def test_too_little_memory_means_smaller_patches(gpu: TorchGpu, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = predict(small_model(), IMAGE, device="cpu").array()
    forgetful(monkeypatch, torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB"), 56 * 64)
    found = predict(small_model(), IMAGE, device="cuda")
    np.testing.assert_allclose(found.array(), expected, atol=TOLERANCE, rtol=0)
    assert found.report.patches > 1
    assert any("do not fit into the memory of cuda" in note for note in found.notes)
    assert "trim" in gpu.log


def test_scores_that_are_not_finite_are_told_by_the_one_who_waits() -> None:
    with pytest.raises(InputError, match="its intensities are too large"):
        predict(small_model(), np.full((4, 9, 9), 3e37, np.float32), device="cuda")


@pytest.mark.parametrize("cut", [(), ("--tile", "4,12,16", "--scratch", "scratch")])
def test_the_command_gives_what_python_gives(
    cut: tuple[str, ...], gpu: TorchGpu, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    model = save_model(small_model(), tmp_path / "small.model")
    tifffile.imwrite("a.tif", IMAGE, metadata={"axes": "ZYX"})
    expected = predict(small_model(), IMAGE, device="cpu").array()
    command = ["predict", "a.tif", "-m", str(model), "-o", "out", "--device", "cuda", "--threshold", "-1"]
    done = CliRunner().invoke(app, [*command, *cut])
    assert done.exit_code == 0, done.output
    (path,) = Path("out").glob("a_struct*")
    np.testing.assert_allclose(tifffile.imread(path), expected, atol=TOLERANCE, rtol=0)
    assert "up" in gpu.log
