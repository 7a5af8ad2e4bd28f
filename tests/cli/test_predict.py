"""``fastseg predict``: files hold what the Python API gives, however the work is cut and wherever it is done."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from textwrap import dedent
from typing import Any

import numpy as np
import pytest
import tifffile
import torch
import zarr
from typer.testing import Result

import fastseg
from fastseg.unet.checkpoint import expected_shapes
from fastseg.unet.model import load_model
from fastseg.unet.model_info import Selection
from fastseg.unet.networks.registry import architecture
from fastseg.unet.predict import predict
from tests.cli.predicting import SHAPE, image, write, write_model
from tests.screen.stacks import SPACING, files_in

Cli = Callable[..., Result]
TOLERANCE = 2e-5
MASK = "a_struct_segmentation.tiff"


@pytest.fixture(autouse=True)
def one_thread(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    before = torch.get_num_threads()
    monkeypatch.setattr("fastseg.unet.runner.usable_cores", lambda: 1)
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return write_model(tmp_path)


def by_api(path: Path, array: np.ndarray, name: str | None = None, **settings: Any) -> np.ndarray:
    return predict(load_model(path), array, device="cpu", **settings).array(name)


def middle(path: Path, array: np.ndarray, **settings: Any) -> float:
    """A threshold that no voxel is near, so that rounding moves none across it."""
    values = np.sort(by_api(path, array, **settings), axis=None)
    part = values[len(values) * 2 // 5 : len(values) * 3 // 5]
    widest = int(np.argmax(np.diff(part)))
    return float(part[widest] + part[widest + 1]) / 2


def run(cli: Cli, *arguments: object) -> str:
    result = cli("predict", *arguments)
    assert result.exit_code == 0, result.output
    return result.output


@pytest.mark.parametrize("form", ["ome-tiff", "ome-zarr"])
def test_a_mask_is_what_python_gives(form: str, model: Path, tmp_path: Path, cli: Cli) -> None:
    path, threshold = write(tmp_path / "a.ome.tif", image()), middle(model, image())
    text = run(
        cli,
        path,
        "-m",
        model,
        "-o",
        tmp_path / "out",
        "--threshold",
        threshold,
        "--format",
        form,
        "--preview",
    )
    suffix = {"ome-tiff": "tiff", "ome-zarr": "zarr"}[form]
    assert files_in(tmp_path / "out") == ["a_preview.png", f"a_struct_segmentation.{suffix}"]
    found = fastseg.read(tmp_path / "out" / f"a_struct_segmentation.{suffix}")
    assert found.spacing == pytest.approx(SPACING)
    expected = by_api(model, image(), threshold=threshold)
    np.testing.assert_array_equal(found.volume(), expected * np.uint8(255))
    assert f"foreground {100 * expected.mean():.3g} %" in text
    assert "voxels read for each one written" in text


CUTS = {
    "tile": ("--tile", "4,12,16"),
    "scratch": ("--tile", "5,14,16", "--scratch", "scratch"),
    "memory": ("--memory", "600MB"),
    "workers": ("--workers", "2", "--memory", "2GB"),
}


@pytest.mark.parametrize("form", ["ome-tiff", "ome-zarr"])
@pytest.mark.parametrize("cut", CUTS)
def test_probabilities_do_not_depend_on_how_the_work_is_cut(
    cut: str, form: str, model: Path, tmp_path: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    if cut == "workers" and form == "ome-tiff":
        pytest.skip("one of the two starts workers")
    monkeypatch.chdir(tmp_path)
    path = write(tmp_path / "a.tif", image())
    options = ("--threshold", "-1", "--tta", "single", "--format", form, "--preview")
    run(cli, path, "-m", model, "-o", "out", *options, *CUTS[cut])
    (found,) = (tmp_path / "out").glob("a_struct*")
    array = fastseg.read(found).volume()
    assert array.dtype == np.float32
    np.testing.assert_allclose(array, by_api(model, image(), flips="single"), atol=TOLERANCE, rtol=0)
    assert array.std() > 0.01
    assert files_in(tmp_path / "out") == ["a_preview.png", found.name]
    assert not list(tmp_path.glob("scratch/*"))


def test_tiles_change_no_bit_of_a_mask_with_the_same_patch(model: Path, tmp_path: Path, cli: Cli) -> None:
    path, threshold = write(tmp_path / "a.tif", image()), float(np.median(by_api(model, image())))
    masks = []
    for name, cut in (("whole", ()), ("cut", ("--tile", "3,11,17", "--scratch", tmp_path / "s"))):
        options = ("--patch", "22,60,60", "--threshold", threshold, "--min-size", 3)
        run(cli, path, "-m", model, "-o", tmp_path / name, *options, *cut)
        masks.append(tifffile.imread(tmp_path / name / MASK))
    np.testing.assert_array_equal(*masks)
    assert 0 < masks[0].mean() < 255


def test_small_objects_are_removed(model: Path, tmp_path: Path, cli: Cli) -> None:
    from scipy import ndimage

    path = write(tmp_path / "a.tif", image())
    threshold = float(np.quantile(by_api(model, image()), 0.85))
    options = ("--threshold", threshold, "--min-size", 4)
    run(cli, path, "-m", model, "-o", tmp_path / "out", *options)
    mask = by_api(model, image(), threshold=threshold)
    labels, count = ndimage.label(mask)
    sizes = np.bincount(labels.ravel(), minlength=count + 1)
    expected = mask & (sizes >= 4)[labels]
    assert 0 < expected.sum() < mask.sum()
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "out" / MASK) > 0, expected)


@pytest.mark.parametrize("cut", [(), ("--tile", "4,9,16", "--scratch", "s"), ("--memory", "700MB")])
def test_resize_is_undone_exactly(
    cut: tuple, model: Path, tmp_path: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By SciPy: normalise, zoom, stretch, predict, and back to a shape that the ratio would miss."""
    from scipy import ndimage

    from fastseg.unet.normalization import normalize

    monkeypatch.chdir(tmp_path)
    array = image(3, (5, 31, 20))
    path = write(tmp_path / "a.tif", array)
    zoomed = ndimage.zoom(normalize(array, 7).astype(float), (1, 0.5, 1 / 3), order=2, mode="reflect")
    assert zoomed.shape == (5, 16, 7)
    zoomed = (zoomed - zoomed.min()) / np.ptp(zoomed)
    map_ = by_api(model, zoomed.astype(np.float32), normalization="none").astype(float)
    grid = np.meshgrid(
        *(np.linspace(0, n - 1, m) for n, m in zip(map_.shape, array.shape, strict=True)), indexing="ij"
    )
    expected = ndimage.map_coordinates(map_, grid, order=2, mode="reflect")
    options = ("--normalize", "7", "--resize", f"1,0.5,{1 / 3}", "--threshold", "-1", "--format", "ome-zarr")
    text = run(cli, path, "-m", model, "-o", "out", *options, *cut)
    found = fastseg.read(tmp_path / "out" / "a_struct_segmentation.zarr").volume()
    np.testing.assert_allclose(found, expected, atol=TOLERANCE, rtol=0)
    assert "values {:.4g} to {:.4g}".format(found.min(), found.max()) in text  # noqa: UP032
    threshold = float(np.median(found)) + 1e-3
    run(cli, path, "-m", model, "-o", "mask", *options[:4], "--threshold", threshold, *cut)
    mask = tifffile.imread(tmp_path / "mask" / MASK) > 0
    assert not (mask != (expected > threshold))[abs(expected - threshold) > TOLERANCE].any()


