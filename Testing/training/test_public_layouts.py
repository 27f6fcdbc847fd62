"""Each public data set's real layout in miniature: its cases, classes and labels."""

import csv
import os
from pathlib import Path

import numpy as np
import pytest

from M3LungScreenLib.dicom.series import find_series
from M3LungScreenLib.errors import UsageError
from Testing.stand_ins.chests import a_small_chest
from Testing.stand_ins.dicom import write_series
from Training.datasets.covid_ct_md import COVID_CT_MD
from Training.datasets.dataset import Dataset
from Training.datasets.index_file import Case
from Training.index import LAYOUTS, terms

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
    with pytest.raises(UsageError, match="has 12 slices, but a lesion is labelled beyond"):
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
        head_first = find_series(data / "ct" / name)[0].slices[::-1]
        labels[k, : len(head_first)] = [int(lesion[each.path.name]) for each in head_first]
    header = ("Label Index", "Diagnosis", "Relative Path", "Folder/ID")
    write_csv(tmp_path / "Index.csv", header, (0, "", "", "covid-P001"), (1, "", "", "cap-001"))
    np.save(tmp_path / "Slice-level-labels.npy", labels)
    cases = found(COVID_CT_MD, tmp_path)
    for name in patients:
        expected = [int(each["lesion"]) for each in rows if each["case"] == name]
        assert list(cases[name].slice_labels or ()) == expected


@pytest.mark.parametrize("name", LAYOUTS)
def test_folder_of_another_layout_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="Name its topmost folder"):
        list(LAYOUTS[name].cases(tmp_path))


@pytest.mark.parametrize("dataset", LAYOUTS.values(), ids=LAYOUTS)
def test_licence_and_citation_are_printed(dataset: Dataset) -> None:
    text = terms(dataset)
    assert dataset.licence in text
    assert dataset.citation in text
    assert dataset.name == "folders" or "doi" in dataset.citation
