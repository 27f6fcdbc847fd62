"""Many frames in one file."""

import numpy as np
import pytest

from M3LungScreenLib.reading import read_ct
from Testing.stand_ins.dicom import (
    AXIAL,
    CORNER,
    LEGACY_CT,
    a_chest,
    a_dataset,
    an_enhanced,
    group,
    set_pixels,
    write_enhanced,
)
from Testing.stand_ins.refusals import codes, nothing_on_stderr, refusal  # noqa: F401

pytestmark = pytest.mark.usefixtures("nothing_on_stderr")

N = 12


def contents(**values) -> list:
    """Each frame's FrameContentSequence; `values` are lists."""
    return [
        group(**{name: each[k] for name, each in values.items()})
        for k in range(len(next(iter(values.values()))))
    ]


@pytest.mark.parametrize("order", ["stored", "reversed", "shuffled", "odd ones first"])
@pytest.mark.parametrize("sop_class", ["enhanced", "legacy"])
def test_frames_lie_where_their_own_positions_say(tmp_path, order, sop_class):
    k = np.arange(N)
    stored = {
        "stored": k,
        "reversed": k[::-1],
        "shuffled": np.random.default_rng(0).permutation(N),
        "odd ones first": np.concatenate((k[1::2], k[::2])),
    }[order]
    options = {"sop_class": LEGACY_CT} if sop_class == "legacy" else {}
    write_enhanced(tmp_path / "frames.dcm", a_chest()[stored], 3.0 * stored, **options)
    for path, kind in ((tmp_path / "frames.dcm", "dicom_file"), (tmp_path, "dicom_series")):
        volume = read_ct(path)
        assert (volume.hu == a_chest()).all()
        assert volume.spacing_mm == pytest.approx((5, 5, 3))
        assert volume.stored.origin_mm == pytest.approx(CORNER)
        assert (volume.kind, codes(volume)) == (kind, [])


def test_each_frame_is_rescaled_by_its_own_group(tmp_path):
    rng = np.random.default_rng(0)
    slopes, intercepts = rng.choice([0.5, 1, 2], N), rng.choice([-1024, -2048, 0], N)
    rescale = [
        group(RescaleSlope=float(s), RescaleIntercept=float(i), RescaleType="HU")
        for s, i in zip(slopes, intercepts, strict=True)
    ]
    data = an_enhanced(a_chest(), PixelValueTransformationSequence=rescale)
    even = a_chest() // 2 * 2
    stored = (even - intercepts[:, None, None]) / slopes[:, None, None]
    data.PixelRepresentation, data.PixelData = 1, np.rint(stored).astype("<i2").tobytes()
    data.save_as(tmp_path / "frames.dcm", enforce_file_format=True)
    assert (read_ct(tmp_path).hu == even).all()


def test_two_stacks_of_one_object_are_two_scans(tmp_path):
    stacks = contents(StackID=["1"] * N + ["2"] * N)
    both, places = np.concatenate((a_chest(), a_chest() + 7)), [*(3.0 * np.arange(N))] * 2
    write_enhanced(tmp_path / "frames.dcm", both, places, FrameContentSequence=stacks)
    volume = read_ct(tmp_path / "frames.dcm")
    assert (volume.hu == a_chest()).all()
    assert "(CT, 12 slices, 3.0 mm, stack 2)" in dict(volume.warnings)["several_series"]
    assert (read_ct(tmp_path / "frames.dcm", "[2]").hu == a_chest() + 7).all()


def test_interleaved_phases_of_one_object_are_two_scans(tmp_path):
    phases = contents(TemporalPositionIndex=[1, 2] * N)
    both = np.stack((a_chest(), a_chest() + 7), axis=1).reshape(2 * N, 64, 64)
    write_enhanced(
        tmp_path / "frames.dcm", both, np.repeat(3.0 * np.arange(N), 2), FrameContentSequence=phases
    )
    volume = read_ct(tmp_path / "frames.dcm")
    assert (volume.hu == a_chest()).all()
    assert codes(volume) == ["several_series"]


