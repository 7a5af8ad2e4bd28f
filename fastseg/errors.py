"""Exceptions with messages meant for the person at the keyboard.

Every message is one sentence that names the file or parameter, its value and what is allowed. The command line prints
it and exits with :attr:`FastsegError.exit_code`; a traceback appears only under ``--debug``.
"""

from __future__ import annotations

from collections.abc import Sequence

EXIT_SOME_FAILED = 1
EXIT_USAGE = 2


class FastsegError(Exception):
    """Base of all errors raised on purpose; `exit_code` is what the command line returns for a single item."""

    exit_code = EXIT_SOME_FAILED


class UsageError(FastsegError):
    """The request itself is wrong: an unknown name, a value out of range, contradictory options."""

    exit_code = EXIT_USAGE


class DeviceError(UsageError):
    """A device was asked for that this machine does not offer."""


class GpuMemoryError(FastsegError):
    """The memory of a GPU does not suffice for what was asked of it."""


class ReadError(FastsegError):
    """An image cannot be read, or is not an image fastseg can segment."""


class SelectionError(ReadError):
    """A file holds several scenes, channels or time points and the request does not single one out."""

    exit_code = EXIT_USAGE


class SourceError(ReadError):
    """What a whole request works on is not there or cannot be read: a training set, a run to go on with."""

    exit_code = EXIT_USAGE


class WriteError(FastsegError):
    """A result cannot be written: no permission, no space, or a file is in the way."""


class InputError(FastsegError):
    """An array is unsuitable for the operator or workflow: shape, values or number of dimensions."""


class Problems(UsageError):
    """Several problems found in one definition, reported together.

    Parameters
    ----------
    what : str
        The thing that was checked, such as a file name.
    problems : sequence of str
        One sentence a problem, each with its place and the allowed values.
    """

    def __init__(self, what: str, problems: Sequence[str]) -> None:
        self.what = what
        self.problems = tuple(problems)
        count = len(self.problems)
        head = f"{what}: {count} problem{'s' if count != 1 else ''}"
        super().__init__("\n".join([head, *(f"  - {p}" for p in self.problems)]))
