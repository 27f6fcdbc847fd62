"""Each public data set's real layout in miniature: its cases, classes and labels."""

import csv
import json
import os
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from PIL import Image

from M3LungScreenLib.dicom.found import find_scans
from M3LungScreenLib.dicom.frames import Frame
from M3LungScreenLib.errors import UsageError
from Testing.stand_ins.chests import a_small_chest, write_volume
from Testing.stand_ins.dicom import write_series
from Training.datasets.cc_ccii import CC_CCII
from Training.datasets.covid_ct_md import COVID_CT_MD
from Training.datasets.dataset import Dataset
from Training.datasets.examination import examine
from Training.datasets.exclusions import NO_LESION
from Training.datasets.index_file import Case, read_index
from Training.datasets.lidc import LIDC_IDRI
from Training.datasets.mosmed import MOSMED
from Training.datasets.ricord import RICORD_1A, RICORD_1B
from Training.datasets.stoic import STOIC
from Training.index import LAYOUTS, main, terms

DATA = os.environ.get("M3LUNGSCREEN_DATA")
needs_data = pytest.mark.skipif(not DATA, reason="M3LUNGSCREEN_DATA names no folder of real CT")


def found(dataset: Dataset, folder: Path) -> dict[str, Case]:
    return {each.case_id: each for each in dataset.cases(folder)}


def write_csv(path: Path, *rows: tuple[object, ...]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        csv.writer(file).writerows(rows)


@pytest.fixture
def a_covid_ct_md(tmp_path: Path) -> Path:
    """Label indices leave out 43 as the real ones do; the array has a row a line."""
    for patient in ("COVID-19 subjects/P043", "COVID-19 subjects/P044", "Cap subjects/cap001"):
        write_series(tmp_path / patient, a_small_chest())
    write_series(tmp_path / "Normal subjects/normal001", a_small_chest())
    write_csv(
        tmp_path / "Index.csv",
        ("Label Index", "Diagnosis", "Relative Path", "Folder/ID"),
        (42, "COVID-19", "./COVID-19/", "P043"),
        (44, "COVID-19", "./COVID-19/", "P044"),
    )
    labels = np.zeros((2, 20))
    labels[0, :3], labels[1, 10] = 1, 1
    np.save(tmp_path / "Slice-level-labels-updated-1.npy", labels)
    np.save(tmp_path / "Slice-level-labels.npy", np.zeros((2, 20)))
    return tmp_path


def test_covid_ct_md_labels_from_head_to_feet_are_turned(a_covid_ct_md: Path) -> None:
    cases = found(COVID_CT_MD, a_covid_ct_md)
    assert cases["P043"].slice_labels == (0,) * 9 + (1, 1, 1)
    assert cases["P044"].slice_labels == (0, 1, *(0,) * 10)
    assert cases["cap001"].slice_labels is None
    classes = [cases[each].patient_class for each in ("P043", "cap001", "normal001")]
    assert classes == ["COVID-19", "CAP", "Healthy"]


def test_covid_ct_md_without_all_its_slices_is_refused(a_covid_ct_md: Path) -> None:
    labels = np.ones((2, 20))
    np.save(a_covid_ct_md / "Slice-level-labels-updated-1.npy", labels)
    with pytest.raises(UsageError, match="has 12 slices, but its labels mark a lesion beyond"):
        found(COVID_CT_MD, a_covid_ct_md)


def test_covid_ct_md_labels_kept_as_python_objects_are_refused_and_the_way_out_works(
    a_covid_ct_md: Path,
) -> None:
    path = a_covid_ct_md / "Slice-level-labels-updated-1.npy"
    numbers = np.load(path)
    np.save(path, numbers.astype(object), allow_pickle=True)
    with pytest.raises(UsageError, match=r"contains Python objects.* as plain numbers") as refusal:
        found(COVID_CT_MD, a_covid_ct_md)
    assert "pickle" not in refusal.value.message
    np.save(path, numbers)
    assert found(COVID_CT_MD, a_covid_ct_md)["P043"].slice_labels == (0,) * 9 + (1, 1, 1)


def test_covid_ct_md_labels_of_an_empty_file_are_refused(a_covid_ct_md: Path) -> None:
    (a_covid_ct_md / "Slice-level-labels-updated-1.npy").write_bytes(b"")
    with pytest.raises(UsageError, match="is damaged or"):
        found(COVID_CT_MD, a_covid_ct_md)


@needs_data
def test_labels_of_real_covid_ct_md_cases_are_those_of_their_files(tmp_path: Path) -> None:
    """The real cases in the real layout: the array as the data set has it, head first."""
    data = Path(str(DATA))
    with (data / "slice_labels.csv").open() as file:
        rows = list(csv.DictReader(file))
    patients = {"covid-P001": "COVID-19 subjects", "cap-001": "Cap subjects"}
    labels = np.zeros((2, 200))
    for k, (name, folder) in enumerate(patients.items()):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / name).symlink_to(data / "ct" / name)
        lesion = {Path(each["file"]).name: each["lesion"] for each in rows if each["case"] == name}
        head_first = find_scans(data / "ct" / name)[0].from_feet[::-1]
        labels[k, : len(head_first)] = [int(lesion[each.path.name]) for each in head_first]
    header = ("Label Index", "Diagnosis", "Relative Path", "Folder/ID")
    write_csv(tmp_path / "Index.csv", header, (0, "", "", "covid-P001"), (1, "", "", "cap-001"))
    np.save(tmp_path / "Slice-level-labels.npy", labels)
    cases = found(COVID_CT_MD, tmp_path)
    for name in patients:
        expected = [int(each["lesion"]) for each in rows if each["case"] == name]
        assert list(cases[name].slice_labels or ()) == expected


