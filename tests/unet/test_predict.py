"""Prediction has one answer: that of the network on the continued image, for any patch, tile and worker."""

from __future__ import annotations

import re
from pickle import dumps, loads

import numpy as np
import pytest
import torch
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from fastseg.arrays import Device
from fastseg.errors import DeviceError, InputError, Problems, UsageError
from fastseg.tiling import ArrayVolume, Engine
from fastseg.tiling.cluster import local_workers
from fastseg.tiling.scratch import Scratch
from fastseg.unet import runner as runners
from fastseg.unet.graph import Layer
from fastseg.unet.model import save_model
from fastseg.unet.model_info import Selection
from fastseg.unet.module import Network
from fastseg.unet.predict import predict, predict_volumes
from fastseg.unet.settings import PredictSettings
from tests.support import frozen
from tests.unet.published import model_of
from tests.unet.small import continued, run, small_model, whole

TOLERANCE = 2e-5


def noise(*shape: int, seed: int = 0) -> np.ndarray:
    return frozen(np.random.default_rng(seed).random(shape, dtype=np.float32))


IMAGE = noise(6, 25, 34)


def same_mask(a: np.ndarray, b: np.ndarray, probability: np.ndarray, threshold: float) -> None:
    """Masks agree but for voxels whose probability is the threshold within the tolerance."""
    assert not (a != b)[abs(probability - threshold) > TOLERANCE].any()


def test_prediction_is_the_network_on_the_continued_image() -> None:
    found = predict(small_model(), IMAGE, device="cpu")
    np.testing.assert_allclose(found.array(), whole(small_model(), IMAGE), atol=TOLERANCE, rtol=0)
    assert found.array().dtype == np.float32
    assert found.array().std() > 0.01


@settings(max_examples=6, phases=(Phase.explicit, Phase.generate))  # shrinking would run hundreds of networks
@given(
    depth=st.integers(2, 7),
    rows=st.integers(2, 7),
    columns=st.integers(3, 9),
    tile=st.none() | st.tuples(st.integers(3, 6), st.integers(10, 25), st.integers(13, 34)),
    flips=st.sampled_from(["none", "single"]),
)
def test_the_result_does_not_depend_on_patches_or_tiles(
    depth: int, rows: int, columns: int, tile: tuple | None, flips: str
) -> None:
    model = small_model()
    expected = reference(flips)
    sizes = model.architecture.sizes
    patch = tuple(
        rule.output_for(rule.period * n) + 2 * rule.margin
        for rule, n in zip(sizes.axes, (depth, rows, columns), strict=True)
    )
    found = predict(model, IMAGE, device="cpu", patch=patch, flips=flips, engine=Engine(tile)).array()
    np.testing.assert_allclose(found, expected, atol=TOLERANCE, rtol=0)
    threshold = float(np.median(expected))
    same_mask(found > threshold, expected > threshold, expected, threshold)


_known: dict[str, np.ndarray] = {}


def reference(flips: str) -> np.ndarray:
    if flips not in _known:
        _known[flips] = predict(small_model(), IMAGE, device="cpu", flips=flips).array()
    return _known[flips]


@pytest.mark.parametrize("tile", [(4, 13, 17), (3, 25, 20)])
@pytest.mark.parametrize("mode", ["aligned", "compat"])
def test_tiles_change_no_bit(tile: tuple, mode: str) -> None:
    settings_ = {"device": "cpu", "mode": mode, "patch": (23, 56, 56), "flips": "single"}
    one = predict(small_model(), IMAGE, **settings_)
    many = predict(small_model(), IMAGE, **settings_, engine=Engine(tile))
    np.testing.assert_array_equal(many.array(), one.array())


@pytest.mark.parametrize("flips", ["none", "single"])
def test_masks_are_the_probabilities_above_the_threshold(flips: str) -> None:
    probability = reference(flips)
    threshold = float(np.median(probability))  # a value that occurs: it must not count as above
    found = predict(small_model(), IMAGE, device="cpu", threshold=threshold, flips=flips).array()
    assert found.dtype == bool
    np.testing.assert_array_equal(found, probability > threshold)


