"""What every operator does with the types, layouts and shapes of its inputs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import fastseg.operators
from fastseg.errors import InputError, UsageError
from fastseg.operators.registry import get_operator, registry
from fastseg.operators.run import apply
from tests.operators.examples import changed, example
from tests.support import assert_identical, frozen, image
from tests.tiling.cases import CASES

SHAPE = (6, 9, 11)
IMAGE_OPERATORS = [
    n for n, s in registry().items() if "image" in s.inputs[0].kinds and s.inputs[0].kinds[-1] == "image"
]

MASK_OPERATORS = [n for n, s in registry().items() if any(i.kinds == ("mask",) for i in s.inputs)]


def outcome(name: str, inputs: list[Any], parameters: dict[str, Any]) -> Any:
    """The result, or the text of the error."""
    try:
        return apply(registry()[name], *inputs, **parameters)
    except InputError as error:
        return str(error)


def other_order(array: np.ndarray) -> np.ndarray:
    return array.astype(array.dtype.newbyteorder(">"))


def strided(array: np.ndarray) -> np.ndarray:
    wide = np.zeros(tuple(2 * n for n in array.shape), array.dtype)
    view = wide[tuple(slice(None, None, -2) for _ in array.shape)]
    view[...] = array
    return view


@pytest.mark.parametrize("change", [other_order, strided, np.asfortranarray], ids=lambda c: c.__name__)
@pytest.mark.parametrize("name", CASES)
def test_layout_in_memory_does_not_matter(name: str, change: Any) -> None:
    inputs, parameters = example(name, SHAPE)
    expected = apply(registry()[name], *inputs, **parameters)
    assert_identical(apply(registry()[name], *changed(inputs, change), **parameters), expected)


@pytest.mark.parametrize("name", CASES)
def test_inputs_are_neither_changed_nor_shared(name: str) -> None:
    inputs, parameters = example(name, SHAPE)
    before = changed(inputs, np.copy)
    result = apply(registry()[name], *inputs, **parameters)
    for item, copy in zip(inputs, before, strict=True):
        if isinstance(item, np.ndarray):
            np.testing.assert_array_equal(item, copy)
            assert not np.may_share_memory(item, result)
    if isinstance(result, np.ndarray):
        assert result.flags.writeable


@pytest.mark.parametrize("name", ["logical_or", "logical_and", "logical_xor"])
def test_a_single_mask_is_copied(name: str) -> None:
    m = np.ones((3, 4, 5), bool)
    assert not np.shares_memory(apply(registry()[name], m), m)


def test_an_image_that_needs_no_work_is_copied() -> None:
    x = np.ones((3, 4, 5), np.float32)
    spec = registry()["edge_preserving_smooth"]
    for iterations in (0, 2):
        assert not np.shares_memory(apply(spec, x, iterations=iterations), x)


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint16, np.int32, np.float64, np.float16, bool])
@pytest.mark.parametrize("name", IMAGE_OPERATORS)
def test_images_of_any_type_are_used_as_float32(name: str, dtype: type) -> None:
    if name == "take_slice" and dtype is bool:
        pytest.skip("a plane of a mask is a mask")
    _, parameters = example(name, SHAPE)
    shape = SHAPE[-max(CASES[name].dims) :]
    x = np.round(image("smooth", shape, 3) * 100).astype(dtype)
    others = example(name, SHAPE)[0][1:]
    expected = outcome(name, [x.astype(np.float32), *others], parameters)
    assert_identical(outcome(name, [x, *others], parameters), expected)


@pytest.mark.parametrize(
    "value", [np.uint8(255), np.int16(-1), np.float32(0.5), np.float64(-1e-300)], ids=repr
)
@pytest.mark.parametrize("name", MASK_OPERATORS)
def test_masks_of_any_type_are_true_where_they_are_not_zero(name: str, value: Any) -> None:
    inputs, parameters = example(name, SHAPE)
    masked = [item.dtype == bool if isinstance(item, np.ndarray) else False for item in inputs]
    assert any(masked)
    given = [frozen(i * value) if m else i for i, m in zip(inputs, masked, strict=True)]
    assert_identical(outcome(name, given, parameters), outcome(name, inputs, parameters))


@pytest.mark.parametrize("name", CASES)
def test_dimensions_and_kind_of_the_output_are_declared(name: str) -> None:
    spec = registry()[name]
    inputs, parameters = example(name, SHAPE)
    result = apply(spec, *inputs, **parameters)
    if spec.output.kind == "scalar":
        assert type(result) in (int, float, tuple)
        return
    assert result.ndim == (spec.output.dims or inputs[0].ndim)
    kinds = {"image": "f", "mask": "b", "labels": "iu"}
    assert result.dtype.kind in kinds[spec.output.kind]
    assert result.dtype == np.float32 or spec.output.kind != "image"


@pytest.mark.parametrize("name", CASES)
def test_other_numbers_of_dimensions_are_refused(name: str) -> None:
    inputs, parameters = example(name, SHAPE)
    first = registry()[name].inputs[0]
    with pytest.raises(InputError, match=rf"{name}: '{first.name}' is 4-D \(1, 1, 3, 4\); it must be [23]-D"):
        apply(registry()[name], np.zeros((1, 1, 3, 4), inputs[0].dtype), *inputs[1:], **parameters)


@pytest.mark.parametrize("name", CASES)
def test_empty_axes_are_refused(name: str) -> None:
    inputs, parameters = example(name, SHAPE)
    empty = changed(inputs, lambda a: a[..., :0])
    with pytest.raises(InputError, match="no axis may be empty"):
        apply(registry()[name], *empty, **parameters)


@pytest.mark.parametrize(
    "name", ["and_not", "object_otsu_threshold", "local_maxima", "watershed_split", "watershed"]
)
def test_different_shapes_are_refused(name: str) -> None:
    inputs, _ = example(name, SHAPE)
    with pytest.raises(InputError, match=r"has shape \(6, 9, 10\), the inputs before it have \(6, 9, 11\)"):
        apply(registry()[name], inputs[0], inputs[1][..., :-1])


def test_wrong_numbers_of_inputs_are_refused() -> None:
    x = np.zeros((2, 3, 4), np.float32)
    with pytest.raises(UsageError, match="and_not: 3 inputs were given, it takes mask, excluded"):
        apply(registry()["and_not"], x, x, x)
    with pytest.raises(UsageError, match=r"logical_or: 0 inputs were given, it takes mask, \.\.\."):
        apply(registry()["logical_or"])


def test_what_is_no_number_is_refused() -> None:
    with pytest.raises(InputError, match="'image' has dtype complex64; real numbers are needed"):
        apply(registry()["invert_image"], np.zeros((3, 4), np.complex64))
    with pytest.raises(InputError, match="'labels' has dtype float32; integer labels are needed"):
        apply(registry()["remove_small_labels"], np.zeros((3, 4), np.float32), min_size=1)
    with pytest.raises(InputError, match="take_slice: 'z' must be one number"):
        apply(registry()["take_slice"], np.zeros((3, 4, 5)), np.zeros(2))


def test_unknown_operators_are_refused_with_the_nearest_names() -> None:
    with pytest.raises(
        UsageError, match="operator 'gausian_smooth' is unknown: did you mean gaussian_smooth"
    ):
        get_operator("gausian_smooth")
    with pytest.raises(UsageError, match="operator 'qqq' is unknown: see 'fastseg operators list'"):
        get_operator("qqq")
    with pytest.raises(AttributeError, match="no attribute 'gausian_smooth'"):
        _ = fastseg.operators.gausian_smooth
