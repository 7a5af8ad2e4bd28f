"""What a run leaves in its folder. Every file is whole at any time: a new version takes the place of the old one.

::

    RUN/
        config.yaml       everything that decides the run
        split.yaml        names of the images that are trained with, and held back
        state.pt          to go on from
        best.model/       the best validation so far; last.model/ the latest epoch
        epoch_0050.model/ kept on the way (or checkpoint_epoch_50.pytorch, as the reference's)
        metrics.csv       a row an epoch
        training.html     curves, samples, settings
        samples/          pictures of the report
        tensorboard/      where TensorBoard is installed
"""

from __future__ import annotations

import csv
import fcntl
import io
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastseg.errors import SourceError, UsageError, WriteError
from fastseg.io.atomic import atomic_output, prepare_directory
from fastseg.unet.model import OF_RUNS, make_model, save_model
from fastseg.unet.training.config import dump, parse_settings
from fastseg.unet.training.prepare import Plan
from fastseg.unet.training.split import Split
from fastseg.unet.yaml_file import read_yaml

if TYPE_CHECKING:
    from fastseg.unet.training.board import Board
    from fastseg.unet.training.optimize import Optimization
    from fastseg.unet.training.settings import TrainSettings
    from fastseg.unet.training.state import Progress
    from fastseg.unet.training.validation import Judged

CONFIG, SPLIT, STATE, METRICS, REPORT, BOARD = (
    "config.yaml",
    "split.yaml",
    "state.pt",
    "metrics.csv",
    "training.html",
    "tensorboard",
)


