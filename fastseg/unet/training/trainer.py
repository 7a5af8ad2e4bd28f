"""The loop, in each of the processes that train together."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from math import isfinite
from time import perf_counter
from typing import Any

import torch

from fastseg.arrays import usable_cores
from fastseg.errors import InputError, ReadError, UsageError
from fastseg.unet.model import BEST, LAST, load_model
from fastseg.unet.module import Network
from fastseg.unet.runner import is_out_of_memory
from fastseg.unet.training.batch_norm import join_batch_norms
from fastseg.unet.training.events import EpochDone, Note, OnEvent, StepDone, TrainingStarted, ValidationStep
from fastseg.unet.training.folder import CONFIG, STATE, RunFolder
from fastseg.unet.training.items import TrainingItem
from fastseg.unet.training.losses import make_loss
from fastseg.unet.training.optimize import Optimization, freeze
from fastseg.unet.training.prepare import Plan
from fastseg.unet.training.schedule import Plateau, make_curve
from fastseg.unet.training.state import Progress
from fastseg.unet.training.stream import PatchStream
from fastseg.unet.training.team import Team
from fastseg.unet.training.validation import Judge, Judged, averaged


class Stopped(Exception):
    """The run was asked to stop; its state is saved."""


class Trainer:
    """Trains a network.

    Parameters
    ----------
    plan : Plan
    team : Team
    device : torch.device
        Of this process.
    folder : RunFolder
        Written to by the process that leads.
    init : str or None
        Weights to begin with.
    should_stop : callable
        Asked after every step and before every validated image.
    on_event : callable
        Called in the process that leads.
    """

    def __init__(
        self,
        plan: Plan,
        team: Team,
        device: torch.device,
        folder: RunFolder,
        init: str | None,
        should_stop: Callable[[], bool],
        on_event: OnEvent,
    ) -> None:
        self.plan = plan
        self.settings = plan.settings
        self.team = team
        self.device = device
        self.folder = folder
        self._should_stop = should_stop
        self._on_event = on_event
        self.progress = Progress()
        self.optimization = self._optimization(init)
        self.stream = PatchStream(
            plan.split.training,
            self.settings.sampling,
            self.settings.augmentation,
            size_in=plan.size_in,
            size_out=plan.size_out,
            channels=plan.architecture.params.channels,
            batch=plan.batch // team.world,
            seed=self.settings.seed,
            device=device,
            rank=team.rank,
            world=team.world,
            memory=self.settings.data.memory,
            team=team,
        )
        self.curve = make_curve(self.settings.schedule, self.settings.epochs, self.stream.steps())
        self.plateau = self._new_plateau()

    def _optimization(self, init: str | None) -> Optimization:
        settings, arch = self.settings, self.plan.architecture
        torch.manual_seed(settings.seed)
        network = Network(arch.graph)
        if init is not None:
            network.load_state_dict(dict(load_model(init).state))
        half = self.plan.precision in ("bfloat16", "float16")
        order: Any = torch.channels_last_3d if half else torch.contiguous_format
        network = network.to(self.device, memory_format=order).train()
        loss = make_loss(settings.loss, len(arch.graph.outputs), self.team)
        freeze(network, loss.outputs, settings.optimizer.inert_biases)
        trained: torch.nn.Module = network
        if self.team.world > 1:
            join_batch_norms(network, self.device)
            own = [self.device] if self.device.type == "cuda" else None
            trained = torch.nn.parallel.DistributedDataParallel(network, own)
        return Optimization(network, trained, loss, settings.optimizer, self.plan.precision, self.team.world)

    def _new_plateau(self) -> Plateau:
        schedule = self.settings.schedule
        return Plateau(schedule.patience, schedule.factor, schedule.final, **self.progress.plateau)

    def resume(self, progress: Progress, state: dict[str, Any]) -> None:
        """Go on from a saved state.

        Raises
        ------
        ReadError
            If it is not of this network and these settings.
        """
        self.progress = progress
        try:
            self.optimization.load(state)
        except (RuntimeError, ValueError, KeyError, TypeError) as error:
            lines = [line.strip() for line in str(error).splitlines() if line.strip()]
            raise ReadError(
                f"{self.folder.path / STATE} is not the state of the run that {CONFIG} describes: {lines[-1][:200]}"
            ) from None
        self.plateau = self._new_plateau()

    def run(self) -> None:
        """Train to the end.

        Raises
        ------
        Stopped
            When it was asked to stop; everything up to there is saved.
        InputError
            When the loss is no longer a number.
        ReadError, WriteError
            When an image cannot be read or a file cannot be written; what was saved before is still there.
        """
        self._announce()
        try:
            with self._arithmetic():
                while self.progress.epoch < self.settings.epochs and not self._patience_is_over():
                    self._epoch()
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            size = ",".join(map(str, self.plan.size_in))
            raise UsageError(
                f"memory ran out with {self.plan.batch} patches of {size}: give a smaller --batch or --patch"
            ) from None
        finally:
            self.stream.close()
            self.folder.close()

    def _announce(self) -> None:
        plan = self.plan
        self._tell(
            TrainingStarted(
                network=plan.architecture.name,
                device=str(plan.device)
                if self.team.world == 1
                else f"{self.team.world} x {plan.device.kind}",
                training=len(plan.split.training),
                validation=len(plan.split.validation),
                patch=plan.size_in,
                batch=plan.batch,
                steps=self.stream.steps(),
                epoch=self.progress.epoch,
                epochs=self.settings.epochs,
                resumed=self.progress.total > 0,
                precision=plan.precision,
            )
        )

    def _epoch(self) -> None:
        progress = self.progress
        if not progress.trained:
            self._train()
        row: dict[str, float] = {
            "epoch": progress.epoch,
            "steps": progress.total,
            "train_loss": progress.loss / max(1, progress.step),
            "learning_rate": self._rate(max(0, progress.total - 1)),
        }
        best = False
        judged: list[Judged] = []
        if self._due(self.settings.validation.every) and self.plan.split.validation:
            judged = self._validate()
            row |= averaged([j.values for j in judged], self.plan.selections)
            best = self._is_best(row)
        row["seconds"] = round(progress.seconds, 3)
        progress.history.append(row)
        done, epoch = EpochDone(progress.epoch, row, best), progress.epoch
        keep = self.settings.save.keep_every
        kept = bool(keep) and self._due(keep)
        last = epoch == self.settings.epochs - 1 or self._patience_is_over()
        if self.team.leads:
            remark = self.folder.record(row, progress.history, judged, best, done=last)
            if remark is not None:
                self.note(remark)
        weights = None
        saves = last or self._due_state(epoch)
        if self.team.leads and (best or kept or saves):
            weights = self._weights()
            if best:
                self.folder.save_model(BEST, weights, progress, row)
            if kept or (last and keep):
                self.folder.keep(weights, self.optimization, progress, row)
        progress.next_epoch()
        if saves:
            self._save(weights, row)
        self._tell(done)

    def _train(self) -> None:
        """The steps of an epoch that are left."""
        progress, settings = self.progress, self.settings
        torch.set_num_threads(max(1, usable_cores() // self.team.world))
        if settings.optimizer.reset_every_epoch and progress.step == 0:
            self.optimization.forget()
        begun = perf_counter()
        before = progress.seconds
        waiting: tuple[int, torch.Tensor, float] | None = None
        batches = self.stream.epoch(progress.epoch, progress.step)
        try:
            for batch in batches:
                rate = self._rate(progress.total)
                loss = self.optimization.step(batch, rate)
                # the loss of the step before is read while this one runs: a GPU is never waited for
                self._read(waiting)
                waiting = (progress.step, loss, rate)
                progress.step += 1
                progress.total += 1
                progress.seconds = before + perf_counter() - begun
                if self.team.any(self._should_stop()):
                    self._read(waiting)
                    self._stop()
        finally:
            close = getattr(batches, "close", None)
            if close is not None:
                close()
        self._read(waiting)
        if progress.step == 0:
            raise InputError(f"epoch {progress.epoch} has no patch to train with")
        progress.trained = True

    def _read(self, waiting: tuple[int, torch.Tensor, float] | None) -> None:
        """Take a step's loss into account."""
        if waiting is None:
            return
        step, tensor, rate = waiting
        loss = float(tensor)
        epoch = self.progress.epoch
        if not isfinite(loss):
            raise self._diverged(f"the loss became {loss} in epoch {epoch}, step {step}")
        self.progress.loss += loss
        self._tell(StepDone(epoch, step, self.stream.steps(), loss, rate))

    def _weights(self) -> dict[str, Any]:
        """The weights to validate or keep.

        Raises
        ------
        InputError
            If they are not finite; the loss, which is that before a step, does not say so of the last one.
        """
        weights = self.optimization.weights()
        for name, tensor in weights.items():
            if not bool(tensor.isfinite().all()):
                raise self._diverged(
                    f"the weights ({name}) became NaN or infinite in epoch {self.progress.epoch}"
                )
        return weights

    def _diverged(self, what: str) -> InputError:
        half = self.plan.precision in ("bfloat16", "float16")
        hint = " or train with precision float32" if half else ""
        return InputError(
            f"{what}: lower the learning rate ({self.settings.optimizer.learning_rate:g}){hint}; the states saved "
            "before are unharmed"
        )

    def _rate(self, step: int) -> float:
        lowered = self.plateau.rate if self.settings.schedule.name == "plateau" else 1.0
        return self.settings.optimizer.learning_rate * self.curve(step) * lowered

    def _validate(self) -> list[Judged]:
        items = self.plan.split.validation
        own = self.team.share(len(items))
        judge = Judge(
            self.plan.architecture,
            self.plan.selections,
            self.settings.validation.threshold,
            str(self.device),
            self.plan.precision,
        )
        epoch = self.progress.epoch

        def before(number: int, item: TrainingItem) -> None:
            # all processes have to agree, and not all have equally many images: only before the first one
            if self.team.world == 1 and self._should_stop():
                self._stop()
            self._tell(ValidationStep(epoch, item.name, own[number], len(items)))

        if self.team.any(self._should_stop()):
            self._stop()
        begun = perf_counter()
        shown = self.settings.save.samples
        found = judge(self._weights(), [(items[i], i < shown) for i in own], before)
        judged: list[Judged] = self.team.in_turns(self.team.gather(found))
        self.progress.seconds += perf_counter() - begun
        return judged

    def _is_best(self, row: dict[str, float]) -> bool:
        """Compare a validation with those before, for the best model, the plateau and patience."""
        metric = self.settings.validation.metric
        value = row["validation_loss" if metric == "loss" else metric]
        larger = metric != "loss"
        self.plateau.see(value, larger)
        progress = self.progress
        progress.plateau = {k: getattr(self.plateau, k) for k in ("rate", "waited", "best")}
        better = progress.best is None or (value > progress.best if larger else value < progress.best)
        if better:
            progress.best, progress.best_epoch, progress.stale = value, progress.epoch, 0
        else:
            progress.stale += 1
        return better

    def _patience_is_over(self) -> bool:
        patience = self.settings.validation.patience
        return patience is not None and self.progress.stale >= patience

    def _due(self, every: int) -> bool:
        epoch = self.progress.epoch
        return epoch % every == 0 or epoch == self.settings.epochs - 1

    def _due_state(self, epoch: int) -> bool:
        return (epoch + 1) % self.settings.save.every == 0

    def _stop(self) -> None:
        self._save(None, self.progress.history[-1] if self.progress.history else {})
        raise Stopped

    def _save(self, weights: dict[str, Any] | None, row: dict[str, float]) -> None:
        """Model first, state last: what the state refers to is there."""
        if self.team.leads:
            self.folder.save_model(LAST, weights or self._weights(), self.progress, row)
            self.folder.save_state(self.progress, self.optimization.state())

    def _tell(self, event: Any) -> None:
        if self.team.leads:
            self._on_event(event)

    def note(self, text: str) -> None:
        """Tell the user something."""
        self._tell(Note(text))

    @contextmanager
    def _arithmetic(self) -> Iterator[None]:
        """PyTorch rounds the inputs of convolutions to 10 bits on GPUs (TF32) unless told otherwise."""
        if self.device.type == "cpu":
            yield
            return
        backend: Any = torch.backends.cudnn
        tf32 = self.plan.precision != "float32"
        with torch.cuda.device(self.device), backend.flags(enabled=True, benchmark=True, allow_tf32=tf32):
            yield
