"""Where slices lie, by their own positions."""

import hashlib

import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given, settings
from hypothesis import strategies as st

from M3LungScreenLib.ct import Geometry
from M3LungScreenLib.dicom.found import find_scans
from M3LungScreenLib.dicom.grid import grid_of
from M3LungScreenLib.reading import read_ct
from Testing.stand_ins.dicom import CORONAL, a_chest, write_series
from Testing.stand_ins.refusals import codes, nothing_on_stderr, refusal  # noqa: F401

pytestmark = pytest.mark.usefixtures("nothing_on_stderr")


def by_gdcm(folder, uid) -> sitk.Image:
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(folder), uid))
    return reader.Execute()


def test_a_shuffled_series_is_read_in_the_order_and_geometry_of_gdcm(tmp_path):
    uid = write_series(tmp_path / "CT Thorax ü", a_chest())
    volume, image = read_ct(tmp_path), by_gdcm(tmp_path / "CT Thorax ü", uid)
    assert volume.stored == Geometry.of(image)
    assert (sitk.GetArrayFromImage(volume.to_stored(volume.hu)) == a_chest()).all()
    assert (volume.kind, codes(volume)) == ("dicom_series", [])
    assert volume.series_uid_sha256 == hashlib.sha256(uid.encode()).hexdigest()


@pytest.mark.parametrize(
    "orientation",
    [(-1, 0, 0, 0, -1, 0), (1, 0, 0, 0, -1, 0), (0, 1, 0, -1, 0, 0), (0.8, 0.6, 0, -0.6, 0.8, 0)],
    ids=["prone", "head first", "turned", "oblique"],
)
def test_any_axial_orientation_is_read_as_gdcm_does(tmp_path, orientation):
    uid = write_series(tmp_path, a_chest(), orientation=orientation)
    image, volume = by_gdcm(tmp_path, uid), read_ct(tmp_path)
    assert volume.stored == Geometry.of(image)
    assert volume.geometry.position_mm((0, 0, 1))[2] > volume.geometry.position_mm((0, 0, 0))[2]
    back = volume.to_stored(volume.hu)
    assert (sitk.GetArrayFromImage(back) == sitk.GetArrayFromImage(image)).all()


def test_rounded_direction_cosines_are_set_at_right_angles(tmp_path):
    rounded = (0.999998, 0.000012, 0, -0.000012, 0.99998, 0.0001)
    write_series(tmp_path, a_chest(), orientation=rounded)
    volume = read_ct(tmp_path)
    axes = np.reshape(volume.stored.direction, (3, 3))
    assert np.abs(axes @ axes.T - np.eye(3)).max() < 1e-12
    assert (volume.hu == a_chest()).all()


@pytest.mark.parametrize("tags", [{"SliceThickness": 0.6}, {"SpacingBetweenSlices": -1}])
def test_positions_count_and_not_what_else_the_header_says_of_distances(tmp_path, tags):
    write_series(tmp_path, a_chest(), **tags)
    volume = read_ct(tmp_path)
    assert volume.spacing_mm[2] == pytest.approx(3)
    assert codes(volume) == []


def test_slices_that_jitter_by_a_tenth_of_their_distance_are_even(tmp_path):
    jitter = np.random.default_rng(1).uniform(-0.3, 0.3, 12)
    write_series(tmp_path, a_chest(), places=3.0 * np.arange(12) + jitter)
    volume = read_ct(tmp_path)
    assert (volume.hu == a_chest()).all()
    assert volume.spacing_mm[2] == pytest.approx(3, abs=0.1)
    assert codes(volume) == []


def test_a_missing_slice_is_interpolated_and_warned_of_and_the_others_stay_in_place(tmp_path):
    whole, there = a_chest(13), np.delete(np.arange(13), 5)
    write_series(tmp_path, whole[there], places=3.0 * there)
    volume = read_ct(tmp_path)
    assert (volume.hu[there] == whole[there]).all()
    between = (whole[4].astype(float) + whole[6]) / 2
    assert np.abs(volume.hu[5] - between).max() <= 0.5
    assert codes(volume) == ["uneven_spacing"]
    message = dict(volume.warnings)["uneven_spacing"]
    assert "3.0 to 6.0 mm apart" in message
    assert "1 of 13 slices were interpolated" in message


def test_a_series_that_is_thin_below_and_thick_above_keeps_its_height(tmp_path):
    places = np.concatenate((2.0 * np.arange(10), 18 + 5.0 * np.arange(1, 9)))
    ramp = a_chest(1) + 10 * places[:, None, None]
    write_series(tmp_path, ramp.astype(np.int16), places=places, pixel_mm=5.0)
    volume = read_ct(tmp_path)
    mm = volume.spacing_mm[2] * np.arange(volume.slice_count)
    assert mm[-1] == pytest.approx(places[-1])
    # Nothing lies farther from its place than a quarter of a slice.
    expected = a_chest(1)[0] + 10 * mm[:, None, None]
    assert np.abs(volume.hu - expected).max() <= 10 * 0.25 * volume.spacing_mm[2] + 1
    assert codes(volume) == ["uneven_spacing"]