def by_the_reference(model: object, image: np.ndarray, size_in: tuple, size_out: tuple) -> np.ndarray:
    """The reference's loop: the whole image padded, patches side by side, the last one of a row moved back."""
    shape = image.shape
    padded = continued(image, model, shape)  # type: ignore[arg-type]
    starts = []
    for n, o in zip(shape, size_out, strict=True):
        steps = n // o + 1
        starts.append([j * o if j < steps - 1 else n - o for j in range(steps)])
    out = np.zeros(shape)
    for x in starts[2]:
        for y in starts[1]:
            for z in starts[0]:
                corner = (z, y, x)
                part = padded[tuple(slice(a, a + n) for a, n in zip(corner, size_in, strict=True))]
                done = run(model, part[None])  # type: ignore[arg-type]
                out[tuple(slice(a, a + n) for a, n in zip(corner, size_out, strict=True))] = done
    return out


def test_compat_mode_is_the_references_loop() -> None:
    model = small_model()
    sizes = model.architecture.sizes
    size_out = tuple(r.output_for(n) for r, n in zip(sizes.axes, (4, 14, 14), strict=True))
    size_in = sizes.size_in(size_out)
    found = predict(model, IMAGE, device="cpu", mode="compat", patch=size_in).array()
    expected = by_the_reference(model, IMAGE, size_in, size_out)
    np.testing.assert_allclose(found, expected, atol=TOLERANCE, rtol=0)
    assert abs(found - reference("none")).max() > 100 * TOLERANCE  # the phase of a patch matters


def test_compat_mode_mirrors_the_image_for_flips() -> None:
    model = small_model()
    sizes = model.architecture.sizes
    size_in = sizes.size_in(tuple(r.output_for(n) for r, n in zip(sizes.axes, (9, 14, 14), strict=True)))
    settings_ = {"device": "cpu", "mode": "compat", "patch": size_in}
    found = predict(model, IMAGE, **settings_, flips="single").array()
    single = [
        np.flip(predict(model, np.flip(IMAGE, a), **settings_).array(), a) for a in ((2,), (1,), (0,), ())
    ]
    np.testing.assert_allclose(found, np.mean(single, axis=0), atol=1e-6, rtol=0)


def test_compat_mode_extends_an_image_smaller_than_a_patch() -> None:
    model = small_model()
    image = noise(3, 10, 13)
    sizes = model.architecture.sizes
    size_out = tuple(r.output_for(n) for r, n in zip(sizes.axes, (6, 20, 20), strict=True))
    size_in = sizes.size_in(size_out)
    grown = [(0, o - n) for o, n in zip(size_out, image.shape, strict=True)]
    larger = np.pad(np.pad(image, ((0, 0), grown[1], grown[2]), "symmetric"), (grown[0], (0, 0), (0, 0)))
    expected = by_the_reference(model, larger, size_in, size_out)[:3, :10, :13]
    found = predict(model, image, device="cpu", mode="compat", patch=size_in).array()
    np.testing.assert_allclose(found, expected, atol=TOLERANCE, rtol=0)


def test_published_network_does_not_depend_on_the_patch() -> None:
    model = model_of("unet_xy")
    image = noise(2, 12, 20, seed=3)
    picks = (Selection(), Selection.model_validate({"output": 1, "class": 0}))
    found = [
        predict(model, image, device="cpu", selections=picks, patch=patch)
        for patch in ((30, 100, 100), (30, 108, 116))
    ]
    for name in ("output0_class1", "output1_class0"):
        np.testing.assert_allclose(found[0].array(name), found[1].array(name), atol=TOLERANCE, rtol=0)
    assert [f.report.patches for f in found] == [3, 1]
    assert found[0].report.read_ratio > found[1].report.read_ratio > 1


def test_flips_are_the_mean_over_mirrored_images() -> None:
    single = [
        np.flip(predict(small_model(), np.flip(IMAGE, a), device="cpu").array(), a)
        for a in ((2,), (1,), (0,))
    ]
    expected = np.mean([*single, reference("none")], axis=0)
    np.testing.assert_allclose(reference("single"), expected, atol=1e-6, rtol=0)


@pytest.mark.parametrize("axes", [(0,), (1, 2), (0, 1, 2)])
def test_all_flips_make_prediction_symmetric(axes: tuple) -> None:
    image = noise(5, 18, 21)
    plain = predict(small_model(), image, device="cpu", flips="all").array()
    mirrored = predict(small_model(), np.flip(image, axes), device="cpu", flips="all").array()
    np.testing.assert_allclose(np.flip(mirrored, axes), plain, atol=1e-6, rtol=0)


