"""Peak memory of this process during one call, above what it held before."""

import resource
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

_RESET = Path("/proc/self/clear_refs")
_STATUS = Path("/proc/self/status")


def _status(field: str) -> int:
    for line in _STATUS.read_text().splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1]) * 1024
    raise OSError(f"{_STATUS} has no {field}")


def peak_of(call: Callable[[], Any]) -> int:
    """Bytes of resident memory that a call adds at its highest point, its result included.

    Linux can restart its high-water mark, so that what came before the call does not hide what it takes. Elsewhere the
    mark of the whole process is compared, which is too small if an earlier call needed more.
    """
    try:
        _RESET.write_text("5")
        before = _status("VmRSS")
        result = call()
        peak = _status("VmHWM")
    except OSError:
        before = _high_water()
        result = call()
        peak = _high_water()
    del result
    return max(0, peak - before)


def _high_water() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1024 if sys.platform == "linux" else 1)
