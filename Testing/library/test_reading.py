import csv
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk

from M3LungScreenLib.ct import Geometry
from M3LungScreenLib.reading import read_ct
from Testing.stand_ins.dicom import a_chest
from Testing.stand_ins.refusals import refusal

DATA = Path(os.environ.get("M3LUNGSCREEN_DATA", ""))
needs_data = pytest.mark.skipif(
    not (DATA / "ct").is_dir(), reason="M3LUNGSCREEN_DATA names no folder with real CT"
)
FILES = ["a.nrrd", "a.nii", "a.nii.gz", "a.mha", "a.mhd"]


def an_image(hu: np.ndarray | None = None, spacing=(5.0, 5.0, 3.0)) -> sitk.Image:
    hu = a_chest() if hu is None else hu
    return Geometry(hu.shape[::-1], spacing, (-160.0, -150.0, 37.5)).with_array(hu)


@pytest.fixture(autouse=True)
def nothing_on_stderr(capfd) -> Iterator[None]:
    """Readers in C++ write there behind Python's back."""
    yield
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("name", FILES)
def test_a_file_is_read_with_its_values_and_geometry(tmp_path, name):
    path = tmp_path / "Übung für Ärzte" / name
    path.parent.mkdir()
    sitk.WriteImage(an_image(), str(path))
    volume = read_ct(path)
    assert (volume.hu == a_chest()).all()
    assert volume.stored.spacing_mm == pytest.approx((5, 5, 3))
    assert volume.stored.origin_mm == pytest.approx((-160, -150, 37.5))
    assert (volume.kind, volume.series_uid_sha256) == ("file", None)
    assert [code for code, _ in volume.warnings] == ["coarse_pixels"]


def test_a_nifti_with_a_scale_is_whole(tmp_path):
    path = tmp_path / "scaled.nii"
    sitk.WriteImage(an_image(), str(path))
    header = bytearray(path.read_bytes())
    header[112:120] = np.array([2.0, 1.0], "<f4").tobytes()  # scl_slope, scl_inter
    halved = ((a_chest().astype(np.int32) - 1) // 2).astype("<i2")
    path.write_bytes(bytes(header[:352]) + halved.tobytes())
    assert np.abs(read_ct(path).hu - a_chest()).max() <= 1


def test_an_image_in_two_dimensions_is_one_slice(tmp_path):
    slice_ = sitk.GetImageFromArray(a_chest()[3])
    slice_.SetSpacing((5.0, 5.0))
    sitk.WriteImage(slice_, str(tmp_path / "one.mha"))
    volume = read_ct(tmp_path / "one.mha")
    assert volume.slice_count == 1
    assert (volume.hu[0] == a_chest()[3]).all()


@pytest.mark.parametrize("compressed", [False, True], ids=["raw", "compressed"])
@pytest.mark.parametrize("name", FILES)
def test_a_file_that_is_cut_short_is_refused(tmp_path, name, compressed):
    path = tmp_path / name
    sitk.WriteImage(an_image(), str(path), useCompression=compressed)
    pixels = next(iter(tmp_path.glob("*raw")), path)
    whole = pixels.read_bytes()
    read_ct(path)  # leaves whole pixels in memory that a careless reader hands out again
    for length in (len(whole) - 10, len(whole) // 2, 100, 0):
        pixels.write_bytes(whole[:length])
        assert refusal(path).kind in ("truncated", "unreadable")


def test_the_refusal_of_a_short_file_counts_its_bytes(tmp_path):
    sitk.WriteImage(an_image(), str(tmp_path / "a.mhd"))
    (tmp_path / "a.raw").write_bytes(b"\0" * 4096)
    assert refusal(tmp_path / "a.mhd").message == (
        "a.mhd should have 98,304 bytes of pixel data, but a.raw has only 4,096. Copy it again "
        "from the source."
    )


def test_a_missing_pixel_file_is_a_short_one(tmp_path):
    sitk.WriteImage(an_image(), str(tmp_path / "a.mhd"))
    (tmp_path / "a.raw").unlink()
    assert "a.raw has only 0" in refusal(tmp_path / "a.mhd").message


def test_several_time_points_are_refused_and_one_is_not(tmp_path):
    one, path = an_image(), tmp_path / "time.nrrd"
    sitk.WriteImage(sitk.JoinSeries([one, one]), str(path))
    assert "Save one time point" in refusal(path).message
    sitk.WriteImage(sitk.JoinSeries([one]), str(path))
    assert read_ct(path).slice_count == 12


def test_colours_are_refused(tmp_path):
    channel = sitk.Cast(an_image(), sitk.sitkInt16)
    sitk.WriteImage(sitk.Compose([channel] * 3), str(tmp_path / "rgb.nrrd"))
    assert "each pixel has several values" in refusal(tmp_path / "rgb.nrrd").message


def test_what_is_not_there_or_no_image_is_refused(tmp_path):
    (tmp_path / "notes.txt").write_text("chest")
    assert refusal(tmp_path / "none.nrrd").kind == "not_found"
    assert (
        "is not a DICOM image or a supported volume file" in refusal(tmp_path / "notes.txt").message
    )
    assert "no DICOM image" in refusal(tmp_path).message


@pytest.mark.parametrize("name", FILES)
def test_rubbish_under_a_right_name_is_refused(tmp_path, name):
    (tmp_path / name).write_bytes(b"no image at all\n" * 40)
    assert refusal(tmp_path / name).kind == "unreadable"


# Real data


@needs_data
def test_slices_of_a_real_series_follow_its_table():
    with (DATA / "slice_labels.csv").open() as file:
        rows = [each for each in csv.DictReader(file) if each["case"] == "covid-P001"]
    volume = read_ct(DATA / "ct/covid-P001")
    assert volume.slice_count == len(rows) == 148
    for k in (0, 1, 73, 146, 147):
        data = pydicom.dcmread(DATA / rows[k]["file"])
        assert volume.slice_position_mm(k)[2] == pytest.approx(data.ImagePositionPatient[2])
        one = read_ct(DATA / rows[k]["file"])
        assert (one.hu[0] == volume.hu[k]).all()


@needs_data
def test_padding_of_a_real_series_is_no_obstacle():
    volume = read_ct(DATA / "ct/lidc-0001")
    assert (volume.slice_count, volume.warnings) == (133, ())
    assert volume.hu.min() == -2048


@needs_data
def test_every_real_slice_is_one_slice():
    paths = sorted((DATA / "slices/edge-cases").glob("*.dcm"))
    assert len(paths) == 50
    assert all(read_ct(each).slice_count == 1 for each in paths)


@needs_data
@pytest.mark.parametrize("pattern", ["backgrounds/*[0-9].nrrd", "slabs/*", "volumes/ct-64.nrrd"])
def test_every_real_volume_is_taken(pattern):
    for path in DATA.glob(pattern):
        assert read_ct(path).slice_count >= 10


@needs_data
@pytest.mark.parametrize("name", ["volumes/lm-64.nrrd", "backgrounds/lidc-0002-nodules.nrrd"])
def test_a_label_map_is_no_ct(name):
    assert refusal(DATA / name).kind == "not_hu"