def test_batches_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = predict(small_model(), IMAGE, device="cpu", flips="all", patch=(24, 60, 60)).array()
    monkeypatch.setattr("fastseg.unet.settings.batch_size", lambda *_: 5)
    found = predict(small_model(), IMAGE, device="cpu", flips="all", patch=(24, 60, 60)).array()
    np.testing.assert_allclose(found, expected, atol=1e-6, rtol=0)


def test_several_channels_classes_and_outputs() -> None:
    model = small_model(channels=2, classes=3)
    image = noise(2, 4, 15, 17)
    picks = tuple(Selection.model_validate({"output": 0, "class": c}) for c in range(3))
    found = predict(model, image, device="cpu", selections=picks, engine=Engine((4, 8, 17)))
    maps = [found.array(p.name) for p in picks]
    np.testing.assert_allclose(sum(maps), 1, atol=1e-5)
    for class_, map_ in enumerate(maps):
        np.testing.assert_allclose(map_, whole(model, image, class_), atol=TOLERANCE, rtol=0)


def test_masks_of_several_outputs() -> None:
    model = small_model(classes=3)
    picks = tuple(Selection.model_validate({"output": 0, "class": c}) for c in (1, 2))
    image = noise(4, 15, 17)
    found = predict(model, image, device="cpu", selections=picks, threshold=0.3)
    for pick in picks:
        probability = predict(model, image, device="cpu", selections=(pick,)).array()
        np.testing.assert_array_equal(found.array(pick.name), probability > 0.3)


def test_image_of_one_voxel() -> None:
    image = np.full((1, 1, 1), 0.5, np.float32)
    np.testing.assert_allclose(
        predict(small_model(), image, device="cpu").array(), whole(small_model(), image), atol=TOLERANCE
    )


def test_scratch_and_workers_change_no_bit(tmp_path) -> None:
    from dataclasses import replace

    folder = save_model(small_model(), tmp_path / "small.model")
    model = replace(small_model(), path=folder)
    assert len(dumps(model)) < 3000  # weights are read by the worker, not sent
    settings_ = PredictSettings(
        device="cpu", patch=(22, 60, 60), normalization="contrast_2_11", threshold=0.5, stretch=True
    )
    expected = predict_volumes(model, [ArrayVolume(IMAGE)], settings_).array()
    assert 0 < expected.mean() < 1
    with Scratch(tmp_path) as storage, local_workers(1, 1) as executor:
        engine = Engine((6, 16, 20), executor, storage=storage)
        found = predict_volumes(model, [ArrayVolume(IMAGE)], settings_, engine).array()
    np.testing.assert_array_equal(found, expected)


def test_a_worker_refuses_weights_that_have_changed(tmp_path) -> None:
    from dataclasses import replace

    folder = save_model(small_model(), tmp_path / "small.model")
    sent = dumps(replace(small_model(), path=folder))
    save_model(small_model(classes=3), folder, overwrite=True)
    with pytest.raises((InputError, UsageError, Exception), match=r"changed|shape"):
        loads(sent)


def test_nan_is_refused() -> None:
    image = IMAGE.copy()
    image[2, 3, 4] = np.nan
    image[1, 1, 1] = np.inf
    with pytest.raises(InputError, match="1 NaN and 1 infinite voxels of 5100"):
        predict(small_model(), image, device="cpu")


@pytest.mark.parametrize(
    ("shape", "text"),
    [((2, 5, 6, 7), "2 channels; this model takes 1"), ((5, 6), "2-D"), ((0, 5, 6), "no axis may be empty")],
)
def test_unsuitable_images_are_refused(shape: tuple, text: str) -> None:
    with pytest.raises(InputError, match=text):
        predict(small_model(), np.zeros(shape, np.float32), device="cpu")


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"patch": (22, 61, 60)}, "does not go through the network"),
        ({"mode": "fast"}, "patch mode 'fast' is unknown"),
        ({"mode": "compat"}, "needs the patch size"),
        ({"flips": "some"}, "flips 'some' are unknown"),
        ({"threshold": 1.5}, "threshold 1.5 is out of range"),
        ({"precision": "float16"}, "on the CPU use float32 or bfloat16"),
        ({"memory": 2**20}, "too small for residual_unet"),
        ({"normalization": "flatt"}, "did you mean flat"),
        ({"normalization": 9}, "there are numbers 0, 1, 2, 4"),
    ],
)
def test_wrong_settings_are_refused(given: dict, text: str) -> None:
    with pytest.raises(UsageError, match=text):
        predict(small_model(), IMAGE, **{"device": "cpu", **given})


