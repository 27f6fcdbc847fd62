"""Which of the series in a folder is screened, and how the others are named."""

import hashlib
import re
from pathlib import Path

import numpy as np
import pytest
from pydicom.uid import generate_uid

from M3LungScreenLib.errors import UsageError
from M3LungScreenLib.reading import read_ct
from Testing.stand_ins.dicom import (
    CORONAL,
    SECONDARY_CAPTURE,
    a_chest,
    a_dataset,
    set_pixels,
    write_series,
)
from Testing.stand_ins.refusals import codes, nothing_on_stderr, refusal  # noqa: F401

pytestmark = pytest.mark.usefixtures("nothing_on_stderr")


@pytest.fixture
def a_mixed_study(tmp_path) -> tuple[Path, dict[str, str]]:
    """Two axial CT, a scout, a coronal reformat, an MR, a structure set and a text file."""
    uids = {"long": write_series(tmp_path / "a", a_chest(12), number=4)}
    uids["short"] = write_series(tmp_path / "a", a_chest(9), number=3)
    write_series(tmp_path / "a", a_chest(1), number=1, image_type="LOCALIZER")
    write_series(tmp_path / "b", a_chest(40), number=5, orientation=CORONAL)
    write_series(tmp_path / "b", a_chest(50), number=6, modality="MR")
    structures = a_dataset(generate_uid(), 9, "RTSTRUCT", "1.2.840.10008.5.1.4.1.1.481.3")
    structures.save_as(tmp_path / "structures.dcm", enforce_file_format=True)
    (tmp_path / "b" / "readme.txt").write_text("exported")
    (tmp_path / "b" / "empty").write_bytes(b"")
    return tmp_path, uids


def test_the_chest_ct_is_found_among_all_else_and_the_rest_is_named_in_one_warning(a_mixed_study):
    folder, uids = a_mixed_study
    volume = read_ct(folder)
    assert volume.series_uid_sha256 == hashlib.sha256(uids["long"].encode()).hexdigest()
    assert volume.slice_count == 12
    assert codes(volume) == ["several_series"]
    message = dict(volume.warnings)["several_series"]
    assert message.startswith("[1] series 4 (CT, 12 slices, 3.0 mm) was screened. Left out: ")
    assert "[2] series 3 (CT, 9 slices, 3.0 mm) covers less of the lungs (27 mm)" in message
    for other in ("is a localizer", "is coronal, not axial", "is MR, not CT"):
        assert other in message


@pytest.mark.parametrize("by", ["uid", "number", "index", "bare index"])
def test_a_series_can_be_named_by_uid_number_or_index(a_mixed_study, by):
    folder, uids = a_mixed_study
    name = {"uid": uids["short"], "number": "3", "index": "[2]", "bare index": "2"}[by]
    volume = read_ct(folder, name)
    assert (volume.slice_count, codes(volume)) == (9, [])


def test_a_number_that_a_series_has_is_no_index(a_mixed_study):
    assert read_ct(a_mixed_study[0], "4").slice_count == 12


def test_an_unknown_series_is_a_usage_error_that_names_what_there_is(a_mixed_study):
    for name in ("77", "[0]", "[9]", "1.2.3"):
        with pytest.raises(
            UsageError, match=r"Available: \[1\] series 4 \(CT, 12 slices, 3.0 mm\)"
        ):
            read_ct(a_mixed_study[0], name)


@pytest.mark.parametrize(
    ("series", "words"), [("6", "MR, not CT"), ("1", "localizer"), ("5", "coronal")]
)
def test_a_series_that_was_named_is_refused_like_any_other(a_mixed_study, series, words):
    assert words in refusal(a_mixed_study[0], series).message


