"""What is planned for a budget fits it, and changes nothing that is found."""

from __future__ import annotations

import numpy as np
import pytest

from fastseg.errors import UsageError
from fastseg.tiling import ArrayVolume, Engine
from fastseg.tiling.plan import PROCESS, make_plan
from fastseg.unet.fit import fit_memory, fit_tile
from fastseg.unet.memory import patch_cost
from fastseg.unet.networks.registry import architecture
from fastseg.unet.patches import cuts_no_patch
from fastseg.unet.predict import predict, predict_volumes
from fastseg.unet.program import prediction_program
from fastseg.unet.settings import PredictSettings
from tests.unet.published import model_of
from tests.unet.small import small_model

MIB = 2**20
SHAPE = (200, 2000, 2100)


@pytest.mark.parametrize(("memory", "tasks"), [(1500, 1), (6000, 1), (3000, 2), (9000, 2)])
@pytest.mark.parametrize("recipe", [None, 10])
def test_patches_and_tiles_share_the_budget(memory: int, tasks: int, recipe: int | None) -> None:
    model = model_of("unet_xy")
    settings = PredictSettings(device="cpu", normalization=recipe)
    fitted = fit_memory(model, SHAPE, settings, memory * MIB, tasks, tasks)
    assert fitted.tile is not None
    grid = fitted.params.grid
    assert cuts_no_patch(grid, SHAPE, fitted.tile)
    program = prediction_program(model, fitted.params, settings)
    tile = make_plan(program.nodes, SHAPE, program.goals, fitted.tile).task_bytes
    patch = patch_cost(model.architecture, grid.largest).bytes
    assert tasks * (tile + patch + PROCESS) <= memory * MIB


@pytest.mark.parametrize(("memory", "tasks"), [(400, 1), (800, 2), (200, 1)])
def test_what_cannot_fit_is_refused(memory: int, tasks: int) -> None:
    with pytest.raises(UsageError, match="is too small for unet_xy: "):
        fit_memory(model_of("unet_xy"), SHAPE, PredictSettings(device="cpu"), memory * MIB, tasks, tasks)


def test_more_memory_means_less_that_is_read_twice() -> None:
    model = model_of("unet_xy")
    ratios = []
    for memory in (1500, 3000, 9000):
        fitted = fit_memory(model, SHAPE, PredictSettings(device="cpu"), memory * MIB)
        ratios.append(patch_cost(model.architecture, fitted.params.grid.largest).read_ratio)
    assert ratios == sorted(ratios, reverse=True)
    assert ratios[0] > 1.5 * ratios[-1]


def test_a_small_tile_means_small_patches() -> None:
    model = small_model()
    settings = PredictSettings(device="cpu")
    fitted = fit_tile(model, (40, 300, 300), settings, (8, 60, 62))
    assert fitted.tile == (8, 60, 60)
    assert cuts_no_patch(fitted.params.grid, (40, 300, 300), fitted.tile)
    assert fit_tile(model, (40, 300, 300), settings, None).tile is None


def test_compat_patches_stay_what_they_are_in_any_tile() -> None:
    model = small_model()
    image = np.random.default_rng(0).random((9, 40, 44), dtype=np.float32)
    size_in = architecture_patch()
    settings = PredictSettings(device="cpu", mode="compat", patch=size_in)
    expected = predict(model, image, device="cpu", mode="compat", patch=size_in).array()
    fitted = fit_memory(model, image.shape, settings, 700 * MIB)
    cut = fit_tile(model, image.shape, settings, (4, 15, 20))
    for found in (fitted, cut):
        engine = Engine(found.tile)
        array = predict_volumes(model, [ArrayVolume(image)], settings, engine, fitted=found).array()
        np.testing.assert_array_equal(array, expected)


def architecture_patch() -> tuple[int, int, int]:
    arch = architecture("residual_unet", {"width": 4, "levels": 2, "classes": (2,)})
    z, y, x = (r.output_for(n) for r, n in zip(arch.sizes.axes, (6, 16, 16), strict=True))
    return arch.sizes.size_in((z, y, x))
