import csv
import hashlib
import os
import random
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

from M3LungScreenLib.ct import CTVolume, Geometry
from M3LungScreenLib.errors import InputRefused, UsageError
from M3LungScreenLib.reading import read_ct

DATA = Path(os.environ.get("M3LUNGSCREEN_DATA", ""))
needs_data = pytest.mark.skipif(
    not (DATA / "ct").is_dir(), reason="M3LUNGSCREEN_DATA names no folder with real CT"
)
CT_IMAGE = "1.2.840.10008.5.1.4.1.1.2"
ENHANCED_CT = "1.2.840.10008.5.1.4.1.1.2.1"
AXIAL = (1, 0, 0, 0, 1, 0)
FILES = ["a.nrrd", "a.nii", "a.nii.gz", "a.mha", "a.mhd"]


def a_chest(slices: int = 12) -> np.ndarray:
    """HU int16: air around, a body with a lung in it, noise so that no slice is another."""
    hu = np.full((slices, 64, 64), -990, np.int16)
    hu[:, 10:54, 10:54] = 40
    hu[:, 20:40, 15:30] = -850
    return hu + np.random.default_rng(0).integers(-20, 20, hu.shape).astype(np.int16)


def an_image(hu: np.ndarray | None = None, spacing=(5.0, 5.0, 3.0)) -> sitk.Image:
    hu = a_chest() if hu is None else hu
    return Geometry(hu.shape[::-1], spacing, (-160.0, -150.0, 37.5)).with_array(hu)


def a_dataset(uid: str, number: int, modality: str = "CT", sop_class: str = CT_IMAGE) -> Dataset:
    data = Dataset()
    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data.file_meta.MediaStorageSOPClassUID = data.SOPClassUID = sop_class
    data.file_meta.MediaStorageSOPInstanceUID = data.SOPInstanceUID = generate_uid()
    data.StudyInstanceUID, data.SeriesInstanceUID = generate_uid(), uid
    data.SeriesNumber, data.Modality = number, modality
    data.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    data.BitsAllocated = data.BitsStored = 16
    data.HighBit, data.PixelRepresentation, data.SamplesPerPixel = 15, 0, 1
    data.PhotometricInterpretation = "MONOCHROME2"
    return data


def set_pixels(data: Dataset, hu: np.ndarray) -> None:
    data.Rows, data.Columns = hu.shape[-2:]
    data.PixelData = (hu.astype(np.int32) + 1024).astype(np.uint16).tobytes()


def write_series(
    folder: Path,
    hu: np.ndarray,
    *,
    uid: str | None = None,
    number: int = 2,
    modality: str = "CT",
    orientation: tuple[float, ...] = AXIAL,
    places: np.ndarray | None = None,
    rescale: bool = True,
    image_type: str = "AXIAL",
    shift: float = 0.0,
) -> str:
    """A DICOM series, 3 mm apart along its normal, under names in a random order."""
    folder.mkdir(parents=True, exist_ok=True)
    uid = uid or generate_uid()
    normal = np.cross(orientation[:3], orientation[3:])
    places = 3.0 * np.arange(len(hu)) if places is None else places
    names = random.Random(number).sample(range(1000), len(hu))
    for k, (name, place) in enumerate(zip(names, places, strict=True)):
        data = a_dataset(uid, number, modality)
        data.ImageType = ["ORIGINAL", "PRIMARY", image_type]
        data.ImageOrientationPatient = list(orientation)
        corner = np.array((-160.0, -150.0 + shift * k, 37.5)) + place * normal
        data.ImagePositionPatient = [float(round(each, 4)) for each in corner]
        data.PixelSpacing, data.SliceThickness, data.InstanceNumber = [5.0, 5.0], 3.0, k + 1
        if rescale:
            data.RescaleIntercept, data.RescaleSlope = -1024, 1
        set_pixels(data, hu[k])
        data.save_as(folder / f"{number}-{name:03d}", enforce_file_format=True)
    return uid


def write_enhanced(path: Path, hu: np.ndarray) -> None:
    """A multi-frame CT: what a series has in files, it has in functional groups."""

    def group(**values: object) -> list[Dataset]:
        data = Dataset()
        for key, value in values.items():
            setattr(data, key, value)
        return [data]

    data = a_dataset(generate_uid(), 7, sop_class=ENHANCED_CT)
    data.NumberOfFrames = len(hu)
    data.SharedFunctionalGroupsSequence = group(
        PlaneOrientationSequence=group(ImageOrientationPatient=list(AXIAL)),
        PixelMeasuresSequence=group(PixelSpacing=[5.0, 5.0], SliceThickness=3.0),
        PixelValueTransformationSequence=group(
            RescaleIntercept=-1024, RescaleSlope=1, RescaleType="HU"
        ),
    )
    data.PerFrameFunctionalGroupsSequence = [
        group(PlanePositionSequence=group(ImagePositionPatient=[-160.0, -150.0, 3.0 * k]))[0]
        for k in range(len(hu))
    ]
    set_pixels(data, hu)
    data.save_as(path, enforce_file_format=True)


