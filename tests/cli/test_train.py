"""``fastseg train``: from a folder to a model that ``fastseg predict`` takes, and what is said when it cannot be."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
import yaml
from typer.testing import Result

from fastseg.unet.training import stream
from fastseg.unet.training.config import parse_settings
from fastseg.unet.training.events import EpochDone, Note, StepDone, TrainingStarted, ValidationStep
from tests.cli.predicting import write
from tests.cli.training import TINY
from tests.support import interrupts_heeded
from tests.unet.training.runs import blob_set, blobs

Cli = Callable[..., Result]


@pytest.fixture(autouse=True)
def one_thread(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    before = torch.get_num_threads()
    monkeypatch.setattr("fastseg.unet.runner.usable_cores", lambda: 1)
    monkeypatch.setattr("fastseg.unet.training.trainer.usable_cores", lambda: 1)
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return blob_set(tmp_path_factory.mktemp("blobs"), 2)


def test_train_resume_predict(cli: Cli, data: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    done = cli("train", data, "-o", run, *TINY, "--normalize", "1", "--leaveout", "img_002")
    assert done.exit_code == 0, done.output
    lines = done.output.splitlines()
    assert lines[0] == (
        "training residual_unet on cpu (float32): 1 image, 1 held back; 1 step of 2 patches 16x24x24 an epoch"
    )
    assert lines[1].startswith("epoch 0 of 0 to 0: loss ")
    assert "Dice " in lines[1]
    assert lines[2].startswith("1 epoch trained, best epoch 0 with ")
    assert lines[2].endswith(f": {run / 'best.model'}")
    assert (run / "training.html").is_file()
    again = cli("train", data, "-o", run, *TINY)
    assert again.exit_code == 2
    assert f"holds a run already: go on with --resume {run}" in again.output
    more = cli("train", "--resume", run, "--epochs", "2")
    assert more.exit_code == 0, more.output
    assert "going on with epoch 1 of 0 to 1" in more.output
    assert "2 epochs trained" in more.output
    image = (1000 * blobs(3)[0]).astype(np.uint16)
    stack = write(tmp_path / "a.ome.tif", image)
    found = cli("predict", stack, "--model", run, "-o", tmp_path / "out", "--device", "cpu")
    assert found.exit_code == 0, found.output
    mask = tifffile.imread(tmp_path / "out" / "a_struct_segmentation.tiff")
    assert mask.shape == image.shape
    assert set(np.unique(mask)) <= {0, 255}


def test_a_batch_is_shared_evenly(cli: Cli, data: Path, tmp_path: Path) -> None:
    done = cli("train", data, "-o", tmp_path / "run", *TINY, "--batch", "3", "--devices", "2")
    assert done.exit_code == 2
    assert "batch: 3 patches cannot be shared evenly by 2 devices" in done.output


def test_a_printed_configuration_is_a_configuration(cli: Cli, data: Path, tmp_path: Path) -> None:
    done = cli("train", data, *TINY, "--seed", "7", "--leaveout", "0.5", "--print-config")
    assert done.exit_code == 0, done.output
    settings = parse_settings(yaml.safe_load(done.output), "printed")
    assert (settings.seed, settings.data.leaveout, settings.network["width"]) == (7, (0.5,), 4)
    path = tmp_path / "run.yaml"
    path.write_text(done.output)
    run = tmp_path / "run"
    trained = cli("train", "--config", path, "-o", run, "--seed", "8")
    assert trained.exit_code == 0, trained.output
    kept = yaml.safe_load((run / "config.yaml").read_text())
    assert (kept["seed"], kept["data"]["leaveout"], kept["epochs"]) == (8, [0.5], 1)
    assert kept["network"] == {
        "name": "residual_unet",
        "channels": 1,
        "classes": [2],
        "width": 4,
        "levels": 1,
    }


REFERENCE = """
model: {{name: unet_xy}}
checkpoint_dir: {out}
resume: null
learning_rate: 1e-5
weight_decay: 0.005
epochs: 0
save_every_n_epoch: 2
nchannel: 1
nclass: [2, 2, 2]
size_in: [29, 92, 92]
size_out: [1, 4, 4]
loss: {{name: Aux, loss_weight: [1, 1, 1]}}
loader: {{name: default, datafolder: {data}, batch_size: 2, PatchPerBuffer: 2, epoch_shuffle: 5, NumWorkers: 1}}
validation: {{metric: null, leaveout: [0], OutputCh: [0, 1], validate_every_n_epoch: 25}}
device: cpu
"""


def test_the_reference_configuration_trains(cli: Cli, data: Path, tmp_path: Path) -> None:
    out, path = tmp_path / "deep" / "down", tmp_path / "train.yaml"
    path.write_text(REFERENCE.format(out=out, data=data))
    done = cli("train", "--config", path, "--compat")
    assert done.exit_code == 0, done.output
    assert "validation.metric null: no image is held back" in done.output
    found = torch.load(out / "checkpoint_epoch_0.pytorch", weights_only=True)
    assert (found["epoch"], found["num_iterations"]) == (0, 1)
    shown = cli("models", "show", out / "checkpoint_epoch_0.pytorch")
    assert "unet_xy" in shown.output
    path.write_text(REFERENCE.format(out=out, data=data).replace("nchannel", "nchannels"))
    wrong = cli("train", "--config", path)
    assert wrong.exit_code == 2
    assert "nchannel: is missing" in wrong.output
    assert "nchannels: there is no such key" in wrong.output


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ((), "DATA and --output are missing: give DATA and --output, --config, or --resume"),
        (("data",), "--output is missing"),
        (("-o", "run"), "DATA is missing"),
        (("data", "-o", "run", "--patch", "1,2"), "--patch '1,2' is not a size"),
        (("data", "-o", "run", "--network", "unet_xyz"), "did you mean unet_xy"),
        (("data", "-o", "run", "--set", "loss=3"), "loss: "),
        (("data", "-o", "run", "--set", "los.name=nll"), "los: there is no such key (did you mean loss?)"),
        (("data", "-o", "run", "--device", "tpu"), "use auto, cpu, cuda or cuda:N"),
        (
            ("data", "-o", "run", "--device", "cpu", "--precision", "float16"),
            "on the CPU use float32 or bfloat16",
        ),
        (("data", "-o", "run", "--leaveout", "9"), "9 is no index from 0 to 1"),
        (("data", "-o", "run", "--compat"), "--compat is for configuration files of the reference"),
        (("--resume", "run", "-o", "other"), "--output: the run decides this"),
        (("--resume", "run", "--config", "a.yaml"), "--config: the run decides this"),
    ],
)
def test_wrong_requests(
    cli: Cli, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple, text: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").symlink_to(data)
    done = cli("train", *arguments)
    assert done.exit_code == 2, done.output
    assert text in done.output
    assert not (tmp_path / "run").exists()


def test_runs_that_cannot_go_on(cli: Cli, data: Path, tmp_path: Path) -> None:
    missing = cli("train", "--resume", tmp_path / "no")
    assert (missing.exit_code, "holds no training run" in missing.output) == (2, True)
    nothing = cli("train", tmp_path / "nothing", "-o", tmp_path / "run")
    assert (nothing.exit_code, "nothing do not exist: give a folder" in nothing.output) == (2, True)


def test_without_torch(cli: Cli, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    done = cli("train", data, "-o", tmp_path / "run")
    assert done.exit_code == 2
    assert "trained models need PyTorch, which is not installed: pip install 'fastseg-bio[dl]'" in done.output


def test_a_failure_on_the_way_says_how_to_go_on(
    cli: Cli, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tmp_path / "run"
    real = stream.PatchStream.epoch

    def failing(self: stream.PatchStream, number: int, start: int) -> object:
        if number == 1:
            raise stream.InputError("img_001.ome.tif has changed")
        return real(self, number, start)

    monkeypatch.setattr(stream.PatchStream, "epoch", failing)
    done = cli("train", data, "-o", run, *TINY, "--epochs", "2")
    assert done.exit_code == 1
    assert f"error: img_001.ome.tif has changed; go on with: fastseg train --resume {run}" in done.output


def test_ctrl_c_says_how_to_go_on(data: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    command = [sys.executable, "-u", "-m", "fastseg", "train", data, "-o", run, *TINY, "--epochs", "100000"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(
        [str(part) for part in command],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        preexec_fn=interrupts_heeded,
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("epoch 1 "):
                process.send_signal(signal.SIGINT)
                break
        _, errors = process.communicate(timeout=120)
    assert process.returncode == 130, errors
    assert errors.strip() == f"stopped: the state is saved; go on with: fastseg train --resume {run}"
    assert (run / "last.model" / "weights.pt").is_file()


def test_a_terminal_shows_a_bar(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    from fastseg.cli import train_progress

    monkeypatch.setattr(train_progress, "on_terminal", lambda: True)
    row = {"train_loss": 0.5, "learning_rate": 1e-3, "seconds": 2.0}
    with train_progress.TrainReporter() as report:
        report(Note("something"))
        report(TrainingStarted("unet_xy", "cpu", 3, 1, (44, 140, 140), 2, 4, 0, 2, False, "float32"))
        report(StepDone(0, 0, 4, 1.0, 1e-3))
        report(StepDone(0, 1, 4, 2.0, 1e-3))
        bar = report._bar
        assert bar is not None
        (task,) = bar.progress.tasks
        assert (task.completed, task.total, task.fields["state"]) == (2, 8, "step 2/4, loss 1.05")
        report(ValidationStep(0, "img_001", 0, 1))
        assert task.fields["state"] == "validating img_001 (1/1)"
        report(EpochDone(0, row))
        assert task.completed == 4
    assert "note: something" in capsys.readouterr().out


def test_a_log_is_not_flooded_and_not_silent(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    from fastseg.cli import train_progress

    clock = [0.0]
    monkeypatch.setattr(train_progress, "monotonic", lambda: clock[0])
    report = train_progress.TrainReporter()
    report(TrainingStarted("unet_xy", "cpu", 3, 0, (44, 140, 140), 2, 100, 0, 2, False, "float32"))
    for step in range(100):
        clock[0] += 10
        report(StepDone(0, step, 100, 1.0, 1e-3))
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 1 + 100 // 7
    assert lines[1] == "epoch 0, step 7 of 100: loss 1"
