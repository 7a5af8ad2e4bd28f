"""``fastseg models``: what is printed is what the networks are."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from fastseg.cli.main import app
from fastseg.unet.model import save_model
from fastseg.unet.networks.registry import NETWORKS
from tests.unet.small import small_model


def shown(*arguments: str) -> str:
    result = CliRunner().invoke(app, ["models", *arguments])
    assert result.exit_code == 0, result.output
    return result.output


def test_every_network_is_a_line() -> None:
    lines = shown("list").splitlines()
    assert [line.split()[0] for line in lines[1:]] == list(NETWORKS)
    assert "14,51,51" in lines[1]
    assert "29,92-100,92-100" in lines[1]
    assert "29+n, 92+8n, 92+8n" in lines[1]
    assert "17.7 million" in lines[1]
    assert "GiB for 48,188,188" in lines[1]


def test_a_network_with_its_sizes_and_costs() -> None:
    text = shown("show", "unet_xy")
    for expected in (
        "17,729,902",
        "29,92-100,92-100 voxels",
        "Y 92 + 8 n, output 88 less",
        "38,140,140",
        "read/written",
    ):
        assert expected in text
    assert "Y 184 + 16 n" in shown("show", "unet_xy_zoom", "--set", "zoom_ratio=2")


def test_a_model_folder_and_a_checkpoint(tmp_path: Path) -> None:
    folder = save_model(small_model(), tmp_path / "small.model")
    text = shown("show", str(folder))
    assert small_model().info.weights_sha256[:16] in text
    assert "residual_unet" in text
    assert "not said" in text
    assert small_model().info.weights_sha256[:16] in shown("show", str(folder / "weights.pt"))


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("unet_xyz",), "did you mean"),
        (("unet_xy", "--set", "zoom_ratio=2"), "zoom_ratio: there is no such parameter"),
        (("unet_xy_zoom", "--set", "zoom_ratio=0"), "greater than or equal to 1"),
        (("unet_xy_zoom", "--set", "zoom_ratio"), "give name=value"),
        (("unet_xy", "--set", "channels=2", "--set", "channels=3"), "--set channels is given twice"),
    ],
)
def test_what_does_not_exist(arguments: tuple, text: str) -> None:
    result = CliRunner().invoke(app, ["models", "show", *arguments])
    assert result.exit_code == 2
    assert text in result.output
