"""TensorBoard's files: names, epochs and pictures, each once also where a run goes on.

TensorBoard is no dependency. What is written is seen by a stand-in for its writer; where TensorBoard is installed, its
own reader looks at real files too.
"""

from __future__ import annotations

import errno
import io
import os
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from PIL import Image

from fastseg.errors import WriteError
from fastseg.unet.training.board import Board
from fastseg.unet.training.events import EpochDone, Note, StepDone
from fastseg.unet.training.train import resume, train
from tests.unet.training.runs import blob_set, tiny

MODULE = "torch.utils.tensorboard"
ALWAYS, VALIDATED = {"train_loss", "learning_rate", "seconds"}, {"validation_loss", "dice", "iou"}


@pytest.fixture(autouse=True)
def one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fastseg.unet.training.trainer.usable_cores", lambda: 1)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return blob_set(tmp_path_factory.mktemp("blobs"))


class Writer:
    """Stands in for `torch.utils.tensorboard.SummaryWriter`: keeps what it is given."""

    made: list[Writer]

    def __init__(self, log_dir: str, *, purge_step: int) -> None:
        self.folder, self.purge_step = log_dir, purge_step
        self.events: list[tuple[str, int, Any]] = []
        self.flushed = 0
        self.closed = False
        self.made.append(self)

    def add_scalar(self, tag: str, scalar_value: float, global_step: int) -> None:
        assert not self.closed
        self.events.append((tag, global_step, scalar_value))

    def add_image(self, tag: str, img_tensor: np.ndarray, global_step: int, *, dataformats: str) -> None:
        assert (dataformats, img_tensor.ndim, img_tensor.dtype) == ("HWC", 3, np.uint8)
        self.events.append((tag, global_step, img_tensor))

    def flush(self) -> None:
        self.flushed += 1

    def close(self) -> None:
        self.closed = True


def installed(monkeypatch: pytest.MonkeyPatch, writer: type) -> None:
    module = ModuleType(MODULE)
    module.SummaryWriter = writer  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, MODULE, module)


@pytest.fixture
def writers(monkeypatch: pytest.MonkeyPatch) -> list[Writer]:
    """The writers that are made, in this order."""
    made: list[Writer] = []
    monkeypatch.setattr(Writer, "made", made, raising=False)
    installed(monkeypatch, Writer)
    return made


def read(writers: list[Writer]) -> dict[str, dict[int, Any]]:
    """What TensorBoard shows: a file's beginning at an epoch takes that one and later ones of earlier files away."""
    shown: dict[str, dict[int, Any]] = {}
    for writer in writers:
        for steps in shown.values():
            for step in [s for s in steps if s >= writer.purge_step]:
                del steps[step]
        for tag, step, value in writer.events:
            assert step not in shown.setdefault(tag, {}), f"{tag} of epoch {step} is written twice"
            shown[tag][step] = value
    return shown


class Killed(BaseException):
    """What no code catches, as the end of a process by SIGKILL."""


def killed_at(epoch: int, step: int) -> Callable[[Any], None]:
    def watch(event: Any) -> None:
        if isinstance(event, StepDone) and (event.epoch, event.step) == (epoch, step):
            raise Killed

    return watch


def test_an_epoch_is_a_row_of_the_metrics_and_the_pictures_of_its_validation(
    data: Path, tmp_path: Path, writers: list[Writer]
) -> None:
    run = tmp_path / "run"
    found = train(tiny(data, epochs=3, validation__every=2), run)
    (writer,) = writers
    assert (writer.folder, writer.purge_step, writer.closed) == (str(run / "tensorboard"), 0, True)
    assert writer.flushed == 3  # each epoch can be looked at when it is done
    shown = read(writers)
    assert shown.keys() == ALWAYS | VALIDATED | {"samples/img_001"}
    for tag in ALWAYS:
        assert shown[tag] == {row["epoch"]: row[tag] for row in found.history}
    for tag in VALIDATED:
        assert shown[tag] == {epoch: found.history[epoch][tag] for epoch in (0, 2)}
    pictures = shown["samples/img_001"]
    assert list(pictures) == [0, 2]
    assert not np.array_equal(pictures[0], pictures[2])
    stored = Image.open(run / "samples" / "last_0.png")
    np.testing.assert_array_equal(pictures[2], np.asarray(stored))