def test_outputs_that_the_network_lacks_are_refused() -> None:
    picks = (Selection.model_validate({"output": 1, "class": 1}), Selection.model_validate({"class": 2}))
    with pytest.raises(Problems) as caught:
        predict(small_model(), IMAGE, device="cpu", selections=picks)
    assert len(caught.value.problems) == 2


def test_a_gpu_is_not_replaced_silently() -> None:
    if torch.cuda.is_available():
        pytest.skip("this machine has one")
    with pytest.raises(DeviceError, match="not available to PyTorch"):
        predict(small_model(), IMAGE, device="cuda")


NO_MEMORY = [
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB"),
    MemoryError("Unable to allocate 20.0 GiB"),
    RuntimeError("[enforce fail at alloc_cpu.cpp:121] DefaultCPUAllocator: can't allocate memory: you tried"),
    RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
    RuntimeError(
        "Expected canUse32BitIndexMath(input) && canUse32BitIndexMath(output) to be true, but got false."
    ),
]


def forgetful(monkeypatch: pytest.MonkeyPatch, error: BaseException, limit: int) -> None:
    """Let the network run out of memory with images of more than `limit` voxels."""
    plain = Network.apply_layer

    def apply_layer(self: Network, layer: Layer, inputs: list[torch.Tensor], free: bool) -> torch.Tensor:
        if layer.inputs == ("image",) and inputs[0].shape[3:].numel() > limit:
            raise error
        return plain(self, layer, inputs, free)

    monkeypatch.setattr(Network, "apply_layer", apply_layer)


@pytest.mark.parametrize("error", NO_MEMORY, ids=lambda e: type(e).__name__)
def test_too_little_memory_means_smaller_patches(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = reference("none")
    forgetful(monkeypatch, error, 56 * 64)
    found = predict(small_model(), IMAGE, device="cpu")
    np.testing.assert_allclose(found.array(), expected, atol=TOLERANCE, rtol=0)
    assert found.report.patches > 1
    assert found.notes
    for note in found.notes:
        assert re.fullmatch(
            r"patches of \d+,\d+,\d+ do not fit into the memory of cpu; going on with patches of .*", note
        )


def test_smaller_patches_stay_within_the_tile(monkeypatch: pytest.MonkeyPatch) -> None:
    image, tile = noise(7, 40, 70), (2, 40, 36)
    expected = predict(small_model(), image, device="cpu").array()
    forgetful(monkeypatch, MemoryError(), 75 * 75)
    found = predict(small_model(), image, device="cpu", engine=Engine(tile))
    np.testing.assert_allclose(found.array(), expected, atol=TOLERANCE, rtol=0)
    (note,) = found.notes
    size = [int(n) for n in note.rsplit(" ", 1)[1].split(",")]
    margin = small_model().architecture.sizes.margin
    assert all(n <= t + 2 * m for n, t, m in zip(size, tile, margin, strict=True))


def test_memory_that_never_suffices_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    forgetful(monkeypatch, MemoryError(), 0)
    with pytest.raises(
        UsageError, match="residual_unet does not fit into the memory of cpu, even in its smallest"
    ):
        predict(small_model(), IMAGE, device="cpu")
    with pytest.raises(UsageError, match="with others the result would be another one"):
        predict(small_model(), IMAGE, device="cpu", mode="compat", patch=(23, 56, 56))


def test_other_errors_are_not_taken_for_a_lack_of_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    forgetful(monkeypatch, RuntimeError("broken"), 0)
    with pytest.raises(RuntimeError, match="broken"):
        predict(small_model(), IMAGE, device="cpu")


def test_half_precision_is_near_and_overflow_is_detected() -> None:
    found = predict(small_model(), IMAGE, device="cpu", precision="bfloat16").array()
    assert abs(found - reference("none")).max() < 0.05
    with pytest.raises(InputError, match="not finite on this image"):
        predict(small_model(), IMAGE * np.float32(1e38), device="cpu")


def test_runner_is_kept_between_tiles() -> None:
    model = small_model()
    assert runners.runner_for(model, Device("cpu"), "float32") is runners.runner_for(
        model, Device("cpu"), "float32"
    )
