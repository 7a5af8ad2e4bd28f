"""What a workflow returns: its foreground value in an integer dtype, from whatever its last step gives."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pytest

from fastseg.workflow.load import get_workflow
from fastseg.workflow.program import as_foreground
from fastseg.workflow.schema import Result


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
@pytest.mark.parametrize("foreground", [1, 7, 255])
@pytest.mark.parametrize("kind", ["mask", "every second row", "labels", "image"])
def test_non_zero_voxels_become_the_value(
    kind: str, dtype: Literal["uint8", "uint16"], foreground: int
) -> None:
    labels = np.arange(24).reshape(2, 4, 3) % 5 - 1
    found = {
        "mask": labels > 0,
        "every second row": np.repeat(labels, 2, axis=1)[:, ::2] > 0,
        "labels": labels.astype(np.int32),
        "image": labels.astype(np.float32) / 2,
    }[kind]
    kept = found.copy()
    made = as_foreground(found, Result(step="last", dtype=dtype, foreground=foreground))
    assert made.dtype == dtype
    np.testing.assert_array_equal(made, np.where(labels > 0, foreground, 0))
    np.testing.assert_array_equal(found, kept)
    assert not np.may_share_memory(made, found)


def test_a_library_workflow_is_read_once() -> None:
    assert get_workflow("sec61b") is get_workflow("SEC61B")
    assert get_workflow("json:sec61b") is get_workflow("json:sec61b")
    assert get_workflow("json:sec61b") != get_workflow("sec61b")
