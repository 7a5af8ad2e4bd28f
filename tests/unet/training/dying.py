"""Ways for a process to end. Imports little: every test starts it anew."""

from __future__ import annotations

import os
import signal
import sys
import time
from multiprocessing.connection import Connection

from fastseg.errors import InputError
from fastseg.unet.training.events import Note


def work(how: str, pipe: Connection) -> None:
    if how == "waits":
        time.sleep(600)
    pipe.send(("event", Note("begun")))
    if how == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if how == "exits":
        sys.exit(3)
    if how == "refuses":
        pipe.send(("error", (InputError, "the image has NaN")))
    if how == "breaks":
        pipe.send(("unexpected", "ValueError: no"))
    time.sleep(600)
