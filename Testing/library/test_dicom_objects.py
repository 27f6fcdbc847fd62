"""The DICOM objects of a result: read back, compared with it and checked by validators."""

import shutil
import subprocess
import sys
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from PIL import ImageFile

from M3LungScreenLib.ct import CTVolume
from M3LungScreenLib.dicom.reading import read_dicom
from M3LungScreenLib.errors import UsageError
from M3LungScreenLib.result import ScreeningWarning
from Testing.conftest import plausible_result, small_chest, small_lesions
from Testing.stand_ins.dicom import write_series

pytest.importorskip("highdicom", reason="the extra 'dicom' is not installed")

from M3LungScreenLib.outputs.dicom_objects.pdf import pdf_of
from M3LungScreenLib.outputs.dicom_objects.source import Source
from M3LungScreenLib.outputs.dicom_objects.writing import FILES, dicom_objects

PDF = pdf_of("<h1>Report</h1><p>COVID-19 97 %</p>")
# Without these dciodvfy reports what a scanner's file would have.
SCANNER = {
    "PatientName": "Doe^Jane",
    "PatientID": "42",
    "PatientBirthDate": "19600102",
    "PatientSex": "F",
    "StudyID": "7",
    "StudyDate": "20260102",
    "StudyTime": "101112",
    "AccessionNumber": "A1",
    "ReferringPhysicianName": "Roe^Richard",
    "FrameOfReferenceUID": "1.2.3.4",
    "PositionReferenceIndicator": "",
    "Manufacturer": "Maker",
}


@pytest.fixture(scope="module", params=["feet first", "head first"])
def screened(request, tmp_path_factory):
    """A result on a DICOM series whose slices are stored in either direction."""
    folder = tmp_path_factory.mktemp("series")
    hu, _ = small_chest()
    orientation = (1, 0, 0, 0, 1, 0) if request.param == "feet first" else (1, 0, 0, 0, -1, 0)
    write_series(folder, hu, orientation=orientation, **SCANNER)
    found = read_dicom(folder)
    volume = CTVolume.from_image(found.image, found.kind, found.series_uid_sha256)
    volume = replace(volume, dicom_files=found.files)
    return result_on(volume, class_index=1)


def result_on(volume, class_index):
    _, lungs = small_chest()
    lesions = small_lesions(lungs, class_index)
    return plausible_result(
        volume,
        lungs,
        lesions,
        patient=np.array([0.02, 0.9, 0.05, 0.03]),
        warnings=(ScreeningWarning("cut", "The scan misses the lung bases."),),
    )


@pytest.fixture(scope="module")
def made(screened):
    """The objects as they are after writing and reading."""
    return {name: read_back(each) for name, each in dicom_objects(screened, PDF).items()}


def read_back(dataset):
    stored = BytesIO()
    dataset.save_as(stored, enforce_file_format=True)
    stored.seek(0)
    return pydicom.dcmread(stored)


def frames_by_position(dataset):
    """Frame numbers by (segment, rounded position)."""
    found = {}
    for n, group in enumerate(dataset.PerFrameFunctionalGroupsSequence):
        position = group.PlanePositionSequence[0].ImagePositionPatient
        segment = 0
        if "SegmentIdentificationSequence" in group:
            segment = group.SegmentIdentificationSequence[0].ReferencedSegmentNumber
        found[segment, tuple(round(float(each), 3) for each in position)] = n
    return found


def stored_slices(result, array):
    """Stored slices `[y, x]` with the position of their first pixel."""
    volume = result.volume
    for k, each in enumerate(volume.in_stored_order(np.asarray(array))):
        position = volume.stored.position_mm((0, 0, k))
        yield tuple(round(each + 0.0, 3) for each in position), each


def test_the_segmentation_has_the_lesions_voxel_by_voxel(screened, made):
    seg = made["segmentation.dcm"]
    frames, pixels = frames_by_position(seg), seg.pixel_array
    assert [each.SegmentLabel for each in seg.SegmentSequence] == ["COVID-19", "H1N1", "CAP"]
    lesions = screened.arrays.lesions
    assert lesions.any()
    for position, labels in stored_slices(screened, lesions):
        for index in (1, 2, 3):
            frame = frames.get((index, position))
            shown = np.zeros(labels.shape) if frame is None else pixels[frame]
            np.testing.assert_array_equal(shown > 0, labels == index)


def test_the_parametric_map_has_the_location_map(screened, made):
    dataset = made["location_map.dcm"]
    pixels = np.frombuffer(dataset.FloatPixelData, np.float32)
    pixels = pixels.reshape(-1, dataset.Rows, dataset.Columns)
    frames = frames_by_position(dataset)
    for position, values in stored_slices(screened, screened.arrays.lesion_location_map):
        frame = frames.get((0, position))
        np.testing.assert_array_equal(0 if frame is None else pixels[frame], values)
    mapping = dataset.SharedFunctionalGroupsSequence[0].RealWorldValueMappingSequence[0]
    assert (mapping.RealWorldValueSlope, mapping.RealWorldValueIntercept) == (1, 0)


def content_items(dataset):
    for item in dataset.get("ContentSequence", ()):
        yield item
        yield from content_items(item)


def numbers_of(report):
    """Numeric values by (group, concept)."""
    found = {}
    for group in content_items(report):
        if (
            group.ValueType == "CONTAINER"
            and group.ConceptNameCodeSequence[0].CodeValue == "125007"
        ):
            items = list(group.ContentSequence)
            name = next(e.TextValue for e in items if e.ValueType == "TEXT")
            for each in items:
                if each.ValueType == "NUM":
                    value = float(each.MeasuredValueSequence[0].NumericValue)
                    found[name, each.ConceptNameCodeSequence[0].CodeValue] = value
    return found


