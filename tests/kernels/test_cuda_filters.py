"""Launch shapes of the CUDA filters."""

from __future__ import annotations


def test_a_filter_in_one_pass_is_chosen_by_its_radii_and_fits_into_shared_memory() -> None:
    from fastseg.arrays import filters
    from fastseg.kernels.cuda import gaussian

    assert filters._WIDEST_ON_GPU == gaussian.WIDEST
    for images in (1, 2):
        for radius in range(40):
            high = gaussian.rows_of_tile(radius, radius, radius, images)
            assert high is None or gaussian.shared_bytes(high, radius, radius, radius, images) <= 48 << 10
    assert gaussian.rows_of_tile(3, 3, 3) == 16  # sigma 1, the smoothing of most workflows
    assert gaussian.rows_of_tile(8, 8, 8) == 16
    assert gaussian.rows_of_tile(8, 8, 8, 2) == 8  # the Laplacian of sigma 2
    assert gaussian.rows_of_tile(30, 30, 30) is None
    down, across = int(gaussian.DOWN), int(gaussian.ACROSS) * gaussian._PLACES
    assert 4 * down * (across + 2 * gaussian.WIDEST) <= 48 << 10


def test_grids_cover_volumes_beyond_2_to_the_31_voxels() -> None:
    from fastseg.kernels.cuda import gaussian

    for shape in ((3000, 2000, 2000), (1, 60_000, 60_000), (40_000, 300, 300), (1, 1, 1)):
        (grid, block, _), chunk = gaussian._tiles(shape, 16, 0)
        assert grid[0] * block[0] >= shape[2]
        assert grid[1] * 16 >= shape[1]
        assert grid[2] * chunk >= shape[0] > (grid[2] - 1) * chunk
        assert grid[0] < 2**31
        assert max(grid[1:]) < 2**16