@settings(max_examples=30)
@given(st.lists(st.floats(0.5, 10), min_size=7, max_size=20))
def test_each_slice_of_the_grid_is_mixed_of_slices_around_its_place(tmp_path_factory, steps):
    folder = tmp_path_factory.mktemp("series")
    places = np.concatenate(([0.0], np.cumsum(steps)))
    write_series(folder, a_chest(len(places))[:, ::16, ::16], places=places, pixel_mm=80.0)
    scan = find_scans(folder)[0]
    if len(scan.frames) < len(places):
        return  # cut at a gap
    grid, step = grid_of(scan), grid_of(scan).geometry.spacing_mm[2]
    for k, (lower, upper, share) in enumerate(grid.mixed):
        mixed_mm = (1 - share) * scan.positions_mm[lower, 2] + share * scan.positions_mm[upper, 2]
        even = step * k + scan.positions_mm[0, 2]
        assert abs(mixed_mm - even) <= 0.25 * max(step, scan.spacing_mm) * (1 + 1e-6)


def test_a_gap_that_is_too_wide_to_bridge_ends_the_scan(tmp_path):
    there = np.array([*range(8), *range(13, 25)])
    write_series(tmp_path, a_chest(25)[there], places=3.0 * there)
    volume = read_ct(tmp_path)
    assert (volume.hu == a_chest(25)[13:]).all()
    message = dict(volume.warnings)["several_series"]
    assert "[2] series 2 (CT, 8 slices, 3.0 mm) is beyond a gap of 18 mm" in message


def test_a_tilted_gantry_is_warned_of(tmp_path):
    write_series(tmp_path, a_chest(), shift=0.8)
    assert codes(read_ct(tmp_path)) == ["tilted_gantry"]


def test_a_field_of_view_that_moves_midway_ends_the_scan(tmp_path):
    def move(k, data):
        if k >= 8:
            data.ImagePositionPatient[0] += 40

    write_series(tmp_path, a_chest(24), change=move)
    volume = read_ct(tmp_path)
    assert (volume.hu == a_chest(24)[8:]).all()
    assert "8 slices" in dict(volume.warnings)["several_series"]


# What a slice needs


@pytest.mark.parametrize(
    ("keyword", "words"),
    [
        ("ImagePositionPatient", "has no position (Image Position Patient)"),
        ("ImageOrientationPatient", "has no orientation (Image Orientation Patient)"),
        ("PixelSpacing", "has no pixel spacing (Pixel Spacing)"),
    ],
)
def test_a_series_without_a_tag_that_places_it_is_refused(tmp_path, keyword, words):
    write_series(tmp_path, a_chest(), change=lambda k, data: delattr(data, keyword))
    refused = refusal(tmp_path)
    assert words in refused.message
    assert "series 2 (CT, 12 images)" in refused.message
    assert words in refusal(min(tmp_path.iterdir())).message


def test_slices_of_one_position_are_refused_with_that_reason(tmp_path):
    def stay(k, data):
        data.ImagePositionPatient, data.AcquisitionTime = [0, 0, 0], f"1200{k:02d}"

    write_series(tmp_path, a_chest(), change=stay)
    assert "All 12 slices of series 2" in refusal(tmp_path).message
    assert "have the same position" in refusal(tmp_path).message


def test_an_orientation_of_zeros_is_refused(tmp_path):
    zeros = [0.0] * 6
    write_series(
        tmp_path, a_chest(), change=lambda k, data: setattr(data, "ImageOrientationPatient", zeros)
    )
    assert "not unit vectors at right angles" in refusal(tmp_path).message


def test_a_decimal_comma_is_quoted(tmp_path):
    write_series(tmp_path, a_chest())
    for path in tmp_path.iterdir():
        raw = path.read_bytes()
        path.write_bytes(raw.replace(b"-160.0\\-150.0\\", b"-160,0\\-150,0\\"))
    message = refusal(tmp_path).message
    assert "'-160,0\\-150,0\\" in message
    assert "decimal point, not a comma" in message


def test_a_few_slices_are_neither_one_nor_a_volume(tmp_path):
    write_series(tmp_path, a_chest(4))
    assert refusal(tmp_path).message == (
        "This series has 4 axial slices; a volume needs at least 8. Choose the thin-slice chest "
        "series, or screen a single slice."
    )


def test_one_dicom_file_is_one_slice(tmp_path):
    write_series(tmp_path, a_chest(1))
    volume = read_ct(next(tmp_path.iterdir()))
    assert (volume.kind, volume.slice_count) == ("dicom_file", 1)
    assert (volume.hu == a_chest(1)).all()


@pytest.mark.parametrize(
    ("orientation", "plane"), [(CORONAL, "is coronal"), ((0, 1, 0, 0, 0, -1), "is sagittal")]
)
def test_one_slice_across_is_refused(tmp_path, orientation, plane):
    write_series(tmp_path, a_chest(1), orientation=orientation)
    assert plane in refusal(next(tmp_path.iterdir())).message