@pytest.fixture
def a_cc_ccii(tmp_path: Path) -> Path:
    """Three pictures a scan; the list names them as .png though they are .jpg."""
    for scan in ("NCP/7/1001", "NCP/7/1002", "CP/7/1003", "Normal/8/1004"):
        for k in range(3):
            path = tmp_path / scan / f"{k:04d}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(a_small_chest(k)[0].astype(np.uint8)).save(path)
    write_csv(tmp_path / "lesions_slices.csv", ("imgpath",), ("NCP/7/1001/0000.png",))
    write_csv(
        tmp_path / "metadata.csv",
        ("patient_id", "scan_id", "Age", "Sex(Male1/Female2)"),
        (7, 1001, "63.0", 2),
    )
    return tmp_path


def test_cc_ccii_scans_are_cases_of_their_class_with_the_listed_lesions(a_cc_ccii: Path) -> None:
    cases = list(CC_CCII.cases(a_cc_ccii))
    by_scan = {each.path.name: each for each in cases}
    assert [each.case_id for each in cases] == ["Normal-8", "NCP-7", "NCP-7", "CP-7"]
    assert by_scan["1001"].slice_labels == (0, 0, 1)
    assert by_scan["1002"].slice_labels is None
    assert [by_scan[each].patient_class for each in ("1001", "1003", "1004")] == [
        "COVID-19",
        "CAP",
        "Healthy",
    ]
    assert (by_scan["1001"].age, by_scan["1001"].sex) == (63.0, "F")


def test_cc_ccii_index_keeps_one_scan_a_patient(a_cc_ccii: Path, tmp_path: Path) -> None:
    main(["cc-ccii", str(a_cc_ccii), "-o", str(tmp_path / "index.csv")])
    kept = [each.case_id for each in read_index(tmp_path / "index.csv")]
    assert kept == ["Normal-8", "NCP-7", "CP-7"]


def test_mosmed_severity_is_a_class_and_a_mask_gives_slice_labels(tmp_path: Path) -> None:
    mask = np.zeros((12, 64, 64), np.uint8)
    mask[2:4, 30, 20] = 1
    write_volume(tmp_path / "studies/CT-0/study_0001.nii.gz", a_small_chest())
    write_volume(tmp_path / "studies/CT-1/study_0255.nii.gz", a_small_chest())
    write_volume(tmp_path / "studies/CT-4/study_1109.nii.gz", a_small_chest())
    path = write_volume(tmp_path / "masks/study_0255_mask.nii.gz", mask)
    cases = found(MOSMED, tmp_path)
    assert [each.patient_class for each in cases.values()] == ["Healthy", "COVID-19", "COVID-19"]
    assert cases["study_0255"].mask == path
    labels = examine(cases["study_0255"]).case.slice_labels
    assert labels == (0, 0, 1, 1, *(0,) * 8)
    assert examine(cases["study_1109"]).case.slice_labels is None


def test_mosmed_stored_from_head_to_feet_gives_labels_from_feet(tmp_path: Path) -> None:
    mask = np.zeros((12, 64, 64), np.uint8)
    mask[0, 30, 20] = 1
    ct = write_volume(tmp_path / "studies/CT-1/study_0255.nii.gz", a_small_chest())
    drawn = write_volume(tmp_path / "masks/study_0255_mask.nii.gz", mask)
    for each in (ct, drawn):
        sitk.WriteImage(sitk.DICOMOrient(sitk.ReadImage(str(each)), "LPI"), str(each))
    examined = examine(found(MOSMED, tmp_path)["study_0255"])
    assert examined.case.slice_labels == (1, *(0,) * 11)