def test_half_precision_files(model: Path, tmp_path: Path, cli: Cli) -> None:
    path = write(tmp_path / "a.tif", image())
    expected = by_api(model, image())
    for name, cut in (("memory", ()), ("tiles", ("--scratch", tmp_path / "s", "--tile", "6,13,30"))):
        options = ("--threshold", "-1", "--format", "ome-zarr", "--probabilities", "float16")
        run(cli, path, "-m", model, "-o", tmp_path / name, *options, *cut)
        stored = zarr.open_array(tmp_path / name / "a_struct_segmentation.zarr" / "0", mode="r")
        assert stored.dtype == np.float16
        np.testing.assert_allclose(np.asarray(stored[...]).squeeze(), expected, atol=5e-4, rtol=0)


@pytest.mark.parametrize("cut", [(), ("--scratch", "s", "--tile", "4,13,30", "--format", "ome-zarr")])
def test_several_outputs(cut: tuple, tmp_path: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    model = write_model(tmp_path, classes=3)
    path = write(tmp_path / "a.tif", image())
    run(cli, path, "-m", model, "-o", "out", "--outputs", "0:1,0:2", "--threshold", "-1", *cut)
    suffix = "zarr" if cut else "tiff"
    assert files_in(tmp_path / "out") == [f"a_seg_0_class1.{suffix}", f"a_seg_0_class2.{suffix}"]
    for class_ in (1, 2):
        pick = Selection.model_validate({"output": 0, "class": class_})
        found = fastseg.read(tmp_path / "out" / f"a_seg_0_class{class_}.{suffix}").volume()
        expected = by_api(model, image(), selections=(pick,))
        np.testing.assert_allclose(found, expected, atol=TOLERANCE, rtol=0)


def test_all_outputs_of_a_published_network(tmp_path: Path, cli: Cli) -> None:
    from tests.unet.published import state_of

    torch.save(state_of(architecture("unet_xy")), tmp_path / "xy.pth")
    path = write(tmp_path / "a.tif", image(1, (2, 9, 10)))
    run(cli, path, "-m", tmp_path / "xy.pth", "-o", tmp_path / "out", "--outputs", "all", "--normalize", "10")
    assert files_in(tmp_path / "out") == [f"a_seg_{t}.tiff" for t in range(3)]
    maps = [tifffile.imread(tmp_path / "out" / f"a_seg_{t}.tiff") for t in range(3)]
    assert all(m.dtype == np.float32 and m.std() > 0 for m in maps)
    assert not np.array_equal(maps[0], maps[1])


def test_channels_in_the_order_of_the_training(tmp_path: Path, cli: Cli) -> None:
    model = write_model(tmp_path, channels=2, normalization=None)
    stacks = np.stack([image(s) for s in range(3)])
    path = write(tmp_path / "a.tif", stacks, "CZYX")
    options = ("--threshold", "-1", "--normalize", "1,0", "--channel", "2", "--channel", "0")
    run(cli, path, "-m", model, "-o", tmp_path / "out", *options)
    expected = by_api(model, stacks[[2, 0]], normalization=(1, 0))
    found = tifffile.imread(tmp_path / "out" / MASK)
    np.testing.assert_allclose(found, expected, atol=TOLERANCE, rtol=0)


def test_a_time_lapse(model: Path, tmp_path: Path, cli: Cli) -> None:
    stacks = np.stack([image(s) for s in range(3)])
    path = write(tmp_path / "a.tif", stacks, "TZYX")
    output = tmp_path / "out"
    options = (path, "-m", model, "-o", output, "--threshold", "-1")
    run(cli, *options, "--timelapse")
    names = [f"a_T_{t:03d}_struct_segmentation.tiff" for t in range(3)]
    assert files_in(output) == names
    for t, name in enumerate(names):
        found = tifffile.imread(output / name)
        np.testing.assert_allclose(found, by_api(model, stacks[t]), atol=TOLERANCE, rtol=0)
    (output / names[1]).unlink()
    kept = [(output / names[t]).stat().st_mtime_ns for t in (0, 2)]
    run(cli, *options, "--timelapse", "--resume", "--memory", "700MB")
    assert files_in(output) == names
    assert [(output / names[t]).stat().st_mtime_ns for t in (0, 2)] == kept
    np.testing.assert_allclose(
        tifffile.imread(output / names[1]), by_api(model, stacks[1]), atol=TOLERANCE, rtol=0
    )
    result = cli("predict", *options, "--timelapse", "--time", "1")
    assert result.exit_code == 2
    assert "leave out --time 1" in result.output
    single = write(tmp_path / "b.tif", image())
    result = cli("predict", single, "-m", model, "-o", output, "--timelapse")
    assert result.exit_code == 1
    assert "has one time point: leave out --timelapse" in result.output


def killed_while_predicting(path: Path, model: Path, output: Path, scratch: Path) -> None:
    """Predict in another process, which is killed when the network is about to run."""
    script = f"""
        import os, signal
        from fastseg.screen import PredictRequest, predict_files
        from fastseg.screen.events import StepStarted

        def kill(event):
            if isinstance(event, StepStarted) and "residual_unet" in event.step:
                os.kill(os.getpid(), signal.SIGKILL)

        request = PredictRequest(
            {str(model)!r}, {str(output)!r}, device="cpu", tile=(4, 16, 30), scratch={str(scratch)!r},
            normalization=11, threshold=-1
        )
        predict_files({str(path)!r}, request, kill)
    """
    done = subprocess.run([sys.executable, "-c", dedent(script)], check=False)
    assert done.returncode == -9


def test_a_killed_run_goes_on(model: Path, tmp_path: Path, cli: Cli) -> None:
    path, scratch, output = write(tmp_path / "a.tif", image()), tmp_path / "scratch", tmp_path / "out"
    killed_while_predicting(path, model, output, scratch)
    assert files_in(output) == []
    assert len(list(scratch.iterdir())) == 1
    options = ("--normalize", "11", "--threshold", "-1", "--tile", "4,16,30", "--scratch", scratch)
    text = run(cli, path, "-m", model, "-o", output, *options, "--resume")
    assert "finished by an earlier run" in text
    found = tifffile.imread(output / MASK)
    np.testing.assert_allclose(found, by_api(model, image(), normalization=11), atol=TOLERANCE, rtol=0)
    assert not list(scratch.iterdir())
    assert "already there" in run(cli, path, "-m", model, "-o", output, "--resume")


def test_one_bad_file_does_not_stop_the_others(model: Path, tmp_path: Path, cli: Cli) -> None:
    folder = tmp_path / "in"
    write(folder / "a.tif", image())
    (folder / "b.tif").write_bytes(b"nothing")
    bad = image(2).astype(np.float32)
    bad[0, 0, :2] = np.nan, np.inf
    write(folder / "c.tif", bad)
    result = cli("predict", folder, "-m", model, "-o", tmp_path / "out", "--normalize", "none")
    assert result.exit_code == 1
    assert files_in(tmp_path / "out") == [MASK]
    assert "1 of 3 images predicted" in result.output
    assert "1 NaN and 1 infinite voxels of 4680; replace them first" in result.output
    again = cli("predict", folder / "a.tif", "-m", model, "-o", tmp_path / "out")
    assert again.exit_code == 1
    assert "exists" in again.output
    run(cli, folder / "a.tif", "-m", model, "-o", tmp_path / "out", "--overwrite")


def test_a_smaller_image_than_any_patch(model: Path, tmp_path: Path, cli: Cli) -> None:
    array = image(4, (1, 3, 2))
    run(cli, write(tmp_path / "a.tif", array), "-m", model, "-o", tmp_path / "out", "--threshold", "-1")
    np.testing.assert_allclose(
        tifffile.imread(tmp_path / "out" / MASK).reshape(array.shape),
        by_api(model, array),
        atol=TOLERANCE,
        rtol=0,
    )


def test_another_voxel_size_than_that_of_the_training_is_a_note(tmp_path: Path, cli: Cli) -> None:
    model = write_model(tmp_path, spacing=(0.3, 0.4, 0.1), threshold=0.3)
    text = run(cli, write(tmp_path / "a.tif", image()), "-m", model, "-o", tmp_path / "out")
    assert "--resize 1,0.5,1 brings them to the same size" in text
    assert tifffile.imread(tmp_path / "out" / MASK).dtype == np.uint8  # the model's own threshold


class _Hostile:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, ("echo it ran > hostile",)


def _wrong_shape(folder: Path) -> Path:
    state = dict(load_model(folder / "small.model").state)
    name = next(n for n in state if n.endswith("weight"))
    state[name] = state[name][..., :1]
    torch.save(state, folder / "wrong.pth")
    return folder / "wrong.pth"


def _missing_key(folder: Path) -> Path:
    shapes = expected_shapes(architecture("unet_xy"))
    state = {name: torch.zeros(shape) for name, shape in shapes.items()}
    state.pop("ec3.0.bias")
    torch.save(state, folder / "short.pth")
    return folder / "short.pth"


def _hostile(folder: Path) -> Path:
    torch.save({"model_state_dict": _Hostile()}, folder / "hostile.pth")
    return folder / "hostile.pth"


def _incomplete(folder: Path) -> Path:
    (folder / "small.model" / "weights.pt").unlink()
    return folder / "small.model"


@pytest.mark.parametrize(
    ("make", "options", "message"),
    [
        (_wrong_shape, (), "is expected"),
        (_missing_key, ("--network", "unet_xy"), "ec3.0.bias is missing; shape (128,) is expected"),
        (_hostile, (), "holds more than weights"),
        (_incomplete, (), "weights.pt is missing"),
        (lambda folder: folder / "none.pth", (), "none.pth does not exist"),
    ],
)
def test_bad_models(
    make: Callable, options: tuple, message: str, model: Path, tmp_path: Path, cli: Cli, monkeypatch: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    path = write(tmp_path / "a.tif", image())
    result = cli("predict", path, "-m", make(tmp_path), "-o", tmp_path / "out", *options)
    assert result.exit_code == 2, result.output
    assert message in result.output
    assert "Traceback" not in result.output
    assert not (tmp_path / "hostile").exists()
    assert files_in(tmp_path / "out") == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--device", "cuda"), "device 'cuda' is not available to PyTorch"),
        (("--gpus", "all"), "device 'cuda' is not available to PyTorch"),
        (("--precision", "float16"), "precision 'float16' is for GPUs"),
        (("--channel", "0", "--channel", "1"), "takes 1 channel; 2 were given (0, 1)"),
        (("--network", "unet_xy"), "the folder holds residual_unet, unet_xy was asked for"),
        (("--threshold", "1.5"), "threshold 1.5 is out of range"),
        (("--normalize", "flatt"), "did you mean flat"),
        (("--patch", "22,61,60"), "nearest valid: 60 and 64"),
        (("--patch", "22,61"), "--patch '22,61' is not a size"),
        (("--mode", "compat"), "needs the patch size that residual_unet was used with"),
        (("--resize", "1,0,1"), "--resize '1,0,1' is not a resize"),
        (
            ("--min-size", "4"),
            "a least size of 4 voxels is for masks, and probabilities are asked for: give a",
        ),
        (("--outputs", "aux"), "give main, all, or output and class"),
        (("--outputs", "1:1"), "output 1: residual_unet has outputs 0 to 0"),
        (("--probabilities", "float16"), "OME-TIFF has no 16-bit floats"),
        (("--resume", "--overwrite"), "give one of them"),
        (("--workers", "1", "--gpus", "all"), "exclude each other"),
        (("--memory", "300MB"), "is too small for residual_unet"),
    ],
)
def test_wrong_requests(options: tuple, message: str, model: Path, tmp_path: Path, cli: Cli) -> None:
    if "not available" in message and torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    path = write(tmp_path / "a.tif", image())
    result = cli("predict", path, "-m", model, "-o", tmp_path / "out", *options)
    assert result.exit_code == 2, result.output
    assert message in result.output
    assert files_in(tmp_path / "out") == []


