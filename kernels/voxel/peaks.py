"""Which voxels of objects are peaks of intensity."""

from numba import njit

# Half width of the window whose maximum a peak must be. That two candidates at distance 1 are always equally
# high, which _keep_first relies on, holds for any radius of at least 1.
RADIUS = 2


@njit
def higher_beside(values, labels, start, stop, z, y, x):
    """Whether a face neighbour of the same object is higher; settles most voxels with a few reads."""
    value, number = values[z, y, x], labels[z, y, x]
    return (
        (x > start[2] and labels[z, y, x - 1] == number and values[z, y, x - 1] > value)
        or (x < stop[2] - 1 and labels[z, y, x + 1] == number and values[z, y, x + 1] > value)
        or (y > start[1] and labels[z, y - 1, x] == number and values[z, y - 1, x] > value)
        or (y < stop[1] - 1 and labels[z, y + 1, x] == number and values[z, y + 1, x] > value)
        or (z > start[0] and labels[z - 1, y, x] == number and values[z - 1, y, x] > value)
        or (z < stop[0] - 1 and labels[z + 1, y, x] == number and values[z + 1, y, x] > value)
    )


@njit
def higher_in_window(values, labels, start, stop, z, y, x):
    """Whether a voxel of the same object in the window is higher."""
    value, number = values[z, y, x], labels[z, y, x]
    for k in range(max(z - RADIUS, start[0]), min(z + RADIUS + 1, stop[0])):
        for j in range(max(y - RADIUS, start[1]), min(y + RADIUS + 1, stop[1])):
            for i in range(max(x - RADIUS, start[2]), min(x + RADIUS + 1, stop[2])):
                if labels[k, j, i] == number and values[k, j, i] > value:
                    return True
    return False


@njit
def face_cross_fits(labels, start, stop, number, z, y, x):
    """Whether a voxel and its six face neighbours are all of one object, inside the box."""
    return (
        start[0] < z < stop[0] - 1
        and start[1] < y < stop[1] - 1
        and start[2] < x < stop[2] - 1
        and labels[z, y, x] == number
        and labels[z - 1, y, x] == number
        and labels[z + 1, y, x] == number
        and labels[z, y - 1, x] == number
        and labels[z, y + 1, x] == number
        and labels[z, y, x - 1] == number
        and labels[z, y, x + 1] == number
    )
