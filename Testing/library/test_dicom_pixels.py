"""Stored values and what HU they make."""

import gzip
import os
import shutil
from pathlib import Path

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset
from pydicom.uid import RLELossless

from M3LungScreenLib.dicom.found import find_scans
from M3LungScreenLib.dicom.frames import look_at
from M3LungScreenLib.dicom.pixels import read_slices
from M3LungScreenLib.reading import read_ct
from Testing.stand_ins.dicom import AXIAL, a_chest, changed, write_series
from Testing.stand_ins.refusals import codes, nothing_on_stderr, refusal  # noqa: F401

pytestmark = pytest.mark.usefixtures("nothing_on_stderr")


def stored(data: Dataset, values: np.ndarray, kind: str, **tags) -> None:
    data.PixelData = values.astype(kind).tobytes()
    for keyword, value in tags.items():
        setattr(data, keyword, value)


def hu_of(data: Dataset) -> np.ndarray:
    return np.frombuffer(data.PixelData, "<u2").reshape(data.Rows, data.Columns).astype(int) - 1024


@pytest.mark.parametrize("first", [True, False])
def test_slices_of_other_types_slopes_and_intercepts_are_each_read_by_their_own(tmp_path, first):
    """Such as a series whose first slice alone is unsigned, or whose slope varies."""

    def change(k, data):
        hu = hu_of(data)
        if (k == 0) == first:
            stored(data, hu, "<i2", PixelRepresentation=1, RescaleIntercept=0)
        elif k % 3 == 1:
            stored(data, (hu + 1024) * 2, "<u2", RescaleSlope=0.5)

    write_series(tmp_path, a_chest(), change=change)
    volume = read_ct(tmp_path)
    assert (volume.hu == a_chest()).all()
    assert codes(volume) == []


@given(
    slope=st.sampled_from([0.25, 0.5, 1.0, 2.059, -1.0]),
    intercept=st.sampled_from([-1024.0, 0.0, -32754.0, 1000.5]),
    allocated=st.sampled_from([16, 32]),
    is_signed=st.booleans(),
    data=st.data(),
)
@settings(max_examples=40)
def test_any_whole_number_becomes_slope_times_value_plus_intercept(
    tmp_path_factory, slope, intercept, allocated, is_signed, data
):
    folder = tmp_path_factory.mktemp("slice")
    bits = data.draw(st.integers(9, allocated))
    low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if is_signed else (0, 2**bits - 1)
    values = np.random.default_rng(bits).integers(low, high, (16, 16), endpoint=True)
    junk = np.random.default_rng(1).integers(0, 2 ** (allocated - bits), (16, 16))
    mask = 2**bits - 1
    with_overlays = (values & mask) | (junk << bits)

    def change(k, data):
        stored(data, with_overlays, f"<u{allocated // 8}", BitsAllocated=allocated, BitsStored=bits)
        data.HighBit, data.PixelRepresentation = bits - 1, int(is_signed)
        data.RescaleSlope, data.RescaleIntercept = slope, intercept

    write_series(folder, a_chest(1)[:, :16, :16], change=change)
    frames = look_at(next(folder.iterdir()))
    [hu] = read_slices(frames, [(0, 0, 0.0)])
    expected = np.clip(np.rint(values * slope + intercept), -32768, 32767)
    assert (hu == expected).all()


def test_signed_values_of_12_bits_keep_their_sign(tmp_path):
    def change(k, data):
        stored(data, hu_of(data) & 0xFFF, "<u2", PixelRepresentation=1, RescaleIntercept=0)
        data.BitsStored, data.HighBit = 12, 11

    write_series(tmp_path, a_chest(), change=change)
    assert (read_ct(tmp_path).hu == a_chest()).all()


@pytest.mark.parametrize("slices", [range(12), [5]], ids=["all", "one"])
def test_monochrome1_with_a_ct_rescale_is_read_as_it_is(tmp_path, slices):
    def change(k, data):
        data.PhotometricInterpretation = "MONOCHROME1" if k in slices else "MONOCHROME2"

    write_series(tmp_path, a_chest(), change=change)
    assert (read_ct(tmp_path).hu == a_chest()).all()


def test_inverted_values_with_a_slope_of_minus_1_are_hu(tmp_path):
    def change(k, data):
        stored(data, 3071 - hu_of(data), "<u2", PhotometricInterpretation="MONOCHROME1")
        data.RescaleSlope, data.RescaleIntercept = -1, 3071

    write_series(tmp_path, a_chest(), change=change)
    assert (read_ct(tmp_path).hu == a_chest()).all()


def test_a_series_without_a_rescale_intercept_is_refused(tmp_path):
    write_series(tmp_path, a_chest(), rescale=False)
    assert "no rescale intercept" in refusal(tmp_path).message


