"""Runs: the network learns, a run that was broken off ends where it would have ended, and files are whole."""

from __future__ import annotations

import csv
import errno
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from fastseg.errors import InputError, Problems, SourceError, UsageError, WriteError
from fastseg.unet.checkpoint import read_state
from fastseg.unet.model import load_model
from fastseg.unet.module import Network
from fastseg.unet.networks.registry import architecture
from fastseg.unet.predict import predict
from fastseg.unet.training import folder, state
from fastseg.unet.training.events import EpochDone, Note, StepDone, TrainingStarted
from fastseg.unet.training.items import find_items, load_item
from fastseg.unet.training.losses import make_loss
from fastseg.unet.training.optimize import Optimization, freeze
from fastseg.unet.training.patch import read_patch
from fastseg.unet.training.prepare import prepare
from fastseg.unet.training.processes import train_here
from fastseg.unet.training.settings import LossSettings, OptimizerSettings
from fastseg.unet.training.stream import Batch
from fastseg.unet.training.train import resume, train
from fastseg.unet.training.trainer import Stopped
from tests.unet.training.runs import blob_set, blobs, tiny


@pytest.fixture(autouse=True)
def one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fastseg.unet.training.trainer.usable_cores", lambda: 1)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return blob_set(tmp_path_factory.mktemp("blobs"))


class Killed(BaseException):
    """What no code catches, as the end of a process by SIGKILL: nothing is saved on the way out."""


def killed_at(epoch: int, step: int) -> Callable[[Any], None]:
    def watch(event: Any) -> None:
        if isinstance(event, StepDone) and (event.epoch, event.step) == (epoch, step):
            raise Killed

    return watch


def interrupted_at(epoch: int, step: int) -> Callable[[Any], None]:
    """Presses Ctrl-C when this step is reported, during the one after it."""

    def watch(event: Any) -> None:
        if isinstance(event, StepDone) and (event.epoch, event.step) == (epoch, step):
            os.kill(os.getpid(), 2)

    return watch


def assert_same_run(one: Path, other: Path) -> None:
    """Weights, moments and metrics to the last bit; what was measured with a clock aside."""
    for name in ("best.model", "last.model"):
        a, b = (read_state(path / name / "weights.pt") for path in (one, other))
        assert a.keys() == b.keys()
        for key in a:
            assert torch.equal(a[key], b[key]), key
    (p, a), (q, b) = (state.load_state(path / "state.pt") for path in (one, other))
    assert flat(a).keys() == flat(b).keys()
    for key, value in flat(a).items():
        assert (
            value == flat(b)[key] if not isinstance(value, torch.Tensor) else torch.equal(value, flat(b)[key])
        ), key
    timeless = [[{k: v for k, v in row.items() if k != "seconds"} for row in run.history] for run in (p, q)]
    assert timeless[0] == timeless[1]
    assert (p.best, p.best_epoch, p.stale, p.total, p.plateau) == (
        q.best,
        q.best_epoch,
        q.stale,
        q.total,
        q.plateau,
    )


def flat(tree: Any, place: str = "") -> dict[str, Any]:
    if isinstance(tree, dict):
        pairs = tree.items()
    elif isinstance(tree, list | tuple):
        pairs = enumerate(tree)
    else:
        return {place: tree}
    return {k: v for key, value in pairs for k, v in flat(value, f"{place}/{key}").items()}


RICH = {
    "epochs": 4,
    "optimizer__average": 0.9,
    "schedule__name": "plateau",
    "schedule__patience": 0,
    "validation__every": 1,
    "loss__name": "dice_cross_entropy",
}
"""Everything that has a state of its own."""


