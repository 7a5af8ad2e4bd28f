"""What is chosen before the first step, and from where it is known."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from fastseg.arrays import Device
from fastseg.errors import UsageError
from fastseg.unet.training.prepare import choose_precision, prepare
from tests.unet.training.made import item
from tests.unet.training.runs import blob_set, blobs, tiny


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return blob_set(tmp_path / "data", 3)


@pytest.mark.parametrize(
    ("manifest", "said", "expected", "note"),
    [
        (None, None, None, "how the images were normalised is not said"),
        (None, "10", "minimum_25", ""),
        ('{"normalization": "flat"}', None, "flat", ""),
        ('{"normalization": "flat"}', "10", "minimum_25", "says that the images were normalised by flat"),
        ('{"normalization": {"operations": []}}', None, None, "does not say how the images were normalised"),
        ("[1", None, None, "does not say how the images were normalised"),
        ("{}", None, None, "how the images were normalised is not said"),
    ],
)
def test_where_the_recipe_is_known_from(
    data: Path, manifest: str | None, said: str | None, expected: str | None, note: str
) -> None:
    if manifest is not None:
        (data / "manifest.json").write_text(manifest)
    plan = prepare(tiny(data, data__normalization=said))
    assert plan.settings.data.normalization == expected
    assert (note in "\n".join(plan.notes)) if note else plan.notes == ()


def test_everything_that_was_left_open_is_chosen(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    for name, depth in (("a", 6), ("b", 5), ("c", 7)):
        image, truth, cost = blobs(depth, (depth, 30, 30))
        item(folder, name, np.stack([image, image]), truth, cost)
    open_ = {
        "patch": None,
        "batch": None,
        "data__leaveout": None,
        "network": {"name": "residual_unet", "levels": 1},
    }
    plan = prepare(tiny(folder, **open_))
    settings = plan.settings
    assert settings.network["channels"] == 2
    assert plan.size_out[0] == 5
    assert settings.batch in (1, 2)
    assert (len(plan.split.training), len(plan.split.validation)) == (2, 1)
    assert [(o.output, o.class_) for o in plan.selections] == [(0, 1)]
    assert settings.loss.weights == (1.0,)
    assert prepare(settings).settings == settings
    json.dumps(settings.model_dump(mode="json"))


def test_voxel_sizes_are_those_of_the_images(data: Path) -> None:
    assert prepare(tiny(data)).settings.data.spacing is None

    def sized(name: str, seed: int, length: float) -> None:
        keys: dict[str, Any] = {"axes": "ZYX"}
        for axis, n in (("Z", 0.3), ("Y", length), ("X", length)):
            keys |= {f"PhysicalSize{axis}": n, f"PhysicalSize{axis}Unit": "µm"}
        tifffile.imwrite(data / f"{name}.ome.tif", blobs(seed)[0], ome=True, metadata=keys)

    for number in (1, 2, 3):
        sized(f"img_{number:03d}", number, 0.1)
    assert prepare(tiny(data)).settings.data.spacing == (0.3, 0.1, 0.1)
    assert prepare(tiny(data, data__spacing=[1, 2, 3])).settings.data.spacing == (1, 2, 3)
    sized("img_002", 2, 0.2)
    plan = prepare(tiny(data))
    assert plan.settings.data.spacing is None
    assert any("its voxel size" in note for note in plan.notes)


def test_a_voxel_size_that_one_image_does_not_say(data: Path) -> None:
    keys: dict[str, Any] = {"axes": "ZYX"} | {f"PhysicalSize{axis}": 0.2 for axis in "ZYX"}
    tifffile.imwrite(data / "img_002.ome.tif", blobs(2)[0], ome=True, metadata=keys)
    plan = prepare(tiny(data))
    assert plan.settings.data.spacing is None
    assert "img_003 and 1 more: no voxel size is said in the file; none is recorded" in plan.notes


def test_a_single_image_is_trained_with(tmp_path: Path) -> None:
    plan = prepare(tiny(blob_set(tmp_path / "one", 1), data__leaveout=None))
    assert (len(plan.split.training), len(plan.split.validation)) == (1, 0)


def test_precisions_of_the_cpu() -> None:
    assert choose_precision("auto", Device("cpu")) == "float32"
    assert choose_precision("bfloat16", Device("cpu")) == "bfloat16"
    with pytest.raises(UsageError, match="is for GPUs"):
        choose_precision("tf32", Device("cpu"))
