import hashlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from pydicom.uid import generate_uid

from M3LungScreenLib.ct import CTVolume, Geometry
from M3LungScreenLib.dicom.series import read_header
from M3LungScreenLib.errors import UsageError
from M3LungScreenLib.reading import read_ct
from Testing.stand_ins.dicom import a_chest, a_dataset, write_enhanced, write_series
from Testing.stand_ins.refusals import refusal

# The pixels of `a_chest` are 5 mm wide.
COARSE = "coarse_pixels"


def codes(volume: CTVolume) -> list[str]:
    return sorted(code for code, _ in volume.warnings)


@pytest.fixture(autouse=True)
def nothing_on_stderr(capfd) -> Iterator[None]:
    """Readers in C++ write there behind Python's back."""
    yield
    assert capfd.readouterr().err == ""


def test_a_shuffled_series_is_read_in_the_order_and_geometry_of_gdcm(tmp_path):
    uid = write_series(tmp_path / "CT Thorax ü", a_chest())
    volume = read_ct(tmp_path)
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(tmp_path / "CT Thorax ü"), uid))
    image = reader.Execute()
    assert volume.stored == Geometry.of(image)
    assert (sitk.GetArrayFromImage(volume.to_stored(volume.hu)) == a_chest()).all()
    assert (volume.kind, codes(volume)) == ("dicom_series", [COARSE])
    assert volume.series_uid_sha256 == hashlib.sha256(uid.encode()).hexdigest()


@pytest.mark.parametrize(
    "orientation",
    [(-1, 0, 0, 0, -1, 0), (1, 0, 0, 0, -1, 0), (0, 1, 0, -1, 0, 0), (0.8, 0.6, 0, -0.6, 0.8, 0)],
    ids=["prone", "head first", "turned", "oblique"],
)
def test_any_axial_orientation_is_read_as_gdcm_does(tmp_path, orientation):
    uid = write_series(tmp_path, a_chest(), orientation=orientation)
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(tmp_path), uid))
    image, volume = reader.Execute(), read_ct(tmp_path)
    assert volume.stored == Geometry.of(image)
    assert volume.geometry.position_mm((0, 0, 1))[2] > volume.geometry.position_mm((0, 0, 0))[2]
    back = volume.to_stored(volume.hu)
    assert (sitk.GetArrayFromImage(back) == sitk.GetArrayFromImage(image)).all()


@pytest.fixture
def a_mixed_study(tmp_path) -> tuple[Path, dict[str, str]]:
    """Two axial CT, a scout, a coronal reformat, an MR, a report and a text file."""
    uids = {"thin": write_series(tmp_path / "a", a_chest(12), number=4)}
    uids["thick"] = write_series(tmp_path / "a", a_chest(9), number=3)
    write_series(tmp_path / "a", a_chest(1), number=1, image_type="LOCALIZER")
    uids["coronal"] = write_series(
        tmp_path / "b",
        a_chest(40),
        number=5,
        orientation=(1, 0, 0, 0, 0, -1),
        places=10.0 * np.arange(40),
    )
    write_series(tmp_path / "b", a_chest(50), number=6, modality="MR")
    report = a_dataset(generate_uid(), 9, "RTSTRUCT")
    report.save_as(tmp_path / "report.dcm", enforce_file_format=True)
    (tmp_path / "b" / "readme.txt").write_text("exported")
    (tmp_path / "b" / "empty").write_bytes(b"")
    return tmp_path, uids


def test_the_chest_ct_is_found_among_all_else_and_the_rest_is_named(a_mixed_study):
    folder, uids = a_mixed_study
    volume = read_ct(folder)
    assert volume.series_uid_sha256 == hashlib.sha256(uids["thin"].encode()).hexdigest()
    assert volume.slice_count == 12
    assert codes(volume) == [COARSE, "several_series"]
    message = dict(volume.warnings)["several_series"]
    assert "series 4 (CT, 12 slices) was screened, not series 3 (CT, 9 slices)" in message
    assert "--series" in message


@pytest.mark.parametrize("by", ["uid", "number"])
def test_a_series_can_be_named_by_uid_or_number(a_mixed_study, by):
    folder, uids = a_mixed_study
    volume = read_ct(folder, uids["thick"] if by == "uid" else "3")
    assert (volume.slice_count, codes(volume)) == (9, [COARSE])


def test_an_unknown_series_is_a_usage_error_that_names_what_there_is(a_mixed_study):
    with pytest.raises(UsageError, match=r"no series 77 in .*; there is series 4 \(CT, 12 slices"):
        read_ct(a_mixed_study[0], "77")