def test_mosmed_mask_that_is_cut_short_leaves_out_its_own_study_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_volume(tmp_path / "studies/CT-1/study_0255.nii.gz", a_small_chest(1))
    write_volume(tmp_path / "studies/CT-4/study_1109.nii.gz", a_small_chest(2))
    mask = write_volume(tmp_path / "masks/study_0255_mask.nii", np.ones((12, 64, 64), np.uint8))
    mask.write_bytes(mask.read_bytes()[:20000])
    main(["mosmed-1110", str(tmp_path), "-o", str(tmp_path / "index.csv")])
    assert [each.case_id for each in read_index(tmp_path / "index.csv")] == ["study_1109"]
    assert "study_0255: The mask study_0255_mask.nii should have 49,152" in capsys.readouterr().out


@pytest.fixture
def a_stoic(tmp_path: Path) -> Path:
    header = ("PatientID", "probCOVID", "probSevere")
    write_csv(tmp_path / "metadata/reference.csv", header, (3, 1, 0), (8, 0, 0))
    for k in (3, 8):
        people = {"PatientAge": "065Y", "PatientSex": "M"}
        write_volume(tmp_path / f"data/mha/{k}.mha", a_small_chest(k), **people)
    return tmp_path


def test_stoic_is_positive_by_its_table_with_age_and_sex_of_the_header(a_stoic: Path) -> None:
    cases = found(STOIC, a_stoic)
    assert cases["3"].patient_class == "COVID-19"
    assert (cases["3"].age, cases["3"].sex) == (65.0, "M")


@pytest.mark.parametrize(("option", "kept"), [([], ["3"]), (["--controls"], ["3", "8"])])
def test_negative_test_is_healthy_only_where_asked(
    a_stoic: Path, tmp_path: Path, option: list[str], kept: list[str]
) -> None:
    main(["stoic2021", str(a_stoic), "-o", str(tmp_path / "index.csv"), *option])
    assert [each.case_id for each in read_index(tmp_path / "index.csv")] == kept


