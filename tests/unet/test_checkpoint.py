"""Checkpoints: what loads, what is refused and why, and that opening a file runs nothing."""

from __future__ import annotations

import io
import os
import pickle
from collections import OrderedDict
from pathlib import Path

import pytest
import torch

from fastseg.errors import Problems, ReadError, UsageError
from fastseg.unet.checkpoint import load_checkpoint, read_state, state_digest
from fastseg.unet.networks.registry import architecture
from tests.unet.published import state_of
from tests.unet.small import small_model


def small_state() -> dict[str, torch.Tensor]:
    return dict(small_model().state)


def saved(tmp_path: Path, content: object, name: str = "weights.pth") -> Path:
    path = tmp_path / name
    torch.save(content, path)
    return path


@pytest.mark.parametrize(
    "wrap",
    [
        lambda s: s,
        lambda s: OrderedDict(s),
        lambda s: {f"module.{k}": v for k, v in s.items()},
        lambda s: {
            "epoch": 3,
            "num_iterations": 900,
            "model_state_dict": OrderedDict(s),
            "optimizer_state_dict": {
                "state": {0: {"step": torch.tensor(4.0)}},
                "param_groups": [{"lr": 1e-4}],
            },
            "device": "cuda:0",
        },
        lambda s: {"model_state_dict": {f"module.{k}": v for k, v in s.items()}},
        lambda s: {k: v for k, v in s.items() if not k.endswith("num_batches_tracked")},
        lambda s: {k: torch.nn.Parameter(v) if v.is_floating_point() else v for k, v in s.items()},
    ],
    ids=["bare", "ordered", "module", "training", "training-module", "no-counters", "parameters"],
)
def test_every_known_form_loads(tmp_path: Path, wrap) -> None:
    arch, state = load_checkpoint(saved(tmp_path, wrap(small_state())))
    assert arch.as_dict() == small_model().architecture.as_dict()
    for name, tensor in small_state().items():
        if not name.endswith("num_batches_tracked"):
            assert torch.equal(state[name], tensor)


def test_the_old_file_format_loads(tmp_path: Path) -> None:
    path = tmp_path / "old.pytorch"
    torch.save(small_state(), path, _use_new_zipfile_serialization=False)
    assert state_digest(load_checkpoint(path)[1]) == state_digest(small_state())


@pytest.mark.parametrize(
    ("name", "params"),
    [
        ("unet_xy", {"channels": 2, "classes": (3, 2, 4)}),
        ("unet_xy_zoom", {"zoom_ratio": 2}),
        ("unet_original", {"batch_norm": False}),
        ("unet_original", {"batch_norm": True}),
        ("residual_unet", {"width": 8, "levels": 1, "channels": 3, "classes": (5,)}),
    ],
)
def test_the_network_is_recognised(tmp_path: Path, name: str, params: dict) -> None:
    from fastseg.unet.checkpoint import expected_shapes

    arch = architecture(name, params)
    zeros = {key: torch.zeros(shape) for key, shape in expected_shapes(arch).items()}
    found, _ = load_checkpoint(saved(tmp_path, zeros))
    assert found.as_dict() == arch.as_dict()