def test_the_advice_of_the_warning_can_be_followed(tmp_path):
    same = {"uid": "1.2.3", "StudyInstanceUID": "1.1"}
    write_series(tmp_path / "a", a_chest(), AcquisitionNumber=1, **same)
    write_series(tmp_path / "b", a_chest() + 7, AcquisitionNumber=2, **same)
    warning = dict(read_ct(tmp_path).warnings)["several_series"]
    [advised] = re.findall(r'--series "(.+)"', warning)
    assert (read_ct(tmp_path, advised).hu == a_chest() + 7).all()


def test_what_would_be_refused_is_not_advised(tmp_path):
    def stay(k, data):
        data.ImagePositionPatient = [0, 0, 0]

    write_series(tmp_path, a_chest(), number=3)
    write_series(tmp_path, a_chest(15), number=2, change=stay)  # bolus tracking
    write_series(tmp_path, a_chest(4), number=5)
    message = dict(read_ct(tmp_path).warnings)["several_series"]
    assert (
        "series 2 (CT, 15 slices, at the same position) has several slices at the same position"
        in message
    )
    assert "--series" not in message


def test_many_scans_of_which_the_same_is_said_are_named_together(tmp_path):
    for k in range(20):
        same = {"uid": "1.2.3", "StudyInstanceUID": "1.1", "AcquisitionTime": f"12{k:02d}00"}
        write_series(tmp_path / str(k), a_chest(8), number=4, **same)
    message = dict(read_ct(tmp_path).warnings)["several_series"]
    assert "Left out: [2] to [20] series 4 (CT, 8 slices, 3.0 mm) each is another" in message
    assert read_ct(tmp_path, "[20]").slice_count == 8


def test_the_refusal_of_a_study_without_ct_names_what_lies_there(tmp_path):
    write_series(tmp_path / "mr", a_chest(), modality="MR")
    assert "series 2 (MR, 12 images) is MR, not CT" in refusal(tmp_path / "mr").message
    write_series(tmp_path, a_chest(), number=8, orientation=CORONAL)
    write_series(tmp_path, a_chest(1), number=1, image_type="LOCALIZER")
    message = refusal(tmp_path).message
    assert message.startswith("series 8 (CT, 12 images) is coronal, not axial. Also there: ")
    assert "series 1 (CT, 1 image) is a localizer" in message
    assert "is MR, not CT" in message


def test_structures_reports_and_plans_alone_are_no_ct(tmp_path):
    data = a_dataset(generate_uid(), 9, "RTSTRUCT", "1.2.840.10008.5.1.4.1.1.481.3")
    data.save_as(tmp_path / "structures.dcm", enforce_file_format=True)
    assert (
        "is RTSTRUCT (RT Structure Set Storage), not an image"
        in refusal(tmp_path / "structures.dcm").message
    )
    assert "only RTSTRUCT (RT Structure Set Storage)" in refusal(tmp_path).message


# Preference


@pytest.mark.parametrize(
    "worse",
    [
        {"places": 4.0 * np.arange(16)},
        {"ImageType": ["DERIVED", "SECONDARY", "AXIAL"]},
        {"BodyPartExamined": "ABDOMEN"},
        {"SOPClassUID": SECONDARY_CAPTURE},
        {"ConvolutionKernel": "B70f"},
        {"pixel_mm": 1.5},
    ],
    ids=["thicker", "derived", "abdomen", "secondary capture", "sharp", "a field of 96 mm"],
)
def test_of_two_scans_the_fitter_is_taken(tmp_path, worse):
    write_series(tmp_path, a_chest(24), number=1, **worse) if "places" not in worse else (
        write_series(tmp_path, a_chest(16), number=1, **worse)
    )
    better = (a_chest(24) + 7)[:22]  # a little shorter, yet as whole
    write_series(tmp_path, better, number=2)
    volume = read_ct(tmp_path)
    assert (volume.hu == better).all()
    assert "Left out: [2] series 1 (CT, " in dict(volume.warnings)["several_series"]


