"""Which slices make one scan."""

import itertools
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.uid import generate_uid

from M3LungScreenLib.dicom.found import find_scans
from M3LungScreenLib.reading import read_ct
from Testing.stand_ins.dicom import a_chest, write_series
from Testing.stand_ins.refusals import codes, nothing_on_stderr, refusal  # noqa: F401

pytestmark = pytest.mark.usefixtures("nothing_on_stderr")

# Values that vary within scans of some scanners, and tell scans apart of others.
SOFT = ["AcquisitionNumber", "TemporalPositionIdentifier", "TriggerTime", "KVP", "SliceThickness"]


def a_value(keyword: str, number: int) -> object:
    if keyword in ("SeriesInstanceUID", "FrameOfReferenceUID"):
        return f"1.2.3.{number + 1}"
    if keyword == "ImageType":
        return ["ORIGINAL", "PRIMARY", "AXIAL", f"CT_{number}"]
    return number + 1


ALL_SOFT = [*SOFT, "SeriesInstanceUID", "FrameOfReferenceUID", "ImageType"]


def write_scan(folder: Path, keyword: str, numbers: list[int], hu: np.ndarray, **options) -> None:
    """One series whose slices have these values of `keyword`."""

    def change(k, data):
        data.StudyInstanceUID = "1.1"
        setattr(data, keyword, a_value(keyword, numbers[k]))

    write_series(folder, hu, change=change, uid="1.2.3", **options)


@pytest.mark.parametrize("keyword", ALL_SOFT)
@pytest.mark.parametrize(
    "numbers",
    [list(range(12)), [0] * 6 + [1] * 6, [0, 0, 1, 0, 0, 0, 2, 0, 0, 1, 0, 0]],
    ids=["new for each slice", "changes halfway", "differs in a few"],
)
def test_a_value_that_varies_within_a_scan_does_not_tear_it_apart(tmp_path, keyword, numbers):
    write_scan(tmp_path, keyword, numbers, a_chest())
    volume = read_ct(tmp_path)
    assert (volume.hu == a_chest()).all()
    assert codes(volume) == []


@pytest.mark.parametrize("keyword", ALL_SOFT)
@pytest.mark.parametrize("offset", [0.0, 1.5, 0.7], ids=["same places", "halfway", "in between"])
def test_two_passes_over_the_same_range_are_two_scans(tmp_path, keyword, offset):
    write_scan(tmp_path, keyword, [0] * 12, a_chest())
    places = 3.0 * np.arange(12) + offset
    write_scan(tmp_path / "b", keyword, [1] * 12, a_chest() + 7, places=places)
    volume = read_ct(tmp_path)
    assert (volume.hu == a_chest()).all() or (volume.hu == a_chest() + 7).all()
    assert volume.spacing_mm[2] == pytest.approx(3)
    assert "[2] series 2 (CT, 12 slices, 3.0 mm" in dict(volume.warnings)["several_series"]
    assert {each.slice_count for each in (read_ct(tmp_path, "[1]"), read_ct(tmp_path, "[2]"))} == {
        12
    }


@pytest.mark.parametrize(
    "second",
    [{"ConvolutionKernel": "B70f"}, {"pixel_mm": 4.0}, {"number": 3}, {"StudyInstanceUID": "1.2"}],
)
def test_slices_of_another_kernel_size_number_or_study_never_continue_a_scan(tmp_path, second):
    above = 3.0 * np.arange(12, 22)
    write_series(tmp_path, a_chest(), uid="1.2.3", StudyInstanceUID="1.1")
    write_series(
        tmp_path / "b",
        a_chest(10),
        uid="1.2.3",
        places=above,
        **{"StudyInstanceUID": "1.1"} | second,
    )
    volume = read_ct(tmp_path)
    assert (volume.hu == a_chest()).all()
    assert codes(volume) == ["several_series"]


def test_each_of_many_phases_is_a_scan_of_its_own(tmp_path):
    for phase in range(4):
        write_scan(
            tmp_path / str(phase),
            "NominalPercentageOfCardiacPhase",
            [phase * 20] * 9,
            a_chest(9) + phase,
        )
    assert [len(each.frames) for each in find_scans(tmp_path)] == [9] * 4
    assert "phase 21" in str(find_scans(tmp_path)[1])
    for k in range(4):
        assert (read_ct(tmp_path, f"[{k + 1}]").hu == a_chest(9) + k).all()


def test_phases_told_by_nothing_but_the_time_are_told_apart(tmp_path):
    for phase in range(3):
        write_series(
            tmp_path / str(phase),
            a_chest() + phase,
            uid="1.2.3",
            StudyInstanceUID="1.1",
            change=lambda k, data, phase=phase: setattr(
                data, "AcquisitionTime", f"12{phase}0{k:02d}"
            ),
        )
    scans = find_scans(tmp_path)
    assert [len(each.frames) for each in scans] == [12] * 3
    assert all(len({each.acquired[:3] for each in scan.frames}) == 1 for scan in scans)


def test_phases_are_told_apart_though_each_slice_has_a_series_uid_of_its_own(tmp_path):
    def change(k, data):
        data.StudyInstanceUID, data.SeriesInstanceUID = "1.1", generate_uid()

    for phase in (1, 2):
        write_series(
            tmp_path / str(phase), a_chest() + 7 * phase, change=change, AcquisitionNumber=phase
        )
    volume = read_ct(tmp_path)
    assert (volume.hu == a_chest() + 7).all()
    assert codes(volume) == ["several_series"]
    assert (read_ct(tmp_path, "[2]").hu == a_chest() + 14).all()