@pytest.mark.parametrize(
    ("series", "words"), [("6", "MR, not CT"), ("1", "localizer"), ("5", "coronal")]
)
def test_a_series_that_was_named_is_refused_like_any_other(a_mixed_study, series, words):
    assert words in refusal(a_mixed_study[0], series).message


def test_of_two_series_with_as_many_slices_the_thinner_is_taken(tmp_path):
    write_series(tmp_path, a_chest(), number=1, places=4.0 * np.arange(12))
    write_series(tmp_path, a_chest(), number=2)
    assert read_ct(tmp_path).spacing_mm[2] == pytest.approx(3)


def test_a_folder_without_axial_ct_is_refused(tmp_path):
    write_series(tmp_path / "mr", a_chest(), modality="MR")
    assert "There is no CT in" in refusal(tmp_path / "mr").message
    write_series(tmp_path / "coronal", a_chest(), orientation=(1, 0, 0, 0, 0, -1))
    assert "sagittal or coronal" in refusal(tmp_path / "coronal").message


def test_a_missing_slice_is_warned_of(tmp_path):
    write_series(tmp_path, a_chest(), places=3.0 * np.delete(np.arange(13), 5))
    volume = read_ct(tmp_path)
    assert codes(volume) == [COARSE, "uneven_spacing"]
    assert "3.0 to 6.0 mm apart" in dict(volume.warnings)["uneven_spacing"]


def test_a_tilted_gantry_is_warned_of(tmp_path):
    write_series(tmp_path, a_chest(), shift=0.8)
    assert codes(read_ct(tmp_path)) == [COARSE, "tilted_gantry"]


def test_two_scans_in_one_series_are_refused_with_what_to_do(tmp_path):
    uid = write_series(tmp_path, a_chest(), number=2)
    write_series(tmp_path, a_chest(), number=3, uid=uid)
    assert "--series" in refusal(tmp_path).message


def test_a_series_without_a_rescale_intercept_is_refused(tmp_path):
    write_series(tmp_path, a_chest(), rescale=False)
    assert "no rescale intercept" in refusal(tmp_path).message


def test_a_few_slices_are_neither_one_nor_a_volume(tmp_path):
    write_series(tmp_path, a_chest(4))
    assert refusal(tmp_path).message == (
        "This series has 4 axial slices; a volume needs at least 8. Choose the thin-slice chest "
        "series, or give one slice alone."
    )


def test_one_dicom_file_is_one_slice(tmp_path):
    write_series(tmp_path, a_chest(1))
    volume = read_ct(next(tmp_path.iterdir()))
    assert (volume.kind, volume.slice_count) == ("dicom_file", 1)
    assert (volume.hu == a_chest(1)).all()


@pytest.mark.parametrize(
    ("orientation", "plane"),
    [((1, 0, 0, 0, 0, -1), "coronal slice"), ((0, 1, 0, 0, 0, -1), "sagittal slice")],
)
def test_one_slice_across_is_refused(tmp_path, orientation, plane):
    write_series(tmp_path, a_chest(1), orientation=orientation)
    assert plane in refusal(next(tmp_path.iterdir())).message


def test_a_multi_frame_file_is_a_volume_alone_and_in_a_folder(tmp_path):
    write_enhanced(tmp_path / "frames.dcm", a_chest())
    for path, kind in ((tmp_path / "frames.dcm", "dicom_file"), (tmp_path, "dicom_series")):
        volume = read_ct(path)
        assert (volume.hu == a_chest()).all()
        assert volume.spacing_mm == pytest.approx((5, 5, 3))
        assert volume.kind == kind


def test_a_dicom_file_that_is_cut_short_is_refused_alone_and_in_its_series(tmp_path):
    write_series(tmp_path, a_chest())
    path = sorted(tmp_path.iterdir())[4]
    whole = path.read_bytes()
    for length in (len(whole) - 10, len(whole) // 2):
        path.write_bytes(whole[:length])
        assert refusal(path).kind == "unreadable"
        assert refusal(tmp_path).kind == "unreadable"
    path.write_bytes(whole[:200])
    assert refusal(path).kind == "unreadable"


def test_a_header_cut_anywhere_or_with_any_byte_wrong_is_read_or_none(tmp_path):
    write_series(tmp_path, a_chest(1)[:, ::8, ::8])
    [path] = tmp_path.iterdir()
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        read_header(path)
    for place in range(len(whole)):
        path.write_bytes(whole[:place] + b"\xf5" + whole[place + 1 :])
        read_header(path)


def test_one_file_of_a_damaged_header_does_not_end_the_reading_of_its_folder(tmp_path):
    write_series(tmp_path, a_chest())
    first = min(tmp_path.iterdir())
    first.write_bytes(first.read_bytes()[:153])  # pydicom raises struct.error
    assert read_ct(tmp_path).slice_count == 11
