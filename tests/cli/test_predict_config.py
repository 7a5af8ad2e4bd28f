"""``fastseg predict --config``: the reference's files run, and every problem of one is told at once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import torch
import yaml
from typer.testing import Result

from fastseg.errors import Problems, UsageError
from fastseg.screen.predict_config import read_config
from fastseg.unet.model import load_model
from fastseg.unet.model_info import Selection
from fastseg.unet.networks.registry import architecture
from fastseg.unet.normalization import background, contrast, get_recipe, recipe_of
from fastseg.unet.predict import predict
from tests.cli.predicting import image, write, write_model
from tests.screen.stacks import files_in

Cli = Callable[..., Result]
TOLERANCE = 2e-5

SHIPPED = """
model: {name: unet_xy_zoom, zoom_ratio: 3}
model_path: best.pth
nchannel: 1
nclass: [2, 2, 2]
OutputCh: [0, 1]
size_in: [52, 420, 420]
size_out: [20, 152, 152]
OutputDir: out
InputCh: [-1]
ResizeRatio: [1, 1, 1]
Normalization: 10
Threshold: 0.5
RuntimeAug: false
mode: {name: file, InputFile: a.tif, timelapse: false}
"""
"""The file-mode example that the reference ships."""


def config(folder: Path, drop: tuple[str, ...] = (), **changes: Any) -> Path:
    found = {**yaml.safe_load(SHIPPED), **changes}
    path = folder / "predict.yaml"
    path.write_text(yaml.safe_dump({k: v for k, v in found.items() if k not in drop}))
    return path


def test_every_key_becomes_a_field(tmp_path: Path) -> None:
    images, fields = read_config(config(tmp_path))
    assert images == [Path("a.tif")]
    assert fields == {
        "network": "unet_xy_zoom",
        "network_params": {"zoom_ratio": 3, "channels": 1, "classes": (2, 2, 2)},
        "model": "best.pth",
        "output": "out",
        "channels": [-1],
        "selections": [Selection()],
        "patch": None,  # the result does not depend on it
        "resize": (1.0, 1.0, 1.0),
        "normalization": get_recipe(10),
        "threshold": 0.5,
        "flips": "none",
        "device": "auto",
        "timelapse": False,
        "resize_first": False,
    }


def test_compat_keeps_what_the_reference_does(tmp_path: Path) -> None:
    _, fields = read_config(config(tmp_path, Normalization=0), compat=True)
    assert (fields["patch"], fields["mode"]) == ((52, 420, 420), "compat")
    assert fields["normalization"].operations == ()
    assert read_config(config(tmp_path, Normalization=0))[1]["normalization"].name == "minmax"


def test_defaults(tmp_path: Path) -> None:
    optional = ("nchannel", "nclass", "OutputCh", "size_in", "size_out", "ResizeRatio", "RuntimeAug", "model")
    path = config(tmp_path, optional, mode={"name": "file", "InputFile": "a.tif"})
    _, fields = read_config(path)
    expected = {
        "network": None,
        "network_params": {"channels": 1},
        "selections": [Selection()],
        "resize": None,
        "flips": "none",
        "timelapse": False,
    }
    assert expected.items() <= fields.items()


def test_operations_by_channel(tmp_path: Path) -> None:
    operations = {
        "ops": [
            {"ch": [{"name": "background_sub", "sigma": 20}, {"name": "auto_contrast", "param": [2, 8]}]},
            {"ch": [{"name": "auto_contrast", "param": [1, 9, 4000, 100]}]},
        ]
    }
    path = config(tmp_path, InputCh=[0, 2], nchannel=2, Normalization=operations, RuntimeAug=1)
    _, fields = read_config(path)
    first, second = fields["normalization"]
    assert first == recipe_of([background(20), contrast(2, 8)])
    assert second == recipe_of([contrast(1, 9, below=4000, above=100)])
    assert fields["flips"] == "single"


def test_every_problem_is_told_at_once(tmp_path: Path) -> None:
    path = config(
        tmp_path,
        ("model_path", "Threshold"),
        model={"name": "unet", "depth": 3},
        nchannel=2,
        OutputCh=[0],
        ResizeRatio=[1, 0, 1],
        Normalization=9,
        RunTimeAug=True,
        mode={"name": "file", "InputDir": "x", "timelapse": "no"},
    )
    with pytest.raises(Problems) as caught:
        read_config(path)
    text = str(caught.value)
    for part in (
        "RunTimeAug: there is no such key (known: model, model_path",
        "model.depth: there is no such key (known: name, zoom_ratio)",
        "model.name: 'unet' is unknown (unet_xy or unet_xy_zoom)",
        "nchannel: 2 does not fit the 1 entries of InputCh",
        "model_path: is missing",
        "Threshold: is missing",
        "OutputCh: [0] are no pairs",
        "ResizeRatio: [1, 0, 1] are no ratios",
        "normalisation recipe '9' is unknown",
        "mode.InputDir: there is no such key",
        "mode.InputFile: is missing",
        "mode.timelapse: 'no' is neither true nor false",
    ):
        assert part in text
    assert len(caught.value.problems) == 12


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"mode": {"name": "films"}}, "mode.name: 'films' is unknown (file or folder)"),
        ({"size_in": [52, 420, 421]}, "size_in: patch 52,420,421 does not go through the network"),
        ({"size_out": [20, 152, 153]}, "does not belong to size_in [52, 420, 420]: it is [20, 152, 152]"),
        ({"InputCh": "all"}, "InputCh: 'all' is no list of whole numbers"),
        ({"nclass": [2, 2]}, "nclass: [2, 2] is no list of 3 whole numbers"),
        ({"Normalization": {"ops": []}}, "a list with one entry for each of 1 channels"),
        ({"Normalization": {"ops": [{"ch": [{"name": "blur"}]}]}}, "ops[0].ch[0].name: 'blur' is unknown"),
    ],
)
def test_wrong_values(changes: dict, message: str, tmp_path: Path) -> None:
    with pytest.raises(Problems) as caught:
        read_config(config(tmp_path, **changes))
    assert message in str(caught.value)


def test_no_objects_are_made(tmp_path: Path) -> None:
    path = tmp_path / "evil.yaml"
    path.write_text("a: !!python/object/apply:os.mkdir [made]\n")
    with pytest.raises(UsageError, match="is not valid YAML"):
        read_config(path)
    with pytest.raises(UsageError, match="cannot be read: No such file"):
        read_config(tmp_path / "none.yaml")


def small_config(folder: Path, **changes: Any) -> Path:
    """For the small network, which the reference does not have: its name is left out."""
    model = write_model(folder)
    given = {
        "model_path": str(model),
        "OutputDir": str(folder / "out"),
        "Normalization": 1,
        "ResizeRatio": [],
        "mode": {"name": "file", "InputFile": str(folder / "a.tif")},
    }
    return config(folder, ("model", "size_in", "size_out"), **{**given, **changes})


def test_file_mode(tmp_path: Path, cli: Cli) -> None:
    stacks = np.stack([image(0), image(1)])
    write(tmp_path / "a.tif", stacks, "CZYX")
    result = cli("predict", "--config", small_config(tmp_path, RuntimeAug=True, Threshold=-1))
    assert result.exit_code == 0, result.output
    expected = predict(load_model(tmp_path / "small.model"), stacks[1], device="cpu", flips="single").array()
    found = tifffile.imread(tmp_path / "out" / "a_struct_segmentation.tiff")
    np.testing.assert_allclose(found, expected, atol=TOLERANCE, rtol=0)


def test_stretched_thresholds_of_file_mode(tmp_path: Path, cli: Cli) -> None:
    write(tmp_path / "a.tif", image())
    path = small_config(tmp_path, Threshold=0.55, InputCh=[0])
    assert cli("predict", "--config", path, "--stretch").exit_code == 0
    map_ = predict(load_model(tmp_path / "small.model"), image(), device="cpu").array().astype(float)
    stretched = (map_ - map_.min()) / np.ptp(map_)
    found = tifffile.imread(tmp_path / "out" / "a_struct_segmentation.tiff") > 0
    assert not (found != (stretched > 0.55))[abs(stretched - 0.55) > 2e-4].any()
    assert 0 < found.mean() < 1


def test_time_lapse(tmp_path: Path, cli: Cli) -> None:
    write(tmp_path / "a.tif", np.stack([image(0), image(1)]), "TZYX")
    mode = {"name": "file", "InputFile": str(tmp_path / "a.tif"), "timelapse": True}
    result = cli("predict", "--config", small_config(tmp_path, mode=mode), "-o", tmp_path / "else")
    assert result.exit_code == 0, result.output
    assert files_in(tmp_path / "else") == [f"a_T_{t:03d}_struct_segmentation.tiff" for t in range(2)]


def test_folder_mode(tmp_path: Path, cli: Cli) -> None:
    folder = tmp_path / "in"
    for name in ("b.ome.tif", "a.ome.tif", "c.tiff"):
        write(folder / name, image())
    path = small_config(
        tmp_path, mode={"name": "folder", "InputDir": str(folder), "DataType": ".ome.tif"}, Threshold=0.3
    )
    result = cli("predict", "--config", path)
    assert result.exit_code == 0, result.output
    assert files_in(tmp_path / "out") == [f"{n}_struct_segmentation.tiff" for n in "ab"]
    other = tmp_path / "other"
    other.mkdir()
    path = small_config(other, mode={"name": "folder", "InputDir": str(folder), "DataType": "czi"})
    result = cli("predict", "--config", path)
    assert result.exit_code == 2
    assert "holds no file whose name ends in czi" in result.output


def test_the_order_of_folder_mode_with_compat(tmp_path: Path, cli: Cli) -> None:
    """Zoomed first, then normalised, and not stretched: by SciPy and the Python API."""
    from scipy import ndimage

    folder = tmp_path / "in"
    array = image(0, (6, 27, 30))
    write(folder / "a.tif", array)
    path = small_config(
        tmp_path,
        mode={"name": "folder", "InputDir": str(folder), "DataType": "tif"},
        ResizeRatio=[1, 0.5, 0.5],
        Threshold=-1,
        InputCh=[0],
    )
    from fastseg.screen import PredictRequest, predict_files

    images, fields = read_config(path, compat=True)
    # the small network has no documented patch size, so only the order is the reference's
    (outcome,) = predict_files(images, PredictRequest(**{**fields, "mode": "aligned"}))
    assert outcome.ok, outcome.message
    zoomed = ndimage.zoom(array.astype(float), (1, 0.5, 0.5), order=2, mode="reflect").astype(np.float32)
    map_ = predict(load_model(tmp_path / "small.model"), zoomed, device="cpu").array().astype(float)
    grid = np.meshgrid(
        *(np.linspace(0, n - 1, m) for n, m in zip(map_.shape, array.shape, strict=True)), indexing="ij"
    )
    expected = ndimage.map_coordinates(map_, grid, order=2, mode="reflect")
    found = tifffile.imread(tmp_path / "out" / "a_struct_segmentation.tiff")
    np.testing.assert_allclose(found, expected, atol=TOLERANCE, rtol=0)


def test_a_published_checkpoint(tmp_path: Path, cli: Cli) -> None:
    from tests.unet.published import state_of

    torch.save({"model_state_dict": state_of(architecture("unet_xy"))}, tmp_path / "xy.pth")
    write(tmp_path / "a.tif", image(0, (2, 9, 10)))
    path = config(
        tmp_path,
        ("size_in", "size_out"),
        model={"name": "unet_xy"},
        model_path=str(tmp_path / "xy.pth"),
        OutputDir=str(tmp_path / "out"),
        OutputCh=[0, 1, 2, 1],
        ResizeRatio=[],
        mode={"name": "file", "InputFile": str(tmp_path / "a.tif")},
        InputCh=[0],
    )
    result = cli("predict", "--config", path)
    assert result.exit_code == 0, result.output
    assert files_in(tmp_path / "out") == ["a_seg_0.tiff", "a_seg_2.tiff"]
    model = load_model(tmp_path / "xy.pth")
    for t in (0, 2):
        pick = Selection.model_validate({"output": t, "class": 1})
        expected = predict(
            model, image(0, (2, 9, 10)), device="cpu", normalization=10, threshold=0.5, selections=(pick,)
        )
        found = tifffile.imread(tmp_path / "out" / f"a_seg_{t}.tiff")
        np.testing.assert_array_equal(found, expected.array() * np.uint8(255))