def refusal(path: Path, series: str | None = None) -> InputRefused:
    """The refusal of `path`, held to the form that all have."""
    with pytest.raises(InputRefused) as caught:
        read_ct(path, series)
    message = caught.value.message
    assert "\n" not in message
    assert message.endswith(".")
    assert "itk" not in message.lower()
    return caught.value


def codes(volume: CTVolume) -> list[str]:
    return [code for code, _ in volume.warnings]


@pytest.fixture(autouse=True)
def nothing_on_stderr(capfd) -> Iterator[None]:
    """Readers in C++ write there behind Python's back."""
    yield
    assert capfd.readouterr().err == ""


# Files


@pytest.mark.parametrize("name", FILES)
def test_a_file_is_read_with_its_values_and_geometry(tmp_path, name):
    path = tmp_path / "Übung für Ärzte" / name
    path.parent.mkdir()
    sitk.WriteImage(an_image(), str(path))
    volume = read_ct(path)
    assert (volume.hu == a_chest()).all()
    assert volume.stored.spacing_mm == pytest.approx((5, 5, 3))
    assert volume.stored.origin_mm == pytest.approx((-160, -150, 37.5))
    assert (volume.kind, volume.series_uid_sha256, volume.warnings) == ("file", None, ())


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
        "a.mhd promises 98,304 bytes of pixels, a.raw holds 4,096. Copy it again from where it "
        "came."
    )


def test_a_missing_pixel_file_is_a_short_one(tmp_path):
    sitk.WriteImage(an_image(), str(tmp_path / "a.mhd"))
    (tmp_path / "a.raw").unlink()
    assert "a.raw holds 0" in refusal(tmp_path / "a.mhd").message


def test_several_time_points_are_refused_and_one_is_not(tmp_path):
    one, path = an_image(), tmp_path / "time.nrrd"
    sitk.WriteImage(sitk.JoinSeries([one, one]), str(path))
    assert "Save one time point" in refusal(path).message
    sitk.WriteImage(sitk.JoinSeries([one]), str(path))
    assert read_ct(path).slice_count == 12


def test_colours_are_refused(tmp_path):
    channel = sitk.Cast(an_image(), sitk.sitkInt16)
    sitk.WriteImage(sitk.Compose([channel] * 3), str(tmp_path / "rgb.nrrd"))
    assert "several values a pixel" in refusal(tmp_path / "rgb.nrrd").message


def test_what_is_not_there_or_no_image_is_refused(tmp_path):
    (tmp_path / "notes.txt").write_text("chest")
    assert refusal(tmp_path / "none.nrrd").kind == "not_found"
    assert "none of .nrrd .nii .nii.gz .mha .mhd" in refusal(tmp_path / "notes.txt").message
    assert "no DICOM image" in refusal(tmp_path).message


@pytest.mark.parametrize("name", FILES)
def test_rubbish_under_a_right_name_is_refused(tmp_path, name):
    (tmp_path / name).write_bytes(b"no image at all\n" * 40)
    assert refusal(tmp_path / name).kind == "unreadable"


# DICOM


def test_a_shuffled_series_is_read_in_the_order_and_geometry_of_gdcm(tmp_path):
    uid = write_series(tmp_path / "CT Thorax ü", a_chest())
    volume = read_ct(tmp_path)
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(tmp_path / "CT Thorax ü"), uid))
    image = reader.Execute()
    assert volume.stored == Geometry.of(image)
    assert (sitk.GetArrayFromImage(volume.to_stored(volume.hu)) == a_chest()).all()
    assert (volume.kind, volume.warnings) == ("dicom_series", ())
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
    [(code, message)] = volume.warnings
    assert code == "several_series"
    assert "series 4 (CT, 12 slices) was screened, not series 3 (CT, 9 slices)" in message
    assert "--series" in message


@pytest.mark.parametrize("by", ["uid", "number"])
def test_a_series_can_be_named_by_uid_or_number(a_mixed_study, by):
    folder, uids = a_mixed_study
    volume = read_ct(folder, uids["thick"] if by == "uid" else "3")
    assert (volume.slice_count, volume.warnings) == (9, ())


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
    assert codes(volume) == ["uneven_spacing"]
    assert "3.0 to 6.0 mm apart" in volume.warnings[0][1]


def test_a_tilted_gantry_is_warned_of(tmp_path):
    write_series(tmp_path, a_chest(), shift=0.8)
    assert codes(read_ct(tmp_path)) == ["tilted_gantry"]


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