def test_a_sagittal_frame_before_the_axial_ones_is_left_out(tmp_path):
    planes = [group(ImageOrientationPatient=[0, 1, 0, 0, 0, -1])]
    planes += [group(ImageOrientationPatient=list(AXIAL)) for _ in range(N)]
    write_enhanced(
        tmp_path / "frames.dcm",
        np.concatenate((a_chest(1), a_chest())),
        [50.0, *(3.0 * np.arange(N))],
        PlaneOrientationSequence=planes,
    )
    volume = read_ct(tmp_path)
    assert (volume.hu == a_chest()).all()
    assert "is sagittal, not axial" in dict(volume.warnings)["several_series"]


def test_frames_of_another_pixel_size_are_another_scan(tmp_path):
    measures = [group(PixelSpacing=[4.0, 4.0])] * 8 + [group(PixelSpacing=[5.0, 5.0])] * 16
    write_enhanced(tmp_path / "frames.dcm", a_chest(24), PixelMeasuresSequence=measures)
    volume = read_ct(tmp_path)
    assert volume.spacing_mm == pytest.approx((5, 5, 3))
    assert (volume.hu == a_chest(24)[8:]).all()


def test_parts_of_a_concatenation_are_one_scan(tmp_path):
    for part, frames in enumerate((slice(0, 5), slice(5, 12))):
        data = an_enhanced(a_chest()[frames], 3.0 * np.arange(N)[frames])
        data.ConcatenationUID, data.InConcatenationNumber = "1.2.3", part + 1
        data.SeriesInstanceUID, data.StudyInstanceUID = "1.2", "1.1"
        data.save_as(tmp_path / f"{part}.dcm", enforce_file_format=True)
    volume = read_ct(tmp_path)
    assert (volume.hu == a_chest()).all()
    assert codes(volume) == []


def test_two_objects_of_one_series_over_the_same_range_are_two_scans(tmp_path):
    for k in range(2):
        data = an_enhanced(a_chest() + 7 * k)
        data.SeriesInstanceUID, data.StudyInstanceUID = "1.2", "1.1"
        data.save_as(tmp_path / f"{k}.dcm", enforce_file_format=True)
    volume = read_ct(tmp_path)
    assert volume.slice_count == 12
    assert codes(volume) == ["several_series"]


def test_missing_frames_end_the_scan(tmp_path):
    there = np.array([*range(8), *range(14, 24)])
    write_enhanced(tmp_path / "frames.dcm", a_chest(24)[there], 3.0 * there)
    volume = read_ct(tmp_path)
    assert (volume.hu == a_chest(24)[14:]).all()
    assert "slices are missing" in dict(volume.warnings)["several_series"]


def a_plain_multi_frame(**tags):
    """Many frames in plain CT storage, which has room for one position."""
    data = a_dataset("1.2.3", 2)
    data.NumberOfFrames = N
    data.ImageOrientationPatient, data.ImagePositionPatient = list(AXIAL), list(CORNER)
    data.PixelSpacing, data.RescaleIntercept, data.RescaleSlope = [5, 5], -1024, 1
    for keyword, value in tags.items():
        setattr(data, keyword, value)
    set_pixels(data, a_chest())
    return data


def test_frames_of_plain_ct_storage_lie_as_far_apart_as_the_header_says_and_it_is_said(tmp_path):
    a_plain_multi_frame(SpacingBetweenSlices=3).save_as(tmp_path / "a", enforce_file_format=True)
    volume = read_ct(tmp_path / "a")
    assert (volume.hu == a_chest()).all()
    assert volume.spacing_mm == pytest.approx((5, 5, 3))
    assert codes(volume) == ["frame_positions_assumed"]


def test_frames_of_plain_ct_storage_that_tells_no_distance_are_refused(tmp_path):
    a_plain_multi_frame(SliceThickness=3).save_as(tmp_path / "a", enforce_file_format=True)
    assert "does not give the position of each" in refusal(tmp_path / "a").message


def test_frames_without_a_position_are_refused(tmp_path):
    data = an_enhanced(a_chest())
    for each in data.PerFrameFunctionalGroupsSequence:
        del each.PlanePositionSequence
    data.save_as(tmp_path / "a", enforce_file_format=True)
    assert "does not give the position of each" in refusal(tmp_path).message


def test_more_frames_than_groups_are_a_damaged_file(tmp_path):
    data = an_enhanced(a_chest())
    data.NumberOfFrames = 40
    data.save_as(tmp_path / "a", enforce_file_format=True)
    assert refusal(tmp_path / "a").kind == "unreadable"
