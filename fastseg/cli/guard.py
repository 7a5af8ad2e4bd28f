"""How commands end: one line for an error, the right exit code, a traceback only when it is asked for."""

from __future__ import annotations

import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from types import FrameType
from typing import Any, NoReturn

import typer

from fastseg.errors import EXIT_SOME_FAILED, FastsegError

EXIT_INTERRUPTED = 130
EXIT_TERMINATED = 143

DEBUG_HINT = "run again with --debug for the traceback"


class Terminated(KeyboardInterrupt):
    """SIGTERM, as a scheduler sends it; like Ctrl-C it unwinds the stack, so that nothing half-written is left."""


class _Settings:
    """What the global options said; one process runs one command."""

    debug = False


settings = _Settings()


def say_error(message: str) -> None:
    """Print a message on standard error, on one line where it has one."""
    print(f"error: {message}", file=sys.stderr, flush=True)


def fail(message: str, exit_code: int) -> NoReturn:
    """End the command with a message."""
    say_error(message)
    raise typer.Exit(exit_code)


def guarded(command: Callable[..., Any]) -> Callable[..., Any]:
    """Decorator of commands: turns exceptions into messages and exit codes."""

    @wraps(command)
    def run(*args: Any, **kwargs: Any) -> Any:
        try:
            with _sigterm_unwinds():
                return command(*args, **kwargs)
        except (typer.Exit, typer.Abort, typer.BadParameter, BrokenPipeError):
            raise
        except KeyboardInterrupt as stop:
            _end_interrupted(stop, "interrupted")
        except FastsegError as error:
            _trace()
            fail(str(error), error.exit_code)
        except MemoryError as error:
            _trace()
            fail(f"memory ran out{f' ({error})' if str(error) else ''}", EXIT_SOME_FAILED)
        except Exception as error:
            _trace()
            text = " ".join(str(error).split())
            hint = "" if settings.debug else f" ({DEBUG_HINT})"
            fail(f"{type(error).__name__}{f': {text}' if text else ''}{hint}", EXIT_SOME_FAILED)

    return run


def _end_interrupted(stop: KeyboardInterrupt, message: str) -> NoReturn:
    text = f"{stop}" if str(stop) else message
    print(text, file=sys.stderr, flush=True)
    raise typer.Exit(EXIT_TERMINATED if isinstance(stop, Terminated) else EXIT_INTERRUPTED)


def _trace() -> None:
    if settings.debug:
        traceback.print_exc()


@contextmanager
def _sigterm_unwinds() -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    owner = os.getpid()
    before = signal.getsignal(signal.SIGTERM)

    def stop(number: int, frame: FrameType | None) -> None:
        if os.getpid() != owner:  # a forked child ends the usual way
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            os.kill(os.getpid(), signal.SIGTERM)
            return
        raise Terminated

    signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before if before is not None else signal.SIG_DFL)
