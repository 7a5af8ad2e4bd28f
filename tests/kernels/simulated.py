"""Runs cases on simulated CUDA kernels and says of each how it ended: ``python -m tests.kernels.simulated [CASE ...]``.

Needs NUMBA_ENABLE_CUDASIM=1 before Numba is imported. All cases share one process, which takes longer to start than
most of them. Every case ends with a line of JSON on the standard output: its name, and what was raised.
"""

from __future__ import annotations

import json
import sys
import traceback
from collections.abc import Callable

from tests.kernels import simulated_filters, simulated_objects, simulated_operators, simulated_races
from tests.kernels.simulator import set_up

CASES: dict[str, Callable[[], None]] = {
    f"{module.__name__.rpartition('_')[2]}.{name}": case
    for module in (simulated_filters, simulated_objects, simulated_races, simulated_operators)
    for name, case in module.CASES.items()
}


def main() -> None:
    for name in sys.argv[1:] or CASES:
        set_up(name)
        try:
            CASES[name]()
            error = ""
        except Exception:
            error = traceback.format_exc()
        print(json.dumps({"case": name, "error": error}), flush=True)


if __name__ == "__main__":
    main()
