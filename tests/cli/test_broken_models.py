"""Models that are none, as ``fastseg predict`` and ``fastseg models show`` tell of them: the file, the value, what is
allowed, and exit code 2; nothing is written."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from typer.testing import Result

from fastseg.unet.checkpoint import expected_shapes
from fastseg.unet.networks.registry import architecture
from tests.cli.predicting import image, write, write_model

Cli = Callable[..., Result]
Break = Callable[[Path], Any]

GONE = object()


def field(**changes: object) -> Break:
    """Other values in model.yaml."""

    def change(model: Path) -> None:
        file = model / "model.yaml"
        found = {**yaml.safe_load(file.read_text()), **changes}
        file.write_text(yaml.safe_dump({k: v for k, v in found.items() if v is not GONE}))

    return change


def network(**changes: object) -> Break:
    """Another network in model.yaml."""

    def change(model: Path) -> None:
        found = yaml.safe_load((model / "model.yaml").read_text())["network"] | changes
        field(network={k: v for k, v in found.items() if v is not GONE})(model)

    return change


def text(content: str) -> Break:
    return lambda model: (model / "model.yaml").write_text(content)


def without(*names: str) -> Break:
    return lambda model: [(model / name).unlink() for name in names]


def as_folder(name: str) -> Break:
    def change(model: Path) -> None:
        (model / name).unlink()
        (model / name).mkdir()

    return change


def cut(part: float) -> Break:
    def change(model: Path) -> None:
        whole = (model / "weights.pt").read_bytes()
        (model / "weights.pt").write_bytes(whole[: int(len(whole) * part)])

    return change


def weights(change: Callable[[dict[str, torch.Tensor]], Any]) -> Break:
    """Other tensors, in a folder that does not say which ones they are."""

    def rewrite(model: Path) -> None:
        state = torch.load(model / "weights.pt", weights_only=True)
        torch.save(change(state) or state, model / "weights.pt")
        field(weights_sha256="")(model)

    return rewrite


def of_width_8(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    shapes = expected_shapes(architecture("residual_unet", {"width": 8, "levels": 2}))
    return {name: torch.zeros(shape) for name, shape in shapes.items()}


NETWORKS = "unet_xy, unet_xy_zoom, unet_original, residual_unet"

BROKEN: dict[str, tuple[Break, str]] = {
    "nothing": (without("model.yaml", "weights.pt"), "{model} is no model: a model folder holds model.yaml"),
    "no description": (without("model.yaml"), "model folder {model} is incomplete: model.yaml is missing"),
    "no weights": (without("weights.pt"), "model folder {model} is incomplete: weights.pt is missing"),
    "a folder for the description": (as_folder("model.yaml"), "{model}/model.yaml is a folder; a model"),
    "a folder for the weights": (as_folder("weights.pt"), "{model}/weights.pt is a folder; a model folder"),
    "an empty description": (text(""), "{model}/model.yaml is empty: a mapping of keys to values is needed"),
    "a list": (text("- 1\n"), "{model}/model.yaml is no description of a model: a mapping of keys"),
    "no YAML": (text("a: 1\nb: [\n"), "{model}/model.yaml is not valid YAML (line 3)"),
    "no text": (
        lambda m: (m / "model.yaml").write_bytes(b"\xff\xfe\x00"),
        "{model}/model.yaml cannot be read",
    ),
    "another version": (field(format_version=2), "{model}/model.yaml has format_version 2; this fastseg"),
    "a version in words": (
        field(format_version="1"),
        "{model}/model.yaml has format_version '1'; this fastseg",
    ),
    "no version": (field(format_version=GONE), "{model}/model.yaml has no format_version; this fastseg"),
    "an unknown network": (
        network(name="unet_xyz"),
        "{model}/model.yaml: 1 problem\n  - network.name: network 'unet_xyz' is unknown: did you mean unet_xy?",
    ),
    "a network without a name": (network(name=GONE), f"its name is missing (there are {NETWORKS})"),
    "a number for a network": (network(name=3), f"network: 3 is no name (there are {NETWORKS})"),
    "a name for a network": (
        field(network="unet_xy"),
        "network: a mapping of keys to values is needed (given: 'unet_xy')",
    ),
    "an unknown parameter": (
        network(features=3),
        "network.features: there is no such parameter (known: channels, classes, width, levels)",
    ),
    "a parameter out of range": (
        network(width=2),
        "network.width: input should be greater than or equal to 4 (given: 2)",
    ),
    "an unknown field": (
        field(treshold=0.5),
        "{model}/model.yaml: 1 problem\n  - treshold: there is no such key (did you mean threshold?)",
    ),
    "a threshold out of range": (
        field(threshold=1.5),
        "threshold: must be at least 0 and below 1, or null for probabilities (given: 1.5)",
    ),
    "a threshold that is no number": (
        field(threshold=float("nan")),
        "or null for probabilities (given: nan)",
    ),
    "a threshold in words": (field(threshold="high"), "threshold: a number is needed (given: 'high')"),
    "an unknown recipe": (field(normalization="flatt"), "recipe 'flatt' is unknown: did you mean flat"),
    "a voxel size of two": (field(spacing=[0.1, 0.1]), "spacing.2: is missing"),
    "a class that is not there": (
        field(selections=[{"output": 0, "class": 5}]),
        "{model}/model.yaml: 1 problem\n  - class 5: output 0 has classes 0 to 1",
    ),
    "an unknown field of an output": (
        field(selections=[{"output": 0, "clas": 1}]),
        "selections.0.clas: there is no such key (did you mean class?)",
    ),
    "truncated weights": (cut(0.5), "{model}/weights.pt cannot be read as a PyTorch checkpoint: "),
    "no weights in the file": (cut(0), "{model}/weights.pt cannot be read as a PyTorch checkpoint: "),
    "an image for weights": (
        lambda m: write(m / "weights.pt", image()),
        "weights.pt is not a PyTorch checkpoint",
    ),
    "weights of another network": (
        weights(of_width_8),
        "{model}/weights.pt: 1 problem\n  - it holds residual_unet (channels=1, classes=(2,), width=8, levels=2), not "
        "residual_unet (channels=1, classes=(2,), width=4, levels=2)",
    ),
    "a tensor too few": (
        weights(lambda state: {name: t for name, t in state.items() if name != "scores.bias"}),
        "scores.bias is missing; shape (2,) is expected",
    ),
    "weights that are NaN": (
        weights(
            lambda state: (
                [t.fill_(float("nan")) for n, t in state.items() if n.endswith("conv1.weight")] and None
            )
        ),
        "down0.conv1.weight, down1.conv1.weight, bottom.conv1.weight and 2 more hold NaN or infinite numbers; weights",
    ),
    "other weights than described": (
        lambda m: field(weights_sha256="0" * 64)(m),
        "{model}/weights.pt is not the file that model.yaml describes: its checksum differs",
    ),
}


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return write_model(tmp_path)


@pytest.mark.parametrize("case", BROKEN)
def test_broken_folders(case: str, model: Path, tmp_path: Path, cli: Cli) -> None:
    breaking, sentence = BROKEN[case]
    breaking(model)
    stack = write(tmp_path / "a.tif", image())
    for done in (cli("predict", stack, "-m", model, "-o", tmp_path / "out"), cli("models", "show", model)):
        assert done.exit_code == 2, done.output
        assert sentence.format(model=model) in done.output
        assert done.output.startswith("error: ")
        assert "Traceback" not in done.output
        assert "--debug" not in done.output
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("none.model", "none.model does not exist: give a model folder, the folder of a training run, "),
        ("small.model/model.yaml", "small.model/model.yaml describes a model: give its folder, small.model"),
        ("a.tif", "a.tif is not a PyTorch checkpoint"),
        (
            ".",
            ". is no model: a model folder holds model.yaml and weights.pt, that of a training run best.model or",
        ),
    ],
)
def test_what_is_no_model_at_all(
    name: str, sentence: str, model: Path, tmp_path: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "a.tif", image())
    for done in (cli("predict", "a.tif", "-m", name, "-o", "out"), cli("models", "show", name)):
        assert done.exit_code == 2, done.output
        assert sentence in done.output
    assert not (tmp_path / "out").exists()


def test_several_things_are_told_at_once(model: Path, cli: Cli) -> None:
    field(threshold=-1, spacing=[0.1, 0.1, "wide"], colour="red")(model)
    told = cli("models", "show", model).output
    assert f"{model}/model.yaml: 3 problems" in told
    for part in (
        "threshold: must be",
        "spacing.2: a number is needed (given: 'wide')",
        "colour: there is no such key",
    ):
        assert part in told


def test_a_run_is_started_from_a_model_only(model: Path, tmp_path: Path, cli: Cli) -> None:
    from tests.unet.training.runs import blob_set

    data = blob_set(tmp_path / "data", 1)
    network(name="unet_xyz")(model)
    done = cli("train", data, "-o", tmp_path / "run", "--init", model, "--device", "cpu")
    assert done.exit_code == 2
    assert f"{model}/model.yaml: 1 problem" in done.output
    done = cli("train", data, "-o", tmp_path / "run", "--init", tmp_path / "none", "--device", "cpu")
    assert (done.exit_code, f"init: model {tmp_path / 'none'} does not exist" in done.output) == (2, True)
    assert not (tmp_path / "run").exists()