@pytest.mark.parametrize("every", [1, 2])
def test_a_run_that_goes_on_shows_every_epoch_once(
    data: Path, tmp_path: Path, writers: list[Writer], every: int
) -> None:
    changes = {"epochs": 4, "validation__every": 1, "save__every": every}
    whole = train(tiny(data, **changes), tmp_path / "whole")
    expected = read(writers)
    writers.clear()
    with pytest.raises(Killed):
        train(tiny(data, **changes), tmp_path / "run", killed_at(3, 0))
    resume(tmp_path / "run")
    # with a state every second epoch the third one is trained again
    assert [w.purge_step for w in writers] == [0, 3 if every == 1 else 2]
    assert all(w.closed for w in writers)
    shown = read(writers)
    assert shown.keys() == expected.keys()
    for tag, steps in expected.items():
        assert list(shown[tag]) == list(steps) == [0, 1, 2, 3]
        for step, value in steps.items():
            if tag != "seconds":
                np.testing.assert_array_equal(shown[tag][step], value)
    assert shown["dice"] == {row["epoch"]: row["dice"] for row in whole.history}


def test_several_classes_have_names_of_their_own(tmp_path: Path, writers: list[Writer]) -> None:
    board = Board(tmp_path / "tensorboard")
    row = {"epoch": 7, "steps": 99, "dice": 0.5, "dice_output0_class1": 0.4, "dice_output0_class2": 0.6}
    assert board.add(row) is None
    board.close()
    board.close()
    assert [(tag, step) for tag, step, _ in writers[0].events] == [
        ("dice", 7),
        ("dice_output0_class1", 7),
        ("dice_output0_class2", 7),
    ]


def test_without_tensorboard_there_is_no_folder(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, MODULE, None)
    run, seen = tmp_path / "run", list[Any]()
    train(tiny(data, epochs=1), run, seen.append)
    assert not (run / "tensorboard").exists()
    assert not [e for e in seen if isinstance(e, Note) and "TensorBoard" in e.text]


def test_a_tensorboard_that_does_not_start_is_a_note(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Broken(ModuleType):
        def __getattr__(self, name: str) -> Any:
            raise TypeError("Descriptors cannot be created.\nmuch advice")

    monkeypatch.setitem(sys.modules, MODULE, Broken(MODULE))
    seen: list[Any] = []
    found = train(tiny(data, epochs=2), tmp_path / "run", seen.append)
    assert found.epochs == 2
    assert [e.text for e in seen if isinstance(e, Note) and "TensorBoard" in e.text] == [
        "TensorBoard is installed but does not start, its files are not written: Descriptors cannot be created."
    ]


@pytest.mark.parametrize("method", ["__init__", "add_scalar", "flush"])
def test_a_full_disk_is_an_error_and_what_was_saved_stays(
    data: Path, tmp_path: Path, writers: list[Writer], monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    run = tmp_path / "run"
    train(tiny(data, epochs=1), run)

    def full(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Writer, method, full)
    before = (run / "state.pt").read_bytes()
    with pytest.raises(WriteError, match=r"run/tensorboard cannot be written: No space left on device"):
        resume(run, ["epochs=2"])
    assert (run / "state.pt").read_bytes() == before


def test_the_files_are_what_tensorboard_reads(data: Path, tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    changes = {"epochs": 4, "validation__every": 1, "save__every": 2}
    run, seen = tmp_path / "run", list[Any]()
    with pytest.raises(Killed):
        train(tiny(data, **changes), run, killed_at(3, 0))
    resume(run, on_event=seen.append)
    assert [e.epoch for e in seen if isinstance(e, EpochDone)] == [2, 3]
    assert len(list((run / "tensorboard").iterdir())) == 2
    shown = EventAccumulator(str(run / "tensorboard"), {"scalars": 0, "images": 0}).Reload()
    assert set(shown.Tags()["scalars"]) == ALWAYS | VALIDATED
    assert shown.Tags()["images"] == ["samples/img_001"]
    for tag in ALWAYS | VALIDATED:
        assert [event.step for event in shown.Scalars(tag)] == [0, 1, 2, 3]
    last = seen[-1].values
    assert shown.Scalars("dice")[-1].value == pytest.approx(last["dice"])
    pictures = shown.Images("samples/img_001")
    assert [event.step for event in pictures] == [0, 1, 2, 3]
    stored = Image.open(run / "samples" / "last_0.png")
    np.testing.assert_array_equal(
        np.asarray(Image.open(io.BytesIO(pictures[-1].encoded_image_string))), np.asarray(stored)
    )