def test_the_report_has_every_number_of_the_result(screened, made):
    found = numbers_of(made["measurement_report.dcm"])
    for key, p in vars(screened.patient.probabilities).items():
        assert found["Patient", f"P{key.upper()}"] == pytest.approx(p, abs=1e-6)
    for name, side in (("Right lung", "right"), ("Left lung", "left"), ("Both lungs", "total")):
        involved = getattr(screened.involvement, side)
        assert found[name, "GROUNDGLASS"] == pytest.approx(involved.ground_glass, abs=1e-6)
        assert found[name, "INVOLVEDLOWER"] == pytest.approx(involved.lower, abs=1e-6)
        volume = getattr(screened.lung_volume_ml, side)
        assert found[name, "118565006"] == pytest.approx(volume, abs=1e-3)
    assert found["Both lungs", "SEVERITYSCORE"] == screened.involvement.severity_score


def test_the_report_is_preliminary_and_says_what_to_distrust(screened, made):
    report = made["measurement_report.dcm"]
    assert (report.PreliminaryFlag, report.VerificationFlag) == ("PRELIMINARY", "UNVERIFIED")
    texts = [each.TextValue for each in content_items(report) if each.ValueType == "TEXT"]
    assert "cut: The scan misses the lung bases." in texts
    assert "Research use only: not for clinical decisions." in texts
    assert all(reason in texts for reason in screened.patient.reasons)
    assert f"weights sha256: {screened.model.sha256}" in texts


def test_the_document_holds_the_pdf(made):
    document = made["report.dcm"]
    pdf = document.EncapsulatedDocument[: document.EncapsulatedDocumentLength]
    assert pdf.startswith(b"%PDF-")
    assert pdf.rstrip().endswith(b"%%EOF")


def test_pictures_that_are_cut_short_are_still_refused_afterwards(made):
    assert not ImageFile.LOAD_TRUNCATED_IMAGES


def test_each_object_is_a_new_series_in_the_study_of_the_patient(screened, made):
    source = pydicom.dcmread(screened.volume.dicom_files[0])
    for each in made.values():
        assert each.StudyInstanceUID == source.StudyInstanceUID
        assert (each.PatientID, str(each.PatientName)) == ("42", "Doe^Jane")
        assert each.ManufacturerModelName == "compact"
    series = {each.SeriesInstanceUID for each in made.values()}
    assert len(series) == len(FILES)
    assert source.SeriesInstanceUID not in series


def test_a_result_without_lesions_has_an_empty_segmentation(screened):
    seg = read_back(dicom_objects(result_on(screened.volume, 0), PDF)["segmentation.dcm"])
    assert not seg.pixel_array.any()
    assert len(seg.SegmentSequence) == 3


def test_a_volume_from_a_file_is_refused(screened):
    with pytest.raises(UsageError, match="Screen the DICOM folder, or leave out"):
        Source.of(replace(screened.volume, dicom_files=()))


def test_a_file_without_a_frame_of_reference_is_refused(screened, tmp_path):
    write_series(tmp_path, small_chest()[0])
    volume = replace(screened.volume, dicom_files=tuple(tmp_path.iterdir()))
    with pytest.raises(UsageError, match="has no FrameOfReferenceUID, which DICOM objects must"):
        Source.of(volume)


@pytest.mark.parametrize("name", FILES)
def test_the_validator_finds_no_error(made, tmp_path, name):
    if not shutil.which("dciodvfy"):
        pytest.skip("dciodvfy is missing (Debian: dicom3tools)")
    made[name].save_as(tmp_path / name, enforce_file_format=True)
    said = subprocess.run(
        ["dciodvfy", tmp_path / name], capture_output=True, text=True, check=False
    )
    errors = [e for e in (said.stdout + said.stderr).splitlines() if e.startswith("Error")]
    assert errors == []


def test_dcmqi_reads_the_lesions_voxel_by_voxel(screened, made, tmp_path):
    path = tmp_path / "segmentation.dcm"
    made["segmentation.dcm"].save_as(path, enforce_file_format=True)
    tool = shutil.which("segimage2itkimage", path=str(Path(sys.executable).parent))
    options = ["--inputDICOM", path, "--outputDirectory", tmp_path, "--outputType", "nrrd"]
    subprocess.run([tool or "segimage2itkimage", *options], check=True, capture_output=True)
    shown = {}
    for each in tmp_path.glob("*.nrrd"):
        image = sitk.ReadImage(each)
        for k, plane in enumerate(sitk.GetArrayFromImage(image) > 0):
            corner = image.TransformIndexToPhysicalPoint((0, 0, k))
            shown[round(corner[2], 3)] = shown.get(round(corner[2], 3), 0) + plane
    for position, labels in stored_slices(screened, screened.arrays.lesions):
        np.testing.assert_array_equal(shown.get(position[2], 0 * labels) > 0, labels > 0)


def test_the_folder_holds_the_objects_and_is_replaced_with_them(screened, tmp_path):
    for _ in range(2):
        folder = screened.write(tmp_path / "out", dicom=True)
        assert sorted(each.name for each in (folder / "dicom").iterdir()) == sorted(FILES)
    screened.write(folder)
    assert not (folder / "dicom").exists()


def test_dcmtk_reads_the_report(made, tmp_path):
    if not shutil.which("dsrdump"):
        pytest.skip("dsrdump is missing (Debian: dcmtk)")
    path = tmp_path / "report.dcm"
    made["measurement_report.dcm"].save_as(path, enforce_file_format=True)
    said = subprocess.run(["dsrdump", path], capture_output=True, text=True, check=True)
    assert "Probability of COVID-19" in said.stdout
    assert said.stderr == ""