def test_a_whole_chest_is_taken_before_a_thinner_part_of_it(tmp_path):
    write_series(tmp_path, a_chest(20), number=1, places=1.0 * np.arange(20))
    write_series(tmp_path, a_chest(16) + 7, number=2)
    assert (read_ct(tmp_path).hu == a_chest(16) + 7).all()


def test_a_projection_with_more_slices_is_never_taken(tmp_path):
    write_series(tmp_path, a_chest(), number=1)
    for number, tags in enumerate(
        (
            {"ImageType": ["DERIVED", "SECONDARY", "AXIAL", "MIP"]},
            {"ImageType": ["DERIVED", "SECONDARY"], "SeriesDescription": "Thorax MIP 10/2"},
            {"ImageType": ["DERIVED", "PRIMARY", "PROJECTION IMAGE", "MIN_IP"]},
        )
    ):
        write_series(tmp_path, a_chest(40), number=2 + number, **tags)
    volume = read_ct(tmp_path)
    assert volume.slice_count == 12
    assert dict(volume.warnings)["several_series"].count("is a projection") == 3
    assert refusal(tmp_path, "2").kind == "projection"


@pytest.mark.parametrize("image_type", [["DERIVED", "SECONDARY"], ["DERIVED", "PRIMARY", "MPR"]])
def test_a_derived_series_alone_is_told_to_be_one(tmp_path, image_type):
    write_series(tmp_path, a_chest(), ImageType=image_type)
    said = dict(read_ct(tmp_path).warnings)["derived_series"]
    assert f"was computed from other images (Image Type {' '.join(image_type)})" in said


@pytest.mark.parametrize(
    ("thickness", "step", "is_said"),
    [(10, 2, True), (8, 3, True), (5, 3, False), (6, 3, False), (2, 0.5, False), (0.6, 4, False)],
)
def test_thick_slices_that_mostly_overlap_are_told_to_do_so(tmp_path, thickness, step, is_said):
    write_series(tmp_path, a_chest(), places=step * np.arange(12), SliceThickness=thickness)
    said = dict(read_ct(tmp_path).warnings).get("overlapping_slabs", "")
    assert bool(said) == is_said
    assert not said or f"slices of {thickness} mm every {step}.0 mm" in said


def test_thin_slices_are_taken_before_overlapping_slabs_however_close(tmp_path):
    write_series(tmp_path, a_chest(36), number=1, places=np.arange(36), SliceThickness=10)
    write_series(tmp_path, a_chest() + 7, number=2)
    volume = read_ct(tmp_path)
    assert (volume.hu == a_chest() + 7).all()
    assert "has thick, overlapping slices" in dict(volume.warnings)["several_series"]


@pytest.mark.parametrize("name", ["Thorax VNC", "Iodine map", "CTP CBF"])
def test_computed_maps_are_no_ct(tmp_path, name):
    tags = {"ImageType": ["DERIVED", "SECONDARY", "AXIAL"], "SeriesDescription": name}
    write_series(tmp_path, a_chest(), **tags)
    assert "is a computed map" in refusal(tmp_path).message


def test_chest_names_that_only_contain_such_letters_are_no_projection(tmp_path):
    tags = {"ImageType": ["DERIVED", "PRIMARY", "AXIAL"], "SeriesDescription": "CHEST SIMPLE"}
    write_series(tmp_path, a_chest(), **tags)
    assert codes(read_ct(tmp_path)) == ["derived_series"]


# What is no slice


def test_a_dose_sheet_under_the_series_uid_is_left_out(tmp_path):
    uid = write_series(tmp_path, a_chest())
    sheet = a_dataset(uid, 2, sop_class=SECONDARY_CAPTURE)
    sheet.RescaleIntercept, sheet.RescaleSlope = -1024, 1
    set_pixels(sheet, a_chest(1)[0])
    sheet.save_as(tmp_path / "sheet", enforce_file_format=True)
    volume = read_ct(tmp_path)
    assert (volume.hu == a_chest()).all()
    assert "is a secondary capture without orientation" in dict(volume.warnings)["several_series"]


