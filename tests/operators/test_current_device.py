"""Whatever an operator allocates on a GPU, it allocates while that GPU is the current one. No GPU is needed."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from fastseg.arrays import to_host
from fastseg.operators.registry import registry
from fastseg.operators.run import apply
from tests.gpu_double import gpu_double
from tests.operators.examples import changed, example
from tests.support import assert_identical

SHAPE = (6, 9, 11)


@pytest.mark.parametrize("name", registry())
def test_operators_stay_on_the_device_of_their_inputs(name: str) -> None:
    inputs, parameters = example(name, SHAPE)
    expected = apply(registry()[name], *inputs, **parameters)
    with gpu_double():  # which ends with an error if not
        cupy = sys.modules["cupy"]
        given = changed(inputs, lambda array: cupy.asarray(np.asfortranarray(array)))  # has to be converted
        found = apply(registry()[name], *given, **parameters)
        if not isinstance(expected, np.ndarray):
            assert found == expected
            return
        assert type(found) is cupy.ndarray
        assert_identical(to_host(found), expected)