def test_a_slope_of_0_is_refused_and_a_missing_one_is_1(tmp_path):
    write_series(tmp_path / "0", a_chest(), change=lambda k, data: setattr(data, "RescaleSlope", 0))
    assert "a rescale slope of 0" in refusal(tmp_path / "0").message
    write_series(tmp_path / "none", a_chest(), change=lambda k, data: delattr(data, "RescaleSlope"))
    assert (read_ct(tmp_path / "none").hu == a_chest()).all()


def test_padding_told_in_another_representation_is_no_obstacle(tmp_path):
    def change(k, data):
        stored(data, hu_of(data), "<i2", PixelRepresentation=1, RescaleIntercept=0)
        data.add_new(0x00280120, "US", 63536)

    write_series(tmp_path, a_chest(), change=change)
    assert (read_ct(tmp_path).hu == a_chest()).all()


def test_a_slice_whose_air_was_cut_off_is_named(tmp_path):
    def change(k, data):
        if k == 4:
            stored(data, hu_of(data).clip(0), "<u2", RescaleIntercept=0)

    write_series(tmp_path, a_chest(), change=change)
    volume = read_ct(tmp_path)
    assert codes(volume) == ["clipped_slices"]
    assert "has no values below -500 HU" in dict(volume.warnings)["clipped_slices"]


# Transfer syntaxes


@pytest.mark.parametrize("syntax", ["implicit", "big endian", "deflated", "rle"])
def test_values_are_the_same_in_any_lossless_syntax(tmp_path, syntax):
    write_series(tmp_path, a_chest())
    for path in tmp_path.iterdir():
        data = pydicom.dcmread(path)
        written = {"little_endian": True, "implicit_vr": False}
        if syntax == "implicit":
            data.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2"
            written["implicit_vr"] = True
        elif syntax == "big endian":
            data.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.2"
            data.PixelData = np.frombuffer(data.PixelData, "<u2").astype(">u2").tobytes()
            written["little_endian"] = False
        elif syntax == "deflated":
            data.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.1.99"
        else:
            data.compress(RLELossless, generate_instance_uid=False)
            written = {}
        pydicom.dcmwrite(path, data, **written, **({"force_encoding": True} if written else {}))
    assert (read_ct(tmp_path).hu == a_chest()).all()


@pytest.mark.parametrize(
    "name", ["JPEG2000.dcm", "MR_small_jpeg_ls_lossless.dcm", "MR_small_RLE.dcm", "JPGExtended.dcm"]
)
def test_compressed_pictures_are_decoded_as_pydicom_or_gdcm_do_without_a_word(
    tmp_path, capfd, name
):
    """JPGExtended has 12 bits, of which GDCM tells line by line on stderr."""
    path = Path(str(get_testdata_file(name)))
    plain = {"MR_small_jpeg_ls_lossless.dcm": "MR_small.dcm", "MR_small_RLE.dcm": "MR_small.dcm"}
    if name in plain:
        expected = pydicom.dcmread(str(get_testdata_file(plain[name]))).pixel_array
    else:
        expected = by_itk(path)
        capfd.readouterr()
    shutil.copy(path, tmp_path / "a.dcm")
    with changed(tmp_path / "a.dcm") as data:
        data.RescaleSlope, data.RescaleIntercept = 1, 0
        data.ImageOrientationPatient, data.PixelSpacing = list(AXIAL), [1, 1]
    frames = look_at(tmp_path / "a.dcm")
    hu = read_slices(frames, [(0, 0, 0.0)])[0]
    assert (hu == expected).all()


def by_itk(path: Path) -> np.ndarray:
    return sitk.GetArrayFromImage(sitk.ReadImage(str(path)))[0]


def test_a_packed_file_is_read_under_any_name(tmp_path):
    write_series(tmp_path, a_chest())
    for k, path in enumerate(sorted(tmp_path.iterdir())):
        path.with_name(f"{k}.dcm.gz" if k % 2 else f"{k}").write_bytes(
            gzip.compress(path.read_bytes())
        )
        path.unlink()
    assert (read_ct(tmp_path).hu == a_chest()).all()


# Real data

DATA = Path(os.environ.get("M3LUNGSCREEN_DATA", ""))


@pytest.mark.skipif(not (DATA / "ct").is_dir(), reason="M3LUNGSCREEN_DATA names no real CT")
@pytest.mark.parametrize("case", ["covid-P001", "lidc-0001"])
def test_a_real_series_has_the_values_that_itk_reads_file_by_file(case):
    """JPEG lossless and uncompressed."""
    [scan, *_] = find_scans(DATA / "ct" / case)
    few = scan.frames[::20]
    hu = read_slices(few, [(k, k, 0.0) for k in range(len(few))])
    for one, frame in zip(hu, few, strict=True):
        assert (one == by_itk(frame.path)).all()