@pytest.fixture(scope="module")
def uninterrupted(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("fastseg.unet.training.trainer.usable_cores", lambda: 1)
        return train(tiny(data, **RICH), tmp_path_factory.mktemp("runs") / "whole").folder


@pytest.mark.parametrize("place", [(1, 0), (2, 1)], ids=str)
def test_a_killed_run_that_goes_on_is_the_same_run(
    data: Path, uninterrupted: Path, tmp_path: Path, place: tuple[int, int]
) -> None:
    with pytest.raises(Killed):
        train(tiny(data, **RICH), tmp_path / "run", killed_at(*place))
    torch.manual_seed(99)  # a new process has other random numbers
    resume(tmp_path / "run")
    assert_same_run(uninterrupted, tmp_path / "run")


def test_ctrl_c_saves_in_the_middle_of_an_epoch(
    data: Path, uninterrupted: Path, tmp_path: Path, interrupts_heeded: None
) -> None:
    run = tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        train(tiny(data, **RICH), run, interrupted_at(1, 0))
    progress, _ = state.load_state(run / "state.pt")
    assert (progress.epoch, progress.step) == (1, 2)
    assert not progress.trained
    with pytest.raises(KeyboardInterrupt):
        resume(run, on_event=interrupted_at(2, 0))
    resume(run)
    assert_same_run(uninterrupted, run)


def test_an_epoch_goes_on_in_its_middle_and_prepares_what_is_left(
    data: Path, tmp_path: Path, interrupts_heeded: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    changes = {"epochs": 2, "batch": 1, "sampling__patches": 5, "validation__every": 1}
    whole = train(tiny(data, **changes), tmp_path / "whole").folder
    run = tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        train(tiny(data, **changes), run, interrupted_at(1, 1))
    progress, _ = state.load_state(run / "state.pt")
    assert (progress.epoch, progress.step) == (1, 3)
    read: list[Any] = []

    def counted(*arguments: Any) -> Any:
        read.append(arguments)
        return read_patch(*arguments)

    monkeypatch.setattr("fastseg.unet.training.stream.read_patch", counted)
    seen: list[Any] = []
    resume(run, on_event=seen.append)
    assert_same_run(whole, run)
    assert [(e.epoch, e.step) for e in seen if isinstance(e, StepDone)] == [(1, 3), (1, 4)]
    assert len(read) == 2


def test_a_stop_before_validation_validates_later(data: Path, uninterrupted: Path, tmp_path: Path) -> None:
    plan, run = prepare(tiny(data, **RICH)), tmp_path / "run"
    folder.RunFolder(run, plan).begin()
    seen: list[Any] = []

    def after_the_last_step() -> bool:
        return sum(isinstance(event, StepDone) for event in seen) == 4

    with pytest.raises(Stopped):
        train_here(plan, run, False, after_the_last_step, seen.append)
    progress, _ = state.load_state(run / "state.pt")
    assert (progress.epoch, progress.step, progress.trained, len(progress.history)) == (1, 2, True, 1)
    resume(run)
    assert_same_run(uninterrupted, run)


def test_more_epochs_can_be_added_and_other_changes_cannot(data: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    train(tiny(data, epochs=1), run)
    found = resume(run, ["epochs=2", "validation.every=1"])
    assert found.epochs == 2
    assert [row["epoch"] for row in found.history] == [0, 1]
    assert folder.RunFolder(run).settings().epochs == 2
    with pytest.raises(UsageError, match="optimizer: decided when the run began"):
        resume(run, ["optimizer.learning_rate=1"])
    with pytest.raises(UsageError, match="holds a run already: go on with --resume"):
        train(tiny(data, epochs=1), run)


def test_other_images_than_before_are_refused(tmp_path: Path) -> None:
    data = blob_set(tmp_path / "data", 2)
    train(tiny(data, epochs=1), tmp_path / "run")
    blob_set(data, 3)
    with pytest.raises(UsageError, match=r"training images are not those the run began with \(img_003 new\)"):
        resume(tmp_path / "run")


def test_the_loss_falls_and_one_patch_is_learnt_by_heart() -> None:
    arch = architecture("residual_unet", {"width": 4, "levels": 1})
    image, truth, cost = blobs(6, (16, 32, 32))
    size_in, margin = (16, 32, 32), arch.sizes.margin
    inner = tuple(slice(m, n - m) for m, n in zip(margin, size_in, strict=True))
    batch = Batch(
        torch.from_numpy(image)[None, None],
        torch.from_numpy(truth[inner].astype(np.int64))[None],
        torch.from_numpy(cost[inner])[None],
    )
    assert 0.02 < float(batch.truth.float().mean()) < 0.5
    torch.manual_seed(0)
    network = Network(arch.graph).train()
    loss = make_loss(LossSettings(name="dice_cross_entropy"), 1)
    freeze(network, loss.outputs, False)
    steps = Optimization(network, network, loss, OptimizerSettings(), "float32")
    values = [float(steps.step(batch, 0.02)) for _ in range(60)]
    assert values[-1] < 0.1 * values[0]
    with torch.no_grad():
        found = network(batch.image)[0].argmax(1)
    counts = batch.cost > 0
    assert float((found == batch.truth)[counts].float().mean()) > 0.98


def test_what_a_run_leaves(data: Path, tmp_path: Path) -> None:
    run, seen = tmp_path / "a" / "run", []
    found = train(tiny(data, epochs=3, save__keep_every=2, data__normalization="1"), run, seen.append)
    names = {p.name for p in run.iterdir()} - {"tensorboard"}
    assert names == {
        *(".lock", "config.yaml", "split.yaml", "state.pt", "metrics.csv", "training.html", "samples"),
        *("best.model", "last.model", "epoch_0000.model", "epoch_0002.model"),
    }
    rows = list(csv.DictReader((run / "metrics.csv").read_text().splitlines()))
    assert [row["epoch"] for row in rows] == ["0", "1", "2"]
    assert [bool(row["dice"]) for row in rows] == [True, False, True]
    assert float(rows[2]["dice"]) == found.history[2]["dice"]
    assert isinstance(seen[0], Note | TrainingStarted)
    assert [e.epoch for e in seen if isinstance(e, EpochDone)] == [0, 1, 2]
    assert [(e.epoch, e.step) for e in seen if isinstance(e, StepDone)] == [
        (e, s) for e in range(3) for s in (0, 1)
    ]
    model = load_model(run)
    assert model.path == (run / "best.model").absolute()
    assert (model.info.normalization, model.info.threshold) == ("contrast_2_11", 0.5)
    about = model.info.provenance
    assert (about["training"], about["validation"]) == (["img_002", "img_003"], ["img_001"])
    assert about["settings"]["seed"] == 0
    assert about["metrics"]["dice"] == found.best
    image, truth, cost = load_item(find_items(data)[0])
    mask = predict(model, image, normalization="none", device="cpu").array()
    both = 2 * (mask & (truth > 0) & (cost > 0)).sum()
    assert both / ((mask & (cost > 0)).sum() + ((truth > 0) & (cost > 0)).sum()) == pytest.approx(found.best)


def test_the_seed_decides(data: Path, tmp_path: Path) -> None:
    weights = []
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        train(tiny(data, epochs=1, seed=seed), tmp_path / name)
        weights.append(read_state(tmp_path / name / "last.model" / "weights.pt")["scores.weight"])
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


def test_init_takes_runs_folders_and_reference_checkpoints(data: Path, tmp_path: Path) -> None:
    first = tmp_path / "first"
    train(tiny(data, epochs=1, save__keep_every=1, save__reference=True, data__normalization="2"), first)
    checkpoint = first / "checkpoint_epoch_0.pytorch"
    content = torch.load(checkpoint, weights_only=True)
    assert content.keys() == {"epoch", "num_iterations", "model_state_dict", "optimizer_state_dict", "device"}
    assert (content["epoch"], content["num_iterations"], content["device"]) == (0, 2, "cpu")
    last = read_state(first / "last.model" / "weights.pt")
    still = {"optimizer__learning_rate": 1e-12, "optimizer__weight_decay": 0.0}
    for start, recipe in (
        (first, "contrast_2.5_10"),
        (first / "last.model", "contrast_2.5_10"),
        (checkpoint, None),
    ):
        run = tmp_path / f"from_{start.name}"
        train(tiny(data, epochs=1, init=str(start), **still), run)
        again = load_model(run / "last.model")
        torch.testing.assert_close(again.state["scores.weight"], last["scores.weight"], rtol=0, atol=1e-9)
        assert again.info.normalization == recipe
    with pytest.raises(UsageError, match=r"network unet_xy was asked for, but .* holds residual_unet"):
        train(tiny(data, init=str(first), network={"name": "unet_xy"}), tmp_path / "no")
    with pytest.raises(Problems, match=r"width: 8 was asked for, but .* has 4"):
        train(tiny(data, init=str(first), network__width=8), tmp_path / "no")


def test_early_stopping_and_no_validation(data: Path, tmp_path: Path) -> None:
    found = train(
        tiny(data, epochs=9, validation__every=1, validation__patience=1, optimizer__learning_rate=1e-9),
        tmp_path / "early",
    )
    assert found.epochs == found.best_epoch + 2 < 9
    seen: list[Any] = []
    found = train(tiny(data, epochs=1, data__leaveout=[]), tmp_path / "none", seen.append)
    assert found.best is None
    assert found.model.name == "last.model"
    assert any("no image is held back" in e.text for e in seen if isinstance(e, Note))


def test_a_loss_that_is_no_number_ends_the_run(data: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    train(tiny(data, epochs=1), run)
    before = (run / "state.pt").read_bytes()
    progress, values = state.load_state(run / "state.pt")
    values["network"]["scores.bias"].fill_(float("nan"))
    state.save_state(run / "state.pt", progress, values)
    broken = (run / "state.pt").read_bytes()
    assert broken != before
    with pytest.raises(
        InputError, match=r"the loss became nan in epoch 1, step 0: lower the learning rate \(0.01\)"
    ):
        resume(run, ["epochs=2"])
    assert (run / "state.pt").read_bytes() == broken


@pytest.mark.parametrize("every", [1, 5])
def test_weights_that_are_no_numbers_are_not_kept(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, every: int
) -> None:
    """The last step of an epoch may break what its loss, that of the weights before it, does not show."""
    run = tmp_path / "run"
    train(tiny(data, epochs=1), run)
    before = (run / "state.pt").read_bytes()
    step, count = Optimization.step, iter(range(100))

    def breaking(self: Optimization, batch: Batch, rate: float) -> torch.Tensor:
        loss = step(self, batch, rate)
        if next(count) == 1:
            with torch.no_grad():
                self.network.get_parameter("scores.bias").fill_(float("nan"))
        return loss

    monkeypatch.setattr(Optimization, "step", breaking)
    with pytest.raises(
        InputError,
        match=r"the weights \(scores\.bias\) became NaN or infinite in epoch 1: lower the learning rate \(0\.01\);",
    ):
        resume(run, ["epochs=3", f"validation.every={every}"])
    assert (run / "state.pt").read_bytes() == before
    assert load_model(run / "last.model").info.provenance["epoch"] == 0


@pytest.fixture
def full_disk(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], None]]:
    """Call it to fill the disk: every file that is written in binary then breaks off half-way."""
    real = torch.save

    def fill() -> None:
        def save(value: Any, stream: Any) -> None:
            stream.write(b"half")
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        monkeypatch.setattr(torch, "save", save)

    yield fill
    monkeypatch.setattr(torch, "save", real)


def test_a_full_disk_keeps_what_was_saved(
    data: Path, tmp_path: Path, full_disk: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tmp_path / "run"

    def fill(event: Any) -> None:
        if isinstance(event, EpochDone) and event.epoch == 0:
            full_disk()

    with pytest.raises(WriteError, match="the disk is full"):
        train(tiny(data, epochs=2, validation__every=1), run, fill)
    monkeypatch.undo()
    monkeypatch.setattr("fastseg.unet.training.trainer.usable_cores", lambda: 1)
    assert not [p for p in run.rglob("*") if p.name.endswith(".part")]
    progress, _ = state.load_state(run / "state.pt")
    assert progress.epoch == 1
    assert load_model(run / "last.model").info.provenance["epoch"] == 0
    whole = tmp_path / "whole"
    train(tiny(data, epochs=2, validation__every=1), whole)
    resume(run)
    assert_same_run(whole, run)


def test_states_are_read_without_running_them(data: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    train(tiny(data, epochs=1), run)
    whole = (run / "state.pt").read_bytes()
    (run / "state.pt").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(SourceError, match=r"state\.pt cannot be read as the state of a training run"):
        resume(run)
    torch.save({"format_version": 1, "progress": os.system}, run / "state.pt")
    with pytest.raises(SourceError, match=r"state\.pt cannot be read as the state of a training run"):
        resume(run)
    (run / "state.pt").unlink()
    with pytest.raises(SourceError, match="has saved no state to go on from"):
        resume(run)
    with pytest.raises(SourceError, match="holds no training run"):
        resume(tmp_path)


def test_two_processes_do_not_share_a_folder(tmp_path: Path) -> None:
    run = folder.RunFolder(tmp_path / "run")
    with run.locked(), pytest.raises(UsageError, match="another process trains into"), run.locked():
        pass


def test_every_problem_is_told_before_the_first_step(tmp_path: Path) -> None:
    data = blob_set(tmp_path / "data")
    (data / "img_002.ome.tif").write_bytes(b"no image")
    (data / "img_003_GT.ome.tif").write_bytes(b"")
    with pytest.raises(Problems) as found:
        train(
            tiny(data, patch=[16, 23, 24], loss__weights=[1, 1], validation__outputs=[{"output": 1}]),
            tmp_path / "run",
        )
    text = str(found.value)
    for part in ("img_002: ", "img_003: ", "patch 16,23,24", "2 are given; residual_unet has 1", "output 1"):
        assert part in text
    assert not (tmp_path / "run").exists()


def test_the_reference_optimizer_starts_anew_every_epoch(data: Path, tmp_path: Path) -> None:
    counts = {}
    for name, reset in (("once", False), ("anew", True)):
        train(tiny(data, epochs=2, optimizer__reset_every_epoch=reset), tmp_path / name)
        _, found = state.load_state(tmp_path / name / "state.pt")
        counts[name] = {float(moments["step"]) for moments in found["optimizer"]["state"].values()}
    assert counts == {"once": {4.0}, "anew": {2.0}}


def test_a_lowered_rate_stays_lowered_in_a_run_that_goes_on(data: Path, tmp_path: Path) -> None:
    # the rate is far too small to improve anything, so that every validation after the first lowers it
    rich = {**RICH, "optimizer__learning_rate": 1e-9, "optimizer__average": None}
    whole = train(tiny(data, **rich), tmp_path / "whole")
    rates = [row["learning_rate"] for row in whole.history]
    assert rates[2] < rates[1]
    with pytest.raises(Killed):
        train(tiny(data, **rich), tmp_path / "run", killed_at(3, 0))
    assert [row["learning_rate"] for row in resume(tmp_path / "run").history] == rates
