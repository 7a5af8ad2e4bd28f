"""Set-up that must happen before any test module is imported: Numba's cache and Hypothesis profiles."""

import hashlib
import os
from pathlib import Path

from hypothesis import HealthCheck, settings

ROOT = Path(__file__).resolve().parents[1]


def _kernel_sources_hash() -> str:
    digest = hashlib.sha256()
    for path in sorted((ROOT / "kernels").rglob("*.py")):
        digest.update(path.relative_to(ROOT).as_posix().encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


# Numba's cache looks at the file of the compiled function only, not at those of the functions that it calls. One
# folder per state of all sources keeps stale machine code out of the tests. Read when numba is first imported.
os.environ["NUMBA_CACHE_DIR"] = str(ROOT / ".cache" / f"numba-{_kernel_sources_hash()}")

_SLOW = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]
settings.register_profile("fixed", derandomize=True, database=None, deadline=None, suppress_health_check=_SLOW)
settings.register_profile("explore", deadline=None, max_examples=1000, suppress_health_check=_SLOW)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "fixed"))
