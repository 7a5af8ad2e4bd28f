"""Stacks a second from disk to disk: one command reads a folder of whole fields, segments and writes them.

The time of a command is a start (imports, compilation, the first stack's memory) and a part for every stack, read,
segmented and written side by side. Both are told apart by two commands of different numbers of stacks. The files were
written just before and come from the system's cache: what is measured is decoding, not the drive.
"""

import tempfile
from pathlib import Path
from typing import Any

from bench.arrays import Shape
from bench.commands import RESULT, fastseg_command, run, write_stack
from bench.lineup import FASTSEG

FEW, MANY = 3, 9
LIMIT_S = 900.0


def measure_disk(workflow: str, shape: Shape, device: str) -> dict[str, Any]:
    """Seconds of the start and of a stack: a row of the results.

    Raises
    ------
    RuntimeError
        If a command fails or does not write what it should.
    """
    seconds: dict[int, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        files = [place / f"stack-{k}.tiff" for k in range(MANY)]
        write_stack(files[0], shape)
        for file in files[1:]:
            file.write_bytes(files[0].read_bytes())
        for number in (FEW, MANY):
            output = place / str(number)
            done = run(fastseg_command(workflow, files[:number], output, device), LIMIT_S)
            if done.error:
                raise RuntimeError(f"the command of {number} stacks failed: {done.error}")
            written = [output / f"{file.stem}{RESULT}" for file in files[:number]]
            if not all(path.is_file() for path in written):
                raise RuntimeError(f"the command of {number} stacks did not write all masks")
            seconds[number] = done.seconds
        moved = files[0].stat().st_size + written[0].stat().st_size
    each = (seconds[MANY] - seconds[FEW]) / (MANY - FEW)
    return {
        "group": "disk",
        "name": f"disk {workflow}",
        "shape": list(shape),
        "contenders": {FASTSEG: {"median_s": each, "agrees": True, "agreement": ""}} if each > 0 else {},
        "start_s": max(0.0, seconds[FEW] - FEW * each),
        "stack_bytes": moved,
        "stacks": [FEW, MANY],
        "seconds": [seconds[FEW], seconds[MANY]],
    }
