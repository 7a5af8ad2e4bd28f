"""Two processes that train together are one process with their patches; none outlives the other."""

from __future__ import annotations

import multiprocessing
import os
import signal
from pathlib import Path

import pytest
import torch

from fastseg.errors import InputError
from fastseg.unet.checkpoint import read_state
from fastseg.unet.training import processes
from fastseg.unet.training.events import EpochDone, Note, StepDone
from fastseg.unet.training.processes import Requests, WorkerDied, _attend, _end
from fastseg.unet.training.train import train
from tests.unet.training import dying
from tests.unet.training.runs import blob_set, tiny


def test_two_processes_are_one_with_twice_the_batch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setattr("fastseg.unet.training.trainer.usable_cores", lambda: 1)
    data = blob_set(tmp_path / "data", 4)
    settings = {
        "epochs": 1,
        "data__leaveout": [0, 1],
        "batch": 4,
        "sampling__patches": 12,
        "validation__every": 1,
        "loss__name": "dice_cross_entropy",
        "loss__divide_by": "costs",
        "optimizer__average": 0.5,
        "save__samples": 2,
    }
    one = train(tiny(data, **settings), tmp_path / "one")
    seen: list[object] = []
    shared = tiny(data, devices=2, **settings)
    # nothing fits the memory: the images lie in a file that both processes look into
    shared = shared.model_copy(update={"data": shared.data.model_copy(update={"memory": 0})})
    two = train(shared, tmp_path / "two", seen.append)
    assert two.epochs == 1
    assert [e.epoch for e in seen if isinstance(e, EpochDone)] == [0]
    assert len([e for e in seen if isinstance(e, StepDone)]) == 3
    for a, b in zip(one.history, two.history, strict=True):
        assert a.keys() == b.keys()
        for key in a.keys() - {"seconds"}:
            # two processes add up in another order: only rounding differs
            assert b[key] == pytest.approx(a[key], rel=5e-3, abs=5e-3), key
    first, second = (
        read_state(run / "last.model" / "weights.pt") for run in (tmp_path / "one", tmp_path / "two")
    )
    start = read_state_of_start(data, settings)
    for name in first:
        moved = (first[name].double() - start[name].double()).norm()
        apart = (first[name].double() - second[name].double()).norm()
        assert apart <= 0.03 * moved + 1e-5, name
    assert (tmp_path / "two" / "samples" / "last_1.png").is_file()


def read_state_of_start(data: Path, settings: dict) -> dict[str, torch.Tensor]:
    from fastseg.unet.module import Network
    from fastseg.unet.networks.registry import architecture

    torch.manual_seed(tiny(data, **settings).seed)
    return Network(architecture("residual_unet", {"width": 4, "levels": 1}).graph).state_dict()


@pytest.mark.parametrize(
    ("how", "error", "text"),
    [
        ("killed", WorkerDied, r"process 0 of the training was killed \(signal 9\): what was saved before"),
        ("exits", WorkerDied, r"process 0 of the training ended with exit code 3"),
        ("refuses", InputError, "the image has NaN"),
        ("breaks", RuntimeError, "ValueError: no"),
    ],
)
def test_no_process_outlives_one_that_ends(how: str, error: type[Exception], text: str) -> None:
    context = multiprocessing.get_context("spawn")
    pipes, workers = [], []
    for rank, what in enumerate((how, "waits")):
        here, there = context.Pipe(duplex=False)
        worker = context.Process(
            target=dying.work, args=(what, there), name=f"fastseg-train-{rank}", daemon=True
        )
        worker.start()
        there.close()
        pipes.append(here)
        workers.append(worker)
    seen: list[object] = []
    try:
        with pytest.raises(error, match=text):
            _attend(pipes, workers, context.Event(), lambda: False, seen.append)
        assert workers[1].is_alive()
    finally:
        _end(workers)
        for pipe in pipes:
            pipe.close()
    assert not any(worker.is_alive() for worker in workers)
    assert seen == [Note("begun")]


def test_the_first_ctrl_c_asks_and_the_second_breaks_off(interrupts_heeded: None) -> None:
    requests = Requests()
    with requests.heeded():
        assert not requests.asked()
        os.kill(os.getpid(), signal.SIGINT)
        assert requests.asked()
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    with pytest.raises(KeyboardInterrupt):
        requests.obey()


def test_sigterm_does_what_the_program_does(monkeypatch: pytest.MonkeyPatch) -> None:
    class Ended(BaseException):
        pass

    def end(number: int, frame: object) -> None:
        raise Ended

    before = signal.signal(signal.SIGTERM, end)
    try:
        requests = Requests()
        with requests.heeded():
            os.kill(os.getpid(), signal.SIGTERM)
        with pytest.raises(Ended):
            requests.obey()
        assert signal.getsignal(signal.SIGTERM) is end
    finally:
        signal.signal(signal.SIGTERM, before)


def test_patience_is_short_enough_for_a_scheduler() -> None:
    assert processes._PATIENCE <= 30
