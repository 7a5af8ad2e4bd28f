"""What a GPU leaves to the host is said in the notes of a run."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from fastseg.arrays.host_steps import declare_host_step
from fastseg.workflow import run as module
from fastseg.workflow.load import get_workflow
from tests.support import image

GPU: Any = SimpleNamespace(on_gpu=True)


def test_each_step_and_reason_is_told_once(monkeypatch: pytest.MonkeyPatch) -> None:
    real = module.run_step

    def leaving(step: Any, *rest: Any) -> Any:
        if step.operator == "gaussian_smooth":
            for reason in ("no kernel", "no kernel", "too large"):
                declare_host_step(GPU, "something", reason)
        return real(step, *rest)

    monkeypatch.setattr(module, "run_step", leaving)
    workflow = get_workflow("npm1")
    own = [step.id for step in workflow.ordered() if step.operator == "gaussian_smooth"]
    assert own
    found = module.run_workflow(workflow, image("blobs", (8, 24, 25), 0)).notes
    texts = [
        f"step '{i}' ran on the host, not on the GPU: {r}" for i in own for r in ("no kernel", "too large")
    ]
    assert [note for note in found if "on the host" in note] == texts


def test_on_the_cpu_nothing_is_told() -> None:
    found = module.run_workflow(
        get_workflow("cetn2"), 5100 * image("blobs", (8, 24, 25), 0), compat=True
    ).notes
    assert not [note for note in found if "on the host" in note]
