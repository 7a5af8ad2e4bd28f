"""Which pixel of a plane may be deleted without changing how the plane is connected."""

import numpy as np


def _kept_by_window():
    """For each of the 512 patterns of a 3x3 window (bit 3 row + column): must its centre stay?

    It stays if fewer than 3 pixels are set, or if deleting it changes the number of 8-connected components.
    """
    table = np.zeros(512, np.bool_)
    for pattern in range(512):
        cells = {(k // 3, k % 3) for k in range(9) if pattern >> k & 1}
        if (1, 1) not in cells:
            continue
        table[pattern] = len(cells) < 3 or _components(cells) != _components(cells - {(1, 1)})
    return table


def _components(cells):
    left, count = set(cells), 0
    while left:
        count += 1
        front = [left.pop()]
        while front:
            y, x = front.pop()
            near = {c for c in left if abs(c[0] - y) <= 1 and abs(c[1] - x) <= 1}
            left -= near
            front.extend(near)
    return count


STAYS = _kept_by_window()
"""For each pattern of a 3x3 window, whether its centre stays."""
