"""The files of TensorBoard in the folder of a run, where TensorBoard is installed."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fastseg.errors import WriteError
from fastseg.unet.training.samples import panels
from fastseg.unet.training.validation import Sample

_NO_SCALARS = ("epoch", "steps")
"""Of a row of metrics: the first is the step of the others, the second follows from it."""


class Board:
    """Writes scalars and pictures, the epoch being their step; without TensorBoard nothing.

    A run that goes on writes into files of its own. They begin with the mark that makes TensorBoard drop what the
    earlier ones hold of the same epochs and later ones.

    Parameters
    ----------
    folder : Path
        Made when the first epoch is written.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._writer: Any = None
        self._absent = False

    def add(self, row: Mapping[str, float], samples: Sequence[Sample] = ()) -> str | None:
        """Write an epoch.

        Parameters
        ----------
        row : mapping of str to float
            Of ``metrics.csv``.
        samples : sequence of Sample
            Of its validation.

        Returns
        -------
        str or None
            A remark where TensorBoard is installed and does not start; said once.

        Raises
        ------
        WriteError
        """
        if self._absent:
            return None
        epoch = int(row["epoch"])
        try:
            if self._writer is None:
                remark = self._open(epoch)
                if self._absent:
                    return remark
            for name, value in row.items():
                if name not in _NO_SCALARS:
                    self._writer.add_scalar(name, value, epoch)
            for sample in samples:
                self._writer.add_image(f"samples/{sample.name}", panels(sample), epoch, dataformats="HWC")
            self._writer.flush()
        except OSError as error:
            raise WriteError(f"{self._folder} cannot be written: {error.strerror or error}") from None
        return None

    def _open(self, epoch: int) -> str | None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:
            self._absent = True
            return None
        except (
            Exception
        ) as error:  # of a version of protobuf or NumPy that it was not made for: no reason to stop
            self._absent = True
            text = (str(error).strip().splitlines() or [type(error).__name__])[0]
            return f"TensorBoard is installed but does not start, its files are not written: {text}"
        self._writer = SummaryWriter(os.fspath(self._folder), purge_step=epoch)
        return None

    def close(self) -> None:
        """Give the file back. May be called twice."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None