class RunFolder:
    """The folder of a run.

    Parameters
    ----------
    path : path-like
    plan : Plan, optional
        Needed to write anything but text.
    """

    def __init__(self, path: str | Path, plan: Plan | None = None) -> None:
        self.path = Path(path)
        self._plan = plan
        self._board: Board | None = None

    @property
    def plan(self) -> Plan:
        assert self._plan is not None
        return self._plan

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other processes from training into the folder; it is made if needed.

        Raises
        ------
        UsageError
            If one does already.
        WriteError
            If it cannot be written to.
        """
        prepare_directory(self.path)
        file = self.path / ".lock"
        with ExitStack() as opened:
            try:
                stream = opened.enter_context(open(file, "w"))
            except OSError as error:
                raise WriteError(f"{file} cannot be written: {error.strerror or error}") from None
            try:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise UsageError(f"another process trains into {self.path}") from None
            except OSError:
                pass  # a file system without locks
            yield

    def check_new(self) -> None:
        """Refuse a folder that holds a run with a state, or models, which could be taken for those of the new run; and
        what is no folder or cannot be written to, which is better told before images are read than after.

        Raises
        ------
        UsageError
        """
        if (self.path / STATE).exists():
            raise UsageError(
                f"{self.path} holds a run already: go on with --resume {self.path}, or give another folder"
            )
        models = [name for name in OF_RUNS if os.path.lexists(self.path / name)]
        if models:
            raise UsageError(
                f"{self.path} holds {' and '.join(models)} of another run, and no state to go on from: give another "
                "folder"
            )
        there = next(p for p in (self.path, *self.path.absolute().parents) if os.path.lexists(p))
        if not there.is_dir():
            raise UsageError(f"output folder {self.path} cannot be made: {there} is a file")
        if not os.access(there, os.W_OK | os.X_OK):
            raise UsageError(f"output folder {self.path} cannot be written to: permission denied in {there}")

    def begin(self) -> None:
        """Write down what decides the run.

        Raises
        ------
        WriteError
        """
        split = self.plan.split
        self._write(CONFIG, dump(self.plan.settings))
        self._write(
            SPLIT, _yaml({"training": _names(split.training), "validation": _names(split.validation)})
        )

    def settings(self) -> TrainSettings:
        """The settings of the run that is here.

        Raises
        ------
        SourceError, Problems
            If there is none, or it is damaged.
        """
        file = self.path / CONFIG
        if not file.is_file():
            raise SourceError(f"{self.path} holds no training run: {CONFIG} is missing")
        return parse_settings(read_yaml(file), str(file))

    def check_split(self, split: Split) -> None:
        """Refuse to go on with other images than before.

        Raises
        ------
        UsageError
        """
        found = read_yaml(self.path / SPLIT)
        for key, items in (("training", split.training), ("validation", split.validation)):
            before, now = list(found.get(key) or []), _names(items)
            if before != now:
                gone, new = sorted({*before} - {*now}), sorted({*now} - {*before})
                changes = [f"{', '.join(gone)} missing"] if gone else []
                changes += [f"{', '.join(new)} new"] if new else []
                raise UsageError(
                    f"{self.path}: the {key} images are not those the run began with "
                    f"({'; '.join(changes) or 'another order'}): start a new run, with --init for these weights"
                )

    def record(
        self,
        row: Mapping[str, float],
        history: Sequence[Mapping[str, float]],
        judged: Sequence[Judged],
        best: bool,
        done: bool,
    ) -> str | None:
        """Write metrics, samples, the report and TensorBoard's files after an epoch.

        Returns
        -------
        str or None
            A remark for the user.

        Raises
        ------
        WriteError
        """
        from fastseg.unet.training.board import Board
        from fastseg.unet.training.report import report_page
        from fastseg.unet.training.samples import read_samples, save_samples

        self._write(METRICS, metrics_table(history))
        samples = [j.sample for j in judged if j.sample is not None]
        if samples:
            save_samples(self.path, ("last", "best") if best else ("last",), samples, int(row["epoch"]))
        if judged or done or len(history) == 1:  # between validations there is little to see
            page = report_page(self.path.name, self.plan, history, read_samples(self.path), done)
            self._write(REPORT, page)
        if self._board is None:
            self._board = Board(self.path / BOARD)
        return self._board.add(row, samples)

    def close(self) -> None:
        """Give open files back. May be called twice."""
        if self._board is not None:
            self._board.close()

    def save_model(
        self, name: str, weights: Mapping[str, Any], progress: Progress, row: Mapping[str, float]
    ) -> None:
        """Write a model folder.

        Raises
        ------
        WriteError
        """
        plan = self.plan
        settings = plan.settings
        main = tuple(s for s in plan.selections if s.output == 0)
        model = make_model(
            plan.architecture,
            weights,
            normalization=settings.data.normalization,
            spacing=settings.data.spacing,
            threshold=settings.validation.threshold,
            selections=main or plan.selections,
            provenance={
                "trained": datetime.now(UTC).isoformat(timespec="seconds"),
                "epoch": int(row["epoch"]) if row else progress.epoch,
                "steps": progress.total,
                "metrics": {k: v for k, v in row.items() if k not in ("epoch", "steps", "seconds")},
                "training": _names(plan.split.training),
                "validation": _names(plan.split.validation),
                "settings": settings.model_dump(mode="json", by_alias=True),
            },
        )
        save_model(model, self.path / name, overwrite=True)

    def keep(
        self,
        weights: Mapping[str, Any],
        optimization: Optimization,
        progress: Progress,
        row: Mapping[str, float],
    ) -> None:
        """Write the model of an epoch under a name of its own.

        Raises
        ------
        WriteError
        """
        from fastseg.unet.training.state import save_reference_checkpoint

        if not self.plan.settings.save.reference:
            self.save_model(f"epoch_{progress.epoch:04d}.model", weights, progress, row)
            return
        path = self.path / f"checkpoint_epoch_{progress.epoch}.pytorch"
        moments = optimization.optimizer.state_dict()
        save_reference_checkpoint(path, progress, weights, moments, str(self.plan.device))

    def save_state(self, progress: Progress, optimization: Mapping[str, Any]) -> None:
        """Write the state to go on from.

        Raises
        ------
        WriteError
        """
        from fastseg.unet.training.state import save_state

        save_state(self.path / STATE, progress, optimization)

    def _write(self, name: str, text: str) -> None:
        encoded = text.encode()
        with atomic_output(self.path / name, overwrite=True, needed=len(encoded)) as file:
            file.write_bytes(encoded)


def metrics_table(history: Sequence[Mapping[str, float]]) -> str:
    """The rows as CSV; empty cells where an epoch was not validated."""
    columns = list(dict.fromkeys(name for row in sorted(history, key=len, reverse=True) for name in row))
    if "seconds" in columns:  # measured and thus never the same: last, after what a run repeats
        columns.append(columns.pop(columns.index("seconds")))
    out = io.StringIO()
    writer = csv.DictWriter(out, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows({k: repr(v) for k, v in row.items()} for row in history)
    return out.getvalue()


def _names(items: Sequence[Any]) -> list[str]:
    return [item.name for item in items]


def _yaml(value: Any) -> str:
    import yaml

    return yaml.safe_dump(value, sort_keys=False, allow_unicode=True)
