"""Training in this process, or in several that share every batch."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection, wait
from pathlib import Path
from types import FrameType
from typing import Any

from fastseg.errors import FastsegError, Problems, UsageError
from fastseg.unet.training.events import OnEvent
from fastseg.unet.training.prepare import Plan
from fastseg.unet.training.team import ALONE, Team

_PATIENCE = 20.0
"""Seconds that processes have to end when they are told to."""


class WorkerDied(FastsegError):
    """A process that took part in training ended without a word."""


class Requests:
    """Ctrl-C and SIGTERM as a request to stop; a second one breaks off."""

    def __init__(self) -> None:
        self._asked: list[int] = []
        self._before: dict[int, Any] = {}

    def asked(self) -> bool:
        """Whether a stop was asked for."""
        return bool(self._asked)

    def obey(self) -> None:
        """Do now what the program does on the signal that asked.

        Raises
        ------
        KeyboardInterrupt
            Or what the program's own handler raises.
        """
        self._pass_on(self._asked[0] if self._asked else signal.SIGINT, None)

    @contextmanager
    def heeded(self) -> Iterator[None]:
        """Within the block signals are requests."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        self._before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
        for number, handler in self._before.items():
            if handler is not signal.SIG_IGN:  # what is ignored stays so, as in the background of a script
                signal.signal(number, self._ask)
        try:
            yield
        finally:
            for number, handler in self._before.items():
                signal.signal(number, handler if handler is not None else signal.SIG_DFL)

    def _ask(self, number: int, frame: FrameType | None) -> None:
        if self._asked:
            self._pass_on(number, frame)
        self._asked.append(number)

    def _pass_on(self, number: int, frame: FrameType | None) -> None:
        handler = self._before.get(number)
        if callable(handler):
            handler(number, frame)
        raise KeyboardInterrupt


def train_here(
    plan: Plan,
    folder: Path,
    resume: bool,
    should_stop: Callable[[], bool],
    on_event: OnEvent,
    team: Team = ALONE,
) -> None:
    """Train in this process, alone or as one of a team whose process group is made.

    Raises
    ------
    Stopped
        When it was asked to stop; its state is saved.
    """
    import torch

    from fastseg.unet.training.folder import STATE, RunFolder
    from fastseg.unet.training.state import load_state
    from fastseg.unet.training.trainer import Trainer

    device = torch.device(str(plan.device))
    if team.world > 1 and device.type == "cuda":
        device = torch.device("cuda", team.rank)
    init = None if resume else plan.settings.init
    trainer = Trainer(plan, team, device, RunFolder(folder, plan), init, should_stop, on_event)
    if resume:
        trainer.resume(*load_state(folder / STATE))
    trainer.run()


def train_together(
    plan: Plan, folder: Path, resume: bool, should_stop: Callable[[], bool], on_event: OnEvent
) -> None:
    """Train in ``plan.settings.devices`` new processes on this machine.

    Raises
    ------
    Stopped
        When it was asked to stop; its state is saved.
    WorkerDied
        When a process was killed.
    FastsegError
        Whatever a process raises.
    """
    import torch.distributed as dist

    world = plan.settings.devices
    # the system chooses a free port, and it is taken from then on
    store = dist.TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
    context = multiprocessing.get_context("spawn")
    stop = context.Event()
    pipes, workers = [], []
    try:
        for rank in range(world):
            here, there = context.Pipe(duplex=False)
            work = (plan, folder, resume, Team(rank, world), store.port, stop, there)
            worker = context.Process(target=_work, args=work, name=f"fastseg-train-{rank}", daemon=True)
            worker.start()
            there.close()
            pipes.append(here)
            workers.append(worker)
        _attend(pipes, workers, stop, should_stop, on_event)
    finally:
        _end(workers)
        for pipe in pipes:
            pipe.close()


def _attend(
    pipes: list[Connection], workers: list[Any], stop: Any, should_stop: Callable[[], bool], on_event: OnEvent
) -> None:
    """Pass on what the processes say until all are done, or one of them fails."""
    from fastseg.unet.training.trainer import Stopped

    stopped = False
    running = dict(zip(pipes, workers, strict=True))
    while running:
        if should_stop():
            stop.set()
        for ready in wait(list(running), timeout=0.2):
            assert isinstance(ready, Connection)
            try:
                kind, value = ready.recv()
            except (EOFError, OSError):
                worker = running.pop(ready)
                worker.join(_PATIENCE)
                if worker.exitcode:
                    _died(worker)
                continue
            if kind == "event":
                on_event(value)
            elif kind == "stopped":
                stopped = True
            elif kind == "error":
                raise value[0](value[1])
            else:
                _look_for_the_dead(workers)
                raise RuntimeError(value)
    if stopped:
        raise Stopped


def _died(worker: Any) -> None:
    code = worker.exitcode
    how = f"was killed (signal {-code})" if code < 0 else f"ended with exit code {code}"
    raise WorkerDied(
        f"process {worker.name.rpartition('-')[2]} of the training {how}: what was saved before is unharmed; if "
        "memory ran out, give a smaller --batch or fewer --devices"
    )


def _look_for_the_dead(workers: list[Any]) -> None:
    """A process that fails without reason may have lost another one: that one is the reason."""
    wait([worker.sentinel for worker in workers], timeout=2.0)
    for worker in workers:
        if worker.exitcode is not None and worker.exitcode < 0:
            _died(worker)


def _end(workers: list[Any]) -> None:
    """No process outlives the run."""
    for worker in workers:
        if worker.is_alive():
            worker.terminate()
    for worker in workers:
        worker.join(_PATIENCE)
        if worker.is_alive():
            worker.kill()
            worker.join()


def _work(plan: Plan, folder: Path, resume: bool, team: Team, port: int, stop: Any, pipe: Connection) -> None:
    """A process of the team."""
    import torch
    import torch.distributed as dist

    from fastseg.unet.training.trainer import Stopped

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal sends Ctrl-C to all; the first process decides
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo0" if sys.platform == "darwin" else "lo")
    on_gpu = plan.device.kind == "cuda"
    if on_gpu:
        torch.cuda.set_device(team.rank)
    try:
        store = dist.TCPStore("127.0.0.1", port, is_master=False)
        dist.init_process_group(
            "cpu:gloo,cuda:nccl" if on_gpu else "gloo", store=store, rank=team.rank, world_size=team.world
        )
        train_here(plan, folder, resume, stop.is_set, lambda event: pipe.send(("event", event)), team)
    except Stopped:
        pipe.send(("stopped", None))
    except FastsegError as error:
        kind = UsageError if isinstance(error, Problems) else type(error)
        pipe.send(("error", (kind, str(error))))
    except Exception as error:
        traceback.print_exc()
        pipe.send(("unexpected", f"{type(error).__name__}: {error}"))
    finally:
        with suppress(Exception):
            dist.destroy_process_group()
        pipe.close()


def _end_with_parent() -> None:
    """Nobody would end this process if the one that started it were killed."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)
