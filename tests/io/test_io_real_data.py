"""Real stacks, where there are any: every format, with an independent reader as the oracle."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile

from fastseg import io
from fastseg.errors import SelectionError
from fastseg.io.preview import write_preview

TIFFS = {
    "nuclei_hipsc/nuclei.tif": None,
    "mitochondria_yeast/yeast_mito_t00.ome.tif": (0.25, 0.0655, 0.0655),
    "golgi/xyz_calibrated_16bit__golgi_bfa.tif": (0.3876, 0.3514, 0.3514),
    "nuclear_envelope/xyz_nuclear_envelope_drosophila.tif": None,
    "chromosomes/xyz_8bit__chromosomes.tif": (0.15, 0.0339, 0.0339),
    "mouse_embryo_nuclei/raw_8_cell_stage.tif": None,
}


def at(real_data: Path, name: str) -> Path:
    path = real_data / name
    if not path.exists():
        pytest.skip(f"{name} is not among the real stacks")
    return path


@pytest.mark.parametrize(("name", "spacing"), TIFFS.items(), ids=list(TIFFS))
def test_tiff(real_data: Path, tmp_path: Path, name: str, spacing: tuple | None) -> None:
    path = at(real_data, name)
    image = io.read(path)
    volume = image.volume()
    np.testing.assert_array_equal(volume, tifffile.imread(path))
    if spacing is None:
        assert image.spacing is None
    else:
        np.testing.assert_allclose(image.spacing, spacing, rtol=2e-3)
    for suffix in ("tiff", "zarr"):
        written = io.output_path(tmp_path, image.stem, suffix)
        again = io.read(io.write_image(written, volume, spacing=image.spacing))
        assert again.spacing == image.spacing
        np.testing.assert_array_equal(again.volume(), volume)


def test_channels_of_a_tiff(real_data: Path) -> None:
    path = at(real_data, "blastocyst_laminb1_dapi/crop_czyx.ome.tif")
    np.testing.assert_array_equal(io.read(path, channel="dapi").volume(), tifffile.imread(path)[1])
    spots = at(real_data, "spots/xyzc_16bit__spots.tif")
    np.testing.assert_array_equal(io.read(spots, channel=1).volume(), tifffile.imread(spots)[:, 1])


def test_ome_zarr(real_data: Path) -> None:
    import zarr

    path = at(real_data, "blastocyst_laminb1_dapi/level2_with_labels_v0.5.zarr")
    image = io.read(path, channel="LaminB1")
    np.testing.assert_array_equal(image.volume(), zarr.open_array(str(path / "2"), mode="r")[0])
    np.testing.assert_allclose(image.spacing, (0.5002, 1.4416, 1.4416), rtol=1e-3)
    labels = io.read(path / "labels" / "0")
    assert labels.shape == (1, 1, 236, 275, 271)


def test_plate(real_data: Path) -> None:
    import zarr

    path = at(real_data, "hcs_plate/9987_Plate_3434.zarr")
    assert io.list_scenes(path) == ("B/02/0", "B/02/1", "B/03/0", "B/03/1")
    image = io.read(path, scene="B/03/1", channel="FITC")
    np.testing.assert_array_equal(image.volume(), zarr.open_array(str(path / "B/03/1/0"), mode="r")[1])
    assert image.spacing == (0.005, 1.3672, 1.3672)


def test_czi(real_data: Path, capfd: pytest.CaptureFixture) -> None:
    pytest.importorskip("bioio_czi")
    pylib = pytest.importorskip("pylibCZIrw.czi")
    path = at(real_data, "spindle_czi/CellDivision_T3_Z5_CH2_X240_Y170.czi")
    with pytest.raises(SelectionError, match=r"2 channels \(0: LED555, 1: LED470\)"):
        io.read(path)
    with pytest.raises(SelectionError, match=r"3 time points \(0, 1, 2\)"):
        io.read(path, channel=0)
    image = io.read(path, channel="LED470", time=2)
    assert image.shape == (1, 1, 5, 170, 240)
    with pylib.open_czi(str(path)) as document:
        planes = [document.read(plane={"T": 2, "C": 1, "Z": z})[..., 0] for z in range(5)]
    np.testing.assert_array_equal(image.volume(), planes)
    np.testing.assert_allclose(image.spacing, (0.32, 0.0906, 0.0906), rtol=1e-3)
    assert capfd.readouterr() == ("", "")


def test_preview(real_data: Path, tmp_path: Path) -> None:
    image = io.read(at(real_data, "mitochondria_yeast/yeast_mito_t00.ome.tif"))
    volume = image.volume()
    path = write_preview(tmp_path / "p.png", volume, volume > 130, spacing=image.spacing, title=image.stem)
    assert path.stat().st_size > 20_000
