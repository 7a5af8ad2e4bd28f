"""Set-up that must happen before any test module is imported: Numba's cache and Hypothesis profiles."""

import os
from pathlib import Path

from hypothesis import HealthCheck, settings

ROOT = Path(__file__).resolve().parents[1]

# Tests compile into a folder of their own, read when numba is first imported. `fastseg.kernels.jit` adds a subfolder
# for each state of the sources, so that no stale machine code is tested.
os.environ["NUMBA_CACHE_DIR"] = str(ROOT / ".cache" / "numba")

_SLOW = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]
settings.register_profile(
    "fixed", derandomize=True, database=None, deadline=None, suppress_health_check=_SLOW
)
settings.register_profile("explore", deadline=None, max_examples=1000, suppress_health_check=_SLOW)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "fixed"))
