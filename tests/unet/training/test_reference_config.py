"""The reference's configurations for training: taken as they are, and every problem of one told at once."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import yaml

from fastseg.errors import Problems
from fastseg.unet.training.augmentation import AugmentationSettings
from fastseg.unet.training.config import describe
from fastseg.unet.training.reference_config import as_number, is_reference_config, read_reference
from fastseg.unet.training.settings import TrainSettings

SHIPPED = """
model: {name: unet_xy}
checkpoint_dir: /out/checkpoints
resume: null
learning_rate: 1e-5
weight_decay: 0.005
epochs: 400
save_every_n_epoch: 50
nchannel: 1
nclass: [2, 2, 2]
size_in: [50, 156, 156]
size_out: [22, 68, 68]
loss: {name: Aux, loss_weight: [1, 1, 1], ignore_index: null}
loader: {name: default, datafolder: /data, batch_size: 8, PatchPerBuffer: 160, epoch_shuffle: 5, NumWorkers: 1}
validation: {metric: default, leaveout: [0], OutputCh: [0, 1, 1, 1, 2, 1], validate_every_n_epoch: 25}
"""
"""The example that the reference ships, its learning rate written as users write it."""


def config(**changes: Any) -> dict[str, Any]:
    found = deepcopy(yaml.safe_load(SHIPPED))
    for key, value in changes.items():
        part, _, last = key.rpartition("__")
        holder = found[part] if part else found
        if value is ...:
            del holder[last]
        else:
            holder[last] = value
    return found


def test_every_key_has_its_place() -> None:
    run = read_reference(config(), "a.yaml", compat=True)
    s = run.settings
    assert run.folder == Path("/out/checkpoints")
    assert run.notes == ()
    assert (s.network, s.patch, s.batch) == (
        {"name": "unet_xy", "channels": 1, "classes": [2, 2, 2]},
        (50, 156, 156),
        8,
    )
    assert (s.epochs, s.save.keep_every, s.save.reference, s.init) == (401, 50, True, None)
    assert (s.data.folder, s.data.leaveout) == ("/data", (0,))
    assert (s.loss.name, s.loss.weights, s.loss.divide_by) == ("nll", (1, 1, 1), "voxels")
    assert (s.optimizer.name, s.optimizer.learning_rate, s.optimizer.weight_decay) == ("adam", 1e-5, 0.005)
    assert s.optimizer.reset_every_epoch
    assert s.optimizer.decay_all
    assert s.optimizer.inert_biases
    assert s.optimizer.clip_norm is None
    assert (s.schedule.name, s.schedule.warmup_epochs) == ("constant", 0)
    assert (s.sampling.strategy, s.sampling.patches, s.sampling.refill) == ("buffer", 160, 5)
    assert s.sampling.extension == "zeros"
    assert s.augmentation == AugmentationSettings.reference()
    assert s.validation.every == 25
    assert s.validation.outputs is not None
    assert [(o.output, o.class_) for o in s.validation.outputs] == [(0, 1), (1, 1), (2, 1)]
    assert s.precision == "float32"


def test_what_is_corrected_without_compat() -> None:
    run = read_reference(config(), "a.yaml")
    assert not run.settings.optimizer.reset_every_epoch
    assert run.settings.sampling.extension == "mirror"
    assert not run.settings.augmentation.quantise
    assert run.settings.augmentation.rotation == "degrees"
    assert any("--compat trains as the reference does" in note for note in run.notes)


@pytest.mark.parametrize(
    ("changes", "leaveout"),
    [
        ({"validation__leaveout": []}, ()),
        ({"validation__metric": None}, ()),
        ({"validation__leaveout": [0.25]}, (0.25,)),
        ({"validation__leaveout": [2.9]}, (2.0,)),
        ({"validation__leaveout": [0, 3]}, (0.0, 3.0)),
    ],
)
def test_what_is_held_back(changes: dict[str, Any], leaveout: tuple[float, ...]) -> None:
    run = read_reference(config(**changes), "a.yaml", compat=True)
    assert run.settings.data.leaveout == leaveout
    assert any("no image is held back" in note for note in run.notes) == (leaveout == ())


def test_resume_is_a_start_with_weights_and_other_keys() -> None:
    changes = {
        "resume": "old.pytorch",
        "model": {"name": "unet_xy_zoom", "zoom_ratio": 2},
        "size_in": [52, 248, 248],
        "size_out": [20, 68, 68],
        "loader__name": "focus",
        "device": "cpu",
        "loss__ignore_index": 3,
        "validation__metric": "iou",
        "weight_decay": "5e-3",
    }
    run = read_reference(config(**changes), "a.yaml", compat=True)
    s = run.settings
    assert s.init == "old.pytorch"
    assert s.network == {"name": "unet_xy_zoom", "zoom_ratio": 2, "channels": 1, "classes": [2, 2, 2]}
    assert (s.sampling.strategy, s.device, s.optimizer.weight_decay) == ("focus", "cpu", 0.005)
    assert len(run.notes) == 2  # ignore_index and metric have no effect


def test_every_problem_is_told() -> None:
    wrong = config(
        learning_rate=...,
        epochs="many",
        nclass=[2, 2],
        size_in=[50, 157, 156],
        checkpoint_dirs="x",
        loss__name="Dice",
        loss__weights=[1],
        loader__batch_size=0,
        loader__NumWorkers=...,
        validation__OutputCh=[0, 1, 2],
        validation__leaveout="first",
        resume=7,
    )
    with pytest.raises(Problems) as found:
        read_reference(wrong, "a.yaml")
    text = str(found.value)
    for part in (
        "learning_rate: is missing",
        "checkpoint_dirs: there is no such key (known: model, nchannel",
        "loss.weights: there is no such key (known: name, loss_weight, ignore_index)",
        "loader.NumWorkers: is missing",
        "epochs: 'many' is no whole number of at least 0",
        "nclass: [2, 2] is no list of 3 whole numbers",
        "size_in: patch 50,157,156 does not go through the network: 157 along Y (nearest valid: 156 and 164)",
        "loss.name: 'Dice' is unknown (Aux)",
        "loader.batch_size: 0 is no whole number of at least 1",
        "validation.OutputCh: [0, 1, 2] is no list of pairs",
        "validation.leaveout: 'first' is no list of numbers",
        "resume: 7 is no text",
    ):
        assert part in text, part
    assert text.startswith(f"a.yaml: {len(found.value.problems)} problems")
    assert len(found.value.problems) == 12
    with pytest.raises(
        Problems, match=r"size_out: \[22, 60, 60\] does not belong to size_in .* it is \[22, 68, 68\]"
    ):
        read_reference(config(size_out=[22, 60, 60]), "a.yaml")
    with pytest.raises(
        Problems, match=r"^a\.yaml: 1 problem\n  - size_in: 'big' is no list of 3 whole numbers"
    ):
        read_reference(config(size_in="big"), "a.yaml")
    with pytest.raises(Problems, match="model: 'unet_xy' is no mapping"):
        read_reference(config(model="unet_xy"), "a.yaml")


def test_kinds_of_files_are_told_apart() -> None:
    assert is_reference_config(config())
    assert is_reference_config({"checkpoint_dir": "a"})
    assert not is_reference_config(yaml.safe_load(describe(TrainSettings())))
    assert not is_reference_config({"data": {"folder": "a"}, "epochs": 3, "loss": {}})
    assert not is_reference_config({})


def test_numbers() -> None:
    assert [as_number(v) for v in (1, 0.5, "1e-5", "3")] == [1, 0.5, 1e-5, 3]
    assert [as_number(v) for v in (True, None, "x", "nan", float("inf"), [1])] == [None] * 6
