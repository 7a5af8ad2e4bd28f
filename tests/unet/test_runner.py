"""What is said about how a network ran: whose fault scores are that are not finite, and that it was not compiled."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from fastseg.errors import InputError
from fastseg.tiling import ArrayVolume, Engine
from fastseg.tiling.cluster import local_workers
from fastseg.tiling.scratch import Scratch
from fastseg.tiling.waves import ClusterExecutor
from fastseg.unet import runner as runners
from fastseg.unet.model import Model, make_model, save_model
from fastseg.unet.predict import predict, predict_volumes
from fastseg.unet.rule import remarks
from fastseg.unet.settings import PredictSettings, prediction_params
from tests.support import frozen
from tests.unet.small import small_model

IMAGE = frozen(np.random.default_rng(0).random((6, 25, 34), dtype=np.float32))
NOT_COMPILED = "the network was not compiled, it runs as it is (no compiler here)"


@pytest.fixture(autouse=True)
def no_runner(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runners, "_RUNNERS", OrderedDict())


def with_weights(name: str, value: float) -> Model:
    model = small_model()
    return make_model(model.architecture, {**model.state, name: torch.full_like(model.state[name], value)})


# scores that are not finite -----------------------------------------------------------------------------------------


def test_intensities_are_blamed_where_the_weights_are_right() -> None:
    with pytest.raises(
        InputError,
        match=r"not finite on this image: its intensities are too large \(up to 3e\+37\), normalise it",
    ):
        predict(small_model(), np.full((4, 9, 9), 3e37, np.float32), device="cpu")


def test_weights_are_blamed_where_no_image_would_do(tmp_path: Path) -> None:
    large = with_weights("down0.conv2.weight", 1e38)
    for model, name in (
        (large, "residual_unet"),
        (replace(large, path=save_model(large, tmp_path / "large.model")), str(tmp_path / "large.model")),
    ):
        runners._RUNNERS.clear()
        with pytest.raises(InputError) as found:
            predict(model, IMAGE, device="cpu")
        assert str(found.value).endswith(
            f": the weights of {name} are too large: its scores are not finite even for an image of 0 and 1"
        )


def test_half_precision_is_blamed_where_single_precision_would_do(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a GPU: the CPU computes in 16-bit floats too, but slowly, so it is not offered."""
    monkeypatch.setattr("fastseg.unet.settings.check_precision", lambda name, device: name, raising=False)
    monkeypatch.setattr(runners, "check_precision", lambda name, device: name)
    with pytest.raises(
        InputError, match="the weights of residual_unet are too large for float16: use precision float32"
    ):
        predict(with_weights("scores.bias", 1e5), IMAGE, device="cpu", precision="float16")
    with pytest.raises(
        InputError, match="numbers overflowed in float16: use precision float32, or normalise"
    ):
        predict(small_model(), IMAGE * 60_000, device="cpu", precision="float16")


# without a compiler -------------------------------------------------------------------------------------------------


def without_compiler(network: Any, **settings: Any) -> Callable[..., Any]:
    """What `torch.compile` gives where it fails, as it does at the first call."""
    from torch._dynamo.exc import TorchDynamoException

    def fail(*arguments: Any) -> Any:
        raise TorchDynamoException("no compiler here\nand much advice")

    return fail


def take_the_compiler_away() -> None:
    torch.compile = without_compiler


def test_a_network_that_cannot_be_compiled_runs_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "compile", without_compiler)
    expected = predict(small_model(), IMAGE, device="cpu")
    found = predict(small_model(), IMAGE, device="cpu", compile=True)
    assert found.notes == [NOT_COMPILED]
    assert expected.notes == []
    np.testing.assert_allclose(found.array(), expected.array(), atol=2e-5, rtol=0)


class Client:
    """A cluster whose workers say these things; without any there is nobody to ask."""

    def __init__(self, **says: str | None) -> None:
        self.says = says

    def run(self, function: Any, key: tuple[str, ...], *, on_error: str) -> dict[str, str | None]:
        assert on_error == "ignore"  # of a worker that is lost just then
        if not self.says:
            raise ValueError("no workers")
        return self.says


@pytest.mark.parametrize(
    ("says", "told"),
    [
        ({"b": "no compiler", "a": "no memory", "c": "no compiler", "d": None}, ["no memory", "no compiler"]),
        ({"a": None}, []),
        ({}, []),
    ],
)
def test_what_workers_say_is_told_once(says: dict[str, str | None], told: list[str]) -> None:
    params = prediction_params(small_model(), IMAGE.shape, PredictSettings(device="cpu", compile=True))
    assert remarks(params, ClusterExecutor(Client(**says))) == told
    assert remarks(replace(params, compiled=False), ClusterExecutor(Client(**says))) == []


def test_workers_say_that_they_could_not_compile(tmp_path: Path) -> None:
    pytest.importorskip("distributed", reason="workers need dask and distributed")
    model = replace(small_model(), path=save_model(small_model(), tmp_path / "small.model"))
    settings = PredictSettings(device="cpu", patch=(22, 60, 60), compile=True)
    with Scratch(tmp_path) as storage, local_workers(1, 1) as executor:
        executor.client.run(take_the_compiler_away)
        engine = Engine((6, 16, 20), executor, storage=storage)
        found = predict_volumes(model, [ArrayVolume(IMAGE)], settings, engine)
        array = found.array()
    assert found.notes == [NOT_COMPILED]
    assert runners._RUNNERS == {}  # no network was made here to be asked
    np.testing.assert_allclose(array, predict(model, IMAGE, device="cpu").array(), atol=2e-5, rtol=0)
