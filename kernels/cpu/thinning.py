"""Medial axis of a plane by ordered deletion of simple pixels."""

import numpy as np

from fastseg.kernels.jit import compiled


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


@compiled()
def background_neighbours(padded):
    """Number of background pixels in the 3x3 window of every pixel; outside the plane is background.

    Parameters
    ----------
    padded : bool (Y + 2, X + 2)
        The plane with a border of background.

    Returns
    -------
    int8 (Y, X)
    """
    ny, nx = padded.shape[0] - 2, padded.shape[1] - 2
    found = np.empty((ny, nx), np.int8)
    for y in range(ny):
        for x in range(nx):
            count = 9
            for j in range(3):
                for i in range(3):
                    if padded[y + j, x + i]:
                        count -= 1
            found[y, x] = count
    return found


@compiled()
def delete_in_order(padded, rows, columns, stays):
    """Visit the foreground pixels once, deleting each that is not needed in the state of that moment.

    Parameters
    ----------
    padded : bool (Y + 2, X + 2)
        The plane with a border of background; becomes the medial axis.
    rows, columns : int64 (n,)
        The foreground pixels of the plane in the order of their visit.
    stays : bool (512,)
        `STAYS`.
    """
    for k in range(rows.size):
        y, x = rows[k], columns[k]
        pattern = 0
        for j in range(3):
            for i in range(3):
                if padded[y + j, x + i]:
                    pattern |= 1 << (3 * j + i)
        if not stays[pattern]:
            padded[y + 1, x + 1] = False


def medial_axis(mask, distance):
    """Medial axis of a plane (Blum, 1967): ordered deletion that keeps the topology.

    Parameters
    ----------
    mask : bool (Y, X)
    distance : float64 (Y, X)
        Distance of each pixel to the background.

    Returns
    -------
    bool (Y, X)

    Notes
    -----
    Pixels are visited by rising (distance, number of background neighbours, position). The last key replaces the
    random numbers of other implementations, so the result is always the same.
    """
    padded = np.pad(mask, 1)
    rows, columns = np.nonzero(mask)
    corner = background_neighbours(padded)[rows, columns]
    order = np.lexsort((corner, distance[rows, columns]))  # stable: equal keys stay in scan order
    delete_in_order(padded, rows[order], columns[order], STAYS)
    return padded[1:-1, 1:-1]