def test_stoic_volume_of_a_damaged_header_is_left_out_and_the_others_are_kept(
    a_stoic: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    volume = a_stoic / "data/mha/8.mha"
    volume.write_bytes(volume.read_bytes()[:100])
    main(["stoic2021", str(a_stoic), "-o", str(tmp_path / "index.csv"), "--controls"])
    assert [each.case_id for each in read_index(tmp_path / "index.csv")] == ["3"]
    assert "8: 8.mha cannot be read" in capsys.readouterr().out


def test_stoic_without_a_volume_of_its_table_is_refused(a_stoic: Path) -> None:
    (a_stoic / "data/mha/8.mha").unlink()
    with pytest.raises(UsageError, match=r"8\.mha is in the table but missing"):
        found(STOIC, a_stoic)


@pytest.mark.parametrize(
    ("dataset", "collection", "patient_class"),
    [
        (RICORD_1A, "MIDRC-RICORD-1A", "COVID-19"),
        (RICORD_1B, "MIDRC-RICORD-1B", "Healthy"),
        (LIDC_IDRI, "LIDC-IDRI", "Healthy"),
    ],
)
def test_studies_with_a_ct_are_cases_of_their_patient(
    tmp_path: Path, dataset: Dataset, collection: str, patient_class: str
) -> None:
    patient = tmp_path / collection / f"{collection}-0001"
    write_series(patient / "01-01-2000-CHEST-30178/3000566.0-CT-03192", a_small_chest())
    write_series(patient / "01-01-2000-PA-35511/3000923.0-62357", a_small_chest(), modality="DX")
    (tmp_path / collection / "LICENSE").write_text("terms")
    (tmp_path / "downloads").mkdir()
    (tmp_path / "downloads/manifest-1608266677008").symlink_to(tmp_path)
    for folder in (tmp_path, tmp_path / collection, tmp_path / "downloads"):
        (case,) = dataset.cases(folder)
        assert (case.case_id, case.patient_class) == (patient.name, patient_class)
        assert case.path.name == "01-01-2000-CHEST-30178"


def test_study_whose_first_file_is_damaged_is_found_and_left_out_with_the_reason(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    patients = [tmp_path / f"LIDC-IDRI/LIDC-IDRI-000{k}/01-01-2000-NA/3-CT" for k in (1, 2)]
    for k, folder in enumerate(patients):
        write_series(folder, a_small_chest(k))
    first = min(patients[0].iterdir())
    first.write_bytes(first.read_bytes()[:153])  # pydicom raises struct.error
    main(["lidc-idri", str(tmp_path), "-o", str(tmp_path / "index.csv"), "--controls"])
    assert [each.case_id for each in read_index(tmp_path / "index.csv")] == ["LIDC-IDRI-0002"]
    assert f"LIDC-IDRI-0001: {first} is damaged" in capsys.readouterr().out


RICORD_STUDY = "08-02-2002-NA-CT CHEST WITHOUT CONTRAST-04614"
RICORD_FILE = "MIDRC-RICORD-1a_annotations_labelgroup_all_2020-Dec-8.json"


@pytest.fixture
def a_ricord(tmp_path: Path) -> Path:
    """Two patients: one with an outlined series beside a longer one, one read as negative."""
    first, second = (tmp_path / f"MIDRC-RICORD-1A/MIDRC-RICORD-1A-419639-00008{k}" for k in (2, 3))
    write_series(first / RICORD_STUDY / "2.000000-ROUTINE-97100", a_small_chest(1))
    long = first / RICORD_STUDY / "3.000000-0.625mm bone alg-26970"
    write_series(long, a_small_chest(2, slices=24), number=3)
    write_series(second / RICORD_STUDY / "2.000000-ROUTINE-97101", a_small_chest(3))
    outlined = find_scans(first / RICORD_STUDY / "2.000000-ROUTINE-97100")[0].from_feet
    negative = find_scans(second / RICORD_STUDY)[0].first
    names = ("Infectious opacity", "Atelectasis", "Negative for pneumonia")
    told = {
        "labelGroups": [{"labels": [{"id": each[:1], "name": each} for each in names]}],
        "datasets": [
            {
                "annotations": [
                    a_mark("I", outlined[3]),
                    a_mark("I", outlined[4]),
                    a_mark("I", outlined[7], drawn=False),
                    a_mark("A", outlined[0]),
                    {"labelId": "N", "StudyInstanceUID": negative.study_uid},
                ]
            }
        ],
    }
    (tmp_path / RICORD_FILE).write_text(json.dumps(told))
    return tmp_path


def a_mark(label: str, one: Frame, drawn: bool = True) -> dict[str, object]:
    """What MD.ai exports of one outline; some have no points."""
    return {
        "labelId": label,
        "StudyInstanceUID": one.study_uid,
        "SeriesInstanceUID": one.series_uid,
        "SOPInstanceUID": one.sop_uid,
        "data": {"vertices": [[30, 20], [32, 20], [31, 24]]} if drawn else None,
    }


def test_outlines_of_ricord_1a_choose_the_series_and_label_its_slices(a_ricord: Path) -> None:
    for folder in (a_ricord, a_ricord / "MIDRC-RICORD-1A"):
        first, second = RICORD_1A.cases(folder)
        assert first.path.name == "2.000000-ROUTINE-97100"
        assert first.slice_labels == (0, 0, 0, 1, 1, *(0,) * 7)
        assert second.slice_labels == (0,) * 12


def test_exam_of_ricord_1a_read_as_negative_is_left_out(
    a_ricord: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["ricord-1a", str(a_ricord), "-o", str(tmp_path / "index.csv")])
    assert [each.case_id[-2:] for each in read_index(tmp_path / "index.csv")] == ["82"]
    assert f"{NO_LESION}: 1" in capsys.readouterr().out


def test_damaged_outlines_of_ricord_1a_are_refused_by_name(a_ricord: Path) -> None:
    outlines = a_ricord / RICORD_FILE
    outlines.write_text(outlines.read_text()[:100])
    with pytest.raises(UsageError, match=rf"{RICORD_FILE} is damaged"):
        found(RICORD_1A, a_ricord)


def test_ricord_1a_exam_of_a_damaged_file_is_still_found(a_ricord: Path) -> None:
    for folder in (a_ricord / "MIDRC-RICORD-1A").glob("*/*/2.*"):
        first = min(folder.iterdir())
        first.write_bytes(first.read_bytes()[:153])  # pydicom raises struct.error
    first_exam, second_exam = RICORD_1A.cases(a_ricord)
    assert "is damaged" in str(examine(first_exam).refusal)
    assert "is damaged" in str(examine(second_exam).refusal)


def test_ricord_1a_without_its_outlines_has_no_slice_labels(a_ricord: Path) -> None:
    (a_ricord / RICORD_FILE).unlink()
    first, second = RICORD_1A.cases(a_ricord)
    assert (first.path.name, first.slice_labels) == (RICORD_STUDY, None)
    assert second.slice_labels is None


@pytest.mark.parametrize("name", LAYOUTS)
def test_folder_of_another_layout_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="Name its top folder"):
        list(LAYOUTS[name].cases(tmp_path))


@pytest.mark.parametrize("dataset", LAYOUTS.values(), ids=LAYOUTS)
def test_licence_and_citation_are_printed(dataset: Dataset) -> None:
    text = terms(dataset)
    assert dataset.licence in text
    assert dataset.citation in text
    assert dataset.name == "folders" or "doi" in dataset.citation