def test_two_scans_that_nothing_tells_apart_are_refused_with_what_to_do(tmp_path):
    write_series(tmp_path, a_chest(), number=2, uid="1.2.3", StudyInstanceUID="1.1")
    write_series(tmp_path / "b", a_chest() + 7, number=2, uid="1.2.3", StudyInstanceUID="1.1")
    refused = refusal(tmp_path)
    assert refused.kind == "duplicate_slices"
    assert "Export each scan as a separate series" in refused.message


@pytest.mark.parametrize("sent_again", [12, 5])
def test_images_sent_again_under_new_uids_count_once_and_are_told(tmp_path, sent_again):
    write_series(tmp_path, a_chest(), number=2, uid="1.2.3", StudyInstanceUID="1.1")
    again = a_chest()[:sent_again]
    write_series(tmp_path / "b", again, number=2, uid="1.2.3", StudyInstanceUID="1.1")
    volume = read_ct(tmp_path)
    assert (volume.hu == a_chest()).all()
    assert f"{sent_again} images were stored twice" in dict(volume.warnings)["copies"]


def test_an_image_sent_again_with_another_rescale_is_no_copy(tmp_path):
    write_series(tmp_path, a_chest(), number=2, uid="1.2.3", StudyInstanceUID="1.1")
    other = {"RescaleIntercept": -1000, "rescale": False, "RescaleSlope": 1}
    write_series(tmp_path / "b", a_chest(), number=2, uid="1.2.3", StudyInstanceUID="1.1", **other)
    assert refusal(tmp_path).kind == "duplicate_slices"


@pytest.mark.parametrize(("places", "where"), [((12, 24), "above"), ((-12, 0), "below")])
@pytest.mark.parametrize("second", [{"ConvolutionKernel": "B70f"}, {"number": 3}])
def test_a_part_of_the_body_under_another_number_or_kernel_is_told_to_lie_beside(
    tmp_path, places, where, second
):
    one = {"StudyInstanceUID": "1.1", "ConvolutionKernel": "B30f"}
    write_series(tmp_path, a_chest(), **one)
    beside = 3.0 * np.arange(*places)
    write_series(tmp_path / "b", a_chest(), places=beside, **one | second)
    told = dict(read_ct(tmp_path).warnings)["several_series"]
    lies = {"above": "below", "below": "above"}[where] if "[1] series 3" in told else where
    assert f"lies {lies} the screened one" in told


def test_copies_of_files_count_once(tmp_path):
    write_series(tmp_path / "a", a_chest())
    shutil.copytree(tmp_path / "a", tmp_path / "backup" / "a")
    for path in itertools.islice((tmp_path / "a").iterdir(), 3):
        shutil.copy(path, path.with_name(f"{path.name} (1)"))
    volume = read_ct(tmp_path)
    assert (volume.hu == a_chest()).all()
    assert codes(volume) == []


def test_a_lone_slice_far_below_is_no_slice_of_the_scan(tmp_path):
    write_series(tmp_path, a_chest(), uid="1.2.3", StudyInstanceUID="1.1")
    far = {"places": np.array([-300.0]), "ImageType": ["DERIVED", "SECONDARY", "OTHER"]}
    write_series(tmp_path / "b", a_chest(1), uid="1.2.3", StudyInstanceUID="1.1", **far)
    volume = read_ct(tmp_path)
    assert (volume.hu == a_chest()).all()
    assert "(CT, 1 slice)" in dict(volume.warnings)["several_series"]


@settings(max_examples=30)
@given(
    cut=st.lists(st.integers(0, 4), min_size=12, max_size=12),
    spacing=st.sampled_from([0.625, 1.25, 3.0, 5.0]),
    order=st.randoms(use_true_random=False),
)
def test_however_a_scan_is_labelled_in_blocks_it_is_one(tmp_path_factory, cut, spacing, order):
    folder = tmp_path_factory.mktemp("series")
    numbers = sorted(cut)
    names = list(range(5))
    order.shuffle(names)
    places = spacing * np.arange(12)
    small = a_chest()[:, ::16, ::16]
    write_scan(
        folder,
        "AcquisitionNumber",
        [names[each] for each in numbers],
        small,
        places=places,
        pixel_mm=80.0,
    )
    assert [len(each.frames) for each in find_scans(folder)] == [12]


@settings(max_examples=30)
@given(
    offset=st.floats(0, 2.99),
    count=st.integers(2, 12),
    keyword=st.sampled_from(["AcquisitionNumber", "SeriesInstanceUID"]),
)
def test_a_second_pass_of_any_length_and_offset_is_never_mixed_in(
    tmp_path_factory, offset, count, keyword
):
    folder = tmp_path_factory.mktemp("series")
    small = a_chest()[:, ::16, ::16]
    write_scan(folder / "a", keyword, [0] * 12, small, pixel_mm=80.0)
    places = 3.0 * np.arange(count) + offset
    write_scan(folder / "b", keyword, [1] * count, small[:count], places=places, pixel_mm=80.0)
    for scan in find_scans(folder):
        assert len({each.path.parent for each in scan.frames}) == 1


def test_a_uid_for_each_slice_and_each_study_is_refused_rather_than_one_slice_screened(tmp_path):
    write_series(
        tmp_path,
        a_chest(),
        change=lambda k, data: setattr(data, "StudyInstanceUID", generate_uid()),
    )
    assert "12 single CT slices" in refusal(tmp_path).message