def test_colour_pictures_are_no_slices(tmp_path):
    colour = {"SamplesPerPixel": 3, "PhotometricInterpretation": "RGB"}
    write_series(tmp_path, a_chest(20), number=1, **colour)
    assert "is a color picture" in refusal(tmp_path).message
    write_series(tmp_path, a_chest(), number=2)
    assert (read_ct(tmp_path).hu == a_chest()).all()


def test_pet_beside_ct_is_left_out(tmp_path):
    write_series(tmp_path, a_chest(30), number=1, modality="PT")
    write_series(tmp_path, a_chest(), number=2)
    volume = read_ct(tmp_path)
    assert volume.slice_count == 12
    assert "is PT, not CT" in dict(volume.warnings)["several_series"]


def test_values_in_another_unit_are_no_ct(tmp_path):
    write_series(tmp_path, a_chest(), RescaleType="MGML")
    assert "has values in MGML, not in Hounsfield units" in refusal(tmp_path).message


# Headers that contradict themselves


def test_a_ct_saved_as_secondary_capture_is_read_and_said(tmp_path):
    write_series(tmp_path, a_chest(), SOPClassUID=SECONDARY_CAPTURE)
    volume = read_ct(tmp_path)
    assert (volume.hu == a_chest()).all()
    assert codes(volume) == ["secondary_capture"]


@pytest.mark.parametrize("uid", ["1.2.840.10008.5.1.4.1.1.4", "1.2.840.10008.5.1.4.1.1.128"])
def test_mr_and_pet_that_claim_to_be_ct_are_refused(tmp_path, uid):
    write_series(tmp_path, a_chest(), SOPClassUID=uid)
    assert "although its modality is CT" in refusal(tmp_path).message


@pytest.mark.parametrize("keyword", ["SOPClassUID", "SeriesInstanceUID", "Modality"])
def test_a_ct_that_lost_one_name_is_told_by_the_rest(tmp_path, keyword):
    write_series(tmp_path, a_chest(), change=lambda k, data: delattr(data, keyword))
    volume = read_ct(tmp_path)
    assert (volume.hu == a_chest()).all()
    assert codes(volume) == []
    assert (volume.series_uid_sha256 is None) == (keyword == "SeriesInstanceUID")


def test_a_class_that_an_anonymiser_made_up_says_nothing(tmp_path):
    write_series(tmp_path, a_chest(), SOPClassUID=generate_uid())
    assert (read_ct(tmp_path).hu == a_chest()).all()


def test_between_patients_nobody_chooses_but_the_user(tmp_path):
    write_series(tmp_path / "a", a_chest(), number=1, PatientID="A")
    write_series(tmp_path / "b", a_chest() + 7, number=2, PatientID="B")
    refused = refusal(tmp_path)
    assert "contains CT of 2 patients" in refused.message
    assert (read_ct(tmp_path, "2").hu == a_chest() + 7).all()
    write_series(tmp_path / "c", a_chest() + 9, number=2, PatientID="C")
    assert refusal(tmp_path, "2").kind == "several_patients"
    assert (read_ct(tmp_path, "[3]").hu >= a_chest() + 7).all()


def test_the_advice_between_patients_can_be_followed(tmp_path):
    write_series(tmp_path / "a", a_chest(), number=1, PatientID="A")
    write_series(tmp_path / "b", a_chest(4), number=2, PatientID="B")
    write_series(tmp_path / "c", a_chest() + 7, number=2, PatientID="C", BodyPartExamined="KNEE")
    [advised] = re.findall(r'--series "(.+?)"', refusal(tmp_path).message)
    assert read_ct(tmp_path, advised).slice_count == 12


def test_single_slices_of_several_scans_are_not_screened_as_one(tmp_path):
    for k in range(12):
        write_series(tmp_path, a_chest(1), number=2 + k, places=np.array([3.0 * k]))
    assert "contains 12 single CT slices" in refusal(tmp_path).message
