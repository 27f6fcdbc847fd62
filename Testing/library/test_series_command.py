"""`series`: what a folder contains, what would be screened, and why not the rest."""

import json
from pathlib import Path

import pytest
from pydicom.uid import generate_uid

from M3LungScreenLib.__main__ import main
from M3LungScreenLib.reading import read_ct
from Testing.stand_ins.dicom import CORONAL, a_chest, a_dataset, write_series
from Testing.stand_ins.refusals import refusal


@pytest.fixture
def a_study(tmp_path) -> Path:
    """Two axial CT, a scout, a coronal reformat, a structure set and a damaged file."""
    write_series(
        tmp_path / "a",
        a_chest(12),
        number=4,
        ConvolutionKernel="B30f",
        SeriesDescription="Thorax 3.0",
    )
    write_series(tmp_path / "a", a_chest(9), number=3)
    write_series(tmp_path / "a", a_chest(1), number=1, image_type="LOCALIZER")
    write_series(tmp_path / "b", a_chest(20), number=5, orientation=CORONAL)
    structures = a_dataset(generate_uid(), 9, "RTSTRUCT", "1.2.840.10008.5.1.4.1.1.481.3")
    structures.save_as(tmp_path / "structures.dcm", enforce_file_format=True)
    content = next((tmp_path / "a").iterdir()).read_bytes()
    (tmp_path / "damaged.dcm").write_bytes(content[:200])
    return tmp_path


def listed(capsys, path: Path, status: int = 0) -> dict:
    assert main(["series", str(path), "--json"]) == status
    return json.loads(capsys.readouterr().out)


def test_each_series_is_described_and_one_is_marked(a_study, capsys):
    content = listed(capsys, a_study)
    first = content["series"][0]
    assert first == first | {
        "index": 1,
        "number": "4",
        "modality": "CT",
        "description": "Thorax 3.0",
        "kernel": "B30f",
        "images": 12,
        "spacing_mm": 3.0,
        "pixel_spacing_mm": [5.0, 5.0],
        "matrix": [64, 64],
        "plane": "axial",
        "screened": True,
        "reason": "",
    }
    reasons = {each["number"]: each["reason"] for each in content["series"][1:]}
    assert reasons == {
        "3": "covers less of the lungs (27 mm)",
        "5": "is coronal, not axial",
        "1": "is a localizer (scout)",
    }
    assert [each["plane"] for each in content["series"] if each["number"] == "5"] == ["coronal"]
    assert content["no_images"] == [
        ["structures.dcm", "RTSTRUCT (RT Structure Set Storage)"],
    ]
    assert (content["damaged"], content["refusal"]) == (["damaged.dcm"], "")


def test_the_marked_series_is_the_one_that_is_screened(a_study, capsys):
    marked = next(each for each in listed(capsys, a_study)["series"] if each["screened"])
    assert (read_ct(a_study).hu == read_ct(a_study, f"[{marked['index']}]").hu).all()
    assert (read_ct(a_study).hu == read_ct(a_study, marked["series_uid"]).hu).all()


def test_people_read_lines(a_study, capsys):
    assert main(["series", str(a_study)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == (
        "* [1] series 4, CT, 'Thorax 3.0', axial, 12 images, 3.0 mm apart, "
        "64 × 64 pixels of 5.00 mm, kernel B30f"
    )
    assert lines[1].strip() == "would be screened"
    assert lines[-2:] == [
        "  structures.dcm: RTSTRUCT (RT Structure Set Storage)",
        "  damaged.dcm: cannot be read",
    ]


def make_nothing(folder: Path) -> None:
    (folder / "readme.txt").write_text("no CT")


def make_coronal(folder: Path) -> None:
    write_series(folder, a_chest(20), orientation=CORONAL)


def make_few(folder: Path) -> None:
    write_series(folder, a_chest(3))


def make_far(folder: Path) -> None:
    write_series(folder, a_chest(9), thickness_mm=15.0)


def make_two_patients(folder: Path) -> None:
    write_series(folder / "a", a_chest(), PatientID="1")
    write_series(folder / "b", a_chest(), PatientID="2")


def make_one_place(folder: Path) -> None:
    write_series(folder, a_chest(), places=[0.0] * 12)


@pytest.mark.parametrize(
    "make", [make_nothing, make_coronal, make_few, make_far, make_two_patients, make_one_place]
)
def test_without_a_ct_to_screen_the_list_is_printed_with_the_sentence_of_screen(
    tmp_path, make, capsys
):
    make(tmp_path)
    message = refusal(tmp_path).message
    assert main(["series", str(tmp_path)]) == 3
    said = capsys.readouterr()
    assert said.err == f"{message}\n"
    assert said.out.count("[") == (0 if make is make_nothing else 1 + (make is make_two_patients))
    content = listed(capsys, tmp_path, 3)
    assert content["refusal"] == message
    assert not any(each["screened"] for each in content["series"])


def test_two_patients_have_no_reason_each(tmp_path, capsys):
    make_two_patients(tmp_path)
    assert [each["reason"] for each in listed(capsys, tmp_path, 3)["series"]] == ["", ""]


def test_a_file_that_is_no_dicom_is_refused_as_by_screen(tmp_path, capsys):
    (tmp_path / "a.txt").write_text("hello")
    assert main(["series", str(tmp_path / "a.txt")]) == 3
    assert "a.txt is not a DICOM image" in capsys.readouterr().err
    assert main(["series", str(tmp_path / "missing")]) == 3
    assert "There is no file or folder" in capsys.readouterr().err
