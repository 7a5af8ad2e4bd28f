"""The Python entry point hands every choice on."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import fastseg
from fastseg.workflow import segment as module
from tests.support import image


def test_options_reach_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    given: dict[str, Any] = {}
    run = module.run_workflow

    def spy(*args: Any, **options: Any) -> Any:
        given.update(options)
        return run(*args, **options)

    monkeypatch.setattr(module, "run_workflow", spy)
    stack = image("blobs", (4, 20, 20), 1)
    mask = fastseg.segment(stack, "tomm20", "cpu", rescale=0.5, compat=True, tile=(2, 8, 8))
    assert (given["rescale"], given["compat"], given["engine"].tile) == (0.5, True, (2, 8, 8))
    assert mask.shape == (4, 10, 10)
    np.testing.assert_array_equal(mask, fastseg.segment(stack, "tomm20", rescale=0.5, compat=True))
