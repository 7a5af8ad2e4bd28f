"""Without PyTorch the descriptions of networks work, and everything else says what to install."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from fastseg.errors import DeviceError, UsageError
from fastseg.unet.torch_library import import_torch, torch_device

LIGHT = """
import sys
sys.modules["torch"] = None
from fastseg.unet.networks.registry import NETWORKS, architecture
from fastseg.unet.memory import patch_cost
from fastseg.unet.normalization import get_recipe
from fastseg.unet.model import load_model
for name in NETWORKS:
    assert architecture(name).sizes
from fastseg.errors import UsageError
try:
    load_model(sys.argv[1])
except UsageError as error:
    print(error)
"""


def test_descriptions_need_no_torch_and_models_say_what_to_install(tmp_path: Path) -> None:
    path = tmp_path / "a.pth"
    path.write_bytes(b"PK")
    done = subprocess.run(
        [sys.executable, "-c", LIGHT, str(path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "pip install 'fastseg-bio[dl]'" in done.stdout


def test_missing_torch_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(name: str) -> None:
        raise ModuleNotFoundError(f"No module named '{name}'", name=name)

    monkeypatch.setattr("importlib.import_module", fail)
    with pytest.raises(UsageError, match=r"which is not installed: pip install 'fastseg-bio\[dl\]'"):
        import_torch()


def test_broken_torch_is_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(name: str) -> None:
        raise ImportError("libcudart.so.12: cannot open shared object file")

    monkeypatch.setattr("importlib.import_module", fail)
    with pytest.raises(UsageError, match=r"cannot be imported \(libcudart"):
        import_torch()


@pytest.mark.parametrize("name", ["gpu", "cuda:x", "cuda:-1", "mps"])
def test_unknown_devices(name: str) -> None:
    with pytest.raises(DeviceError, match="use auto, cpu, cuda or cuda:N"):
        torch_device(name)
