"""Which floods stay on a GPU."""

import numpy as np
import pytest

from fastseg.operators.splitting import flood_on_device

BOX = 65 * 924 * 624


@pytest.mark.parametrize("cores", [2, 16, 64])
def test_nuclei_stay_and_what_pervades_the_volume_does_not(cores: int) -> None:
    assert flood_on_device(np.full(200, 30_000), 80_000, BOX, cores)
    assert not flood_on_device(np.array([BOX // 3]), 5_000, BOX, cores)
    assert flood_on_device(np.zeros(0, np.int64), 0, BOX, cores)


def test_queues_deeper_than_the_box_are_left_to_the_host() -> None:
    assert flood_on_device(np.array([10]), 40, 10, 1)
    assert not flood_on_device(np.array([10]), 41, 10, 1)