def test_overflow_in_half_precision_is_detected(
    model: Path, tmp_path: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a GPU: the CPU computes in 16-bit floats too, but slowly, so it is not offered."""
    monkeypatch.setattr("fastseg.unet.runner.check_precision", lambda name, device: name)
    large = np.full(SHAPE, 60_000, np.float32)
    large[::2] = 0
    options = ("--normalize", "none", "--precision", "float16", "--threshold", "-1")
    result = cli("predict", write(tmp_path / "a.tif", large), "-m", model, "-o", tmp_path / "out", *options)
    assert result.exit_code == 1, result.output
    assert "numbers overflowed in float16: use precision float32, or normalise the image" in result.output
    assert files_in(tmp_path / "out") == []


def test_missing_torch_says_what_to_install(model: Path, tmp_path: Path) -> None:
    path = write(tmp_path / "a.tif", image())
    script = (
        "import sys; sys.modules['torch'] = None; from fastseg.cli.main import app; "
        f"app(['predict', {str(path)!r}, '-m', {str(model)!r}, '-o', {str(tmp_path / 'out')!r}])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "trained models need PyTorch, which is not installed: pip install 'fastseg-bio[dl]'" in done.stderr


def test_what_is_missing_is_named(tmp_path: Path, cli: Cli) -> None:
    result = cli("predict")
    assert result.exit_code == 2
    assert "INPUT and --model and --output are missing" in result.output
    result = cli("predict", "--config", tmp_path / "a.yaml", "--threshold", "0.5", "-m", "x")
    assert result.exit_code == 2
    assert "--model, --threshold: a configuration file decides this" in result.output


@pytest.mark.parametrize("said", [True, False])
def test_a_model_that_does_not_say_how_images_were_normalised(said: bool, cli: Cli, tmp_path: Path) -> None:
    path = write(tmp_path / "a.ome.tif", image())
    model = write_model(tmp_path, normalization=None)
    done = run(cli, path, "-m", model, "-o", tmp_path / "out", *(("--normalize", "none") if said else ()))
    note = "how images were normalised in training is not known: this one is taken as it is; see --normalize"
    assert (note in " ".join(done.split())) is not said