class Hostile:
    """A pickle that writes a file when it is opened."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple:
        return os.system, (f"touch {self.mark}",)


@pytest.mark.parametrize("form", ["torch", "plain", "old", "inside"])
def test_a_hostile_file_runs_nothing(tmp_path: Path, form: str) -> None:
    mark, path = tmp_path / "it-ran", tmp_path / "hostile.pth"
    if form == "torch":
        torch.save(Hostile(mark), path)
    elif form == "old":
        torch.save({"model_state_dict": Hostile(mark)}, path, _use_new_zipfile_serialization=False)
    elif form == "inside":
        torch.save({**small_state(), "model": Hostile(mark)}, path)
    else:
        path.write_bytes(pickle.dumps(Hostile(mark)))
    with pytest.raises(
        ReadError, match=r"holds more than weights \(.*(system|objects of an unknown kind)"
    ) as caught:
        load_checkpoint(path)
    assert "trusted=True" in str(caught.value)
    assert "--trust-checkpoint" in str(caught.value)
    assert not mark.exists()


def test_the_hostile_file_is_hostile(tmp_path: Path) -> None:
    mark = tmp_path / "it-ran"
    path = saved(tmp_path, {**small_state(), "model": Hostile(mark)})
    with pytest.raises(ReadError, match="not a tensor"):
        read_state(path, trusted=True)
    assert mark.exists()


class Setting:
    """Something harmless that the weights-only mode does not know."""


def test_a_trusted_file_opens_fully(tmp_path: Path) -> None:
    path = saved(tmp_path, {"model_state_dict": small_state(), "settings": Setting()})
    with pytest.raises(ReadError, match="Setting"):
        load_checkpoint(path)
    arch, _ = load_checkpoint(path, trusted=True)
    assert arch.name == "residual_unet"


def test_every_problem_is_listed_at_once(tmp_path: Path) -> None:
    state = small_state()
    del state["scores.bias"]
    state["extra.weight"] = torch.zeros(2)
    state["down0.conv1.bias"] = torch.zeros(7)
    state["down0.conv2.bias"] = torch.full((4,), float("nan"))
    state["bottom.conv1.bias"] = torch.zeros(16, dtype=torch.int32)
    state["bottom.norm1.running_var"] = torch.full((16,), -1.0)
    with pytest.raises(Problems) as caught:
        load_checkpoint(saved(tmp_path, state))
    assert sorted(caught.value.problems) == [
        "bottom.conv1.bias holds torch.int32; floating-point numbers are expected",
        "bottom.norm1.running_var holds negative variances",
        "down0.conv1.bias has shape (7,); (4,) is expected",
        "down0.conv2.bias holds NaN or infinite numbers; weights have to be finite",
        "extra.weight is not part of residual_unet",
        "scores.bias is missing; shape (2,) is expected",
    ]
    assert "weights.pth as residual_unet (channels=1" in str(caught.value)


def test_a_long_list_is_cut(tmp_path: Path) -> None:
    strange = {f"net.{name}": tensor for name, tensor in small_state().items()}
    with pytest.raises(Problems, match=r"and 1[0-9]+ more of the same kind"):
        load_checkpoint(saved(tmp_path, strange), "unet_xy")


def test_many_tensors_that_are_not_finite_are_one_problem(tmp_path: Path) -> None:
    state = {k: torch.full_like(v, float("inf")) if v.ndim == 5 else v for k, v in small_state().items()}
    with pytest.raises(Problems) as caught:
        load_checkpoint(saved(tmp_path, state))
    (problem,) = caught.value.problems
    assert problem.startswith("down0.conv1.weight, down0.conv2.weight, down0.shortcut.weight and ")
    assert problem.endswith(" more hold NaN or infinite numbers; weights have to be finite")


def test_another_network_than_asked_for(tmp_path: Path) -> None:
    state = {k: torch.zeros(v.shape) for k, v in state_of(architecture("unet_original")).items()}
    with pytest.raises(
        Problems, match=r"it holds unet_original \(channels=1, .*, not unet_xy \(channels=1"
    ) as caught:
        load_checkpoint(saved(tmp_path, state), "unet_xy")
    assert len(caught.value.problems) == 1
    del state["ec1.0.bias"]  # of no network
    with pytest.raises(Problems, match=r"up1a\.weight is missing"):
        load_checkpoint(saved(tmp_path, state), "unet_xy")


def test_given_parameters_are_checked_against_the_tensors(tmp_path: Path) -> None:
    with pytest.raises(
        Problems, match=r"holds residual_unet \(channels=1, .* not residual_unet \(channels=2, "
    ):
        load_checkpoint(saved(tmp_path, small_state()), params={"channels": 2})


def test_unknown_tensors(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"does not say which network .* give --network, one of unet_xy"):
        load_checkpoint(saved(tmp_path, {"a.weight": torch.zeros(3)}))


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"", "cannot be read as a PyTorch checkpoint|is not a PyTorch checkpoint"),
        (b"II*\x00 no checkpoint at all", "is not a PyTorch checkpoint"),
        (b"PK\x03\x04 cut off", "cannot be read as a PyTorch checkpoint|is not a PyTorch checkpoint"),
    ],
)
def test_files_that_are_no_checkpoints(tmp_path: Path, content: bytes, text: str) -> None:
    path = tmp_path / "a.pth"
    path.write_bytes(content)
    with pytest.raises(ReadError, match=text):
        load_checkpoint(path)


def test_a_truncated_checkpoint(tmp_path: Path) -> None:
    stream = io.BytesIO()
    torch.save(small_state(), stream)
    path = tmp_path / "a.pth"
    path.write_bytes(stream.getvalue()[: stream.tell() // 2])
    with pytest.raises(ReadError, match=r"a\.pth"):
        load_checkpoint(path)


def test_missing_files_and_other_contents(tmp_path: Path) -> None:
    with pytest.raises(ReadError, match="does not exist"):
        load_checkpoint(tmp_path / "none.pth")
    with pytest.raises(ReadError, match="is a folder"):
        read_state(tmp_path)
    with pytest.raises(ReadError, match="it holds a Tensor"):
        load_checkpoint(saved(tmp_path, torch.zeros(3)))
    with pytest.raises(ReadError, match="it holds epoch, which is not a tensor, and no 'model_state_dict'"):
        load_checkpoint(saved(tmp_path, {"epoch": 3}))
