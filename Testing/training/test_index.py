"""From folders of CT to an index, Table I and a list of who was left out."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from M3LungScreenLib.errors import InputRefused, UsageError
from Testing.stand_ins.chests import a_small_chest, write_volume
from Testing.stand_ins.dicom import write_series
from Training.datasets import examination
from Training.datasets.examination import Examined, examine
from Training.datasets.exclusions import NO_LESION, SECOND, UNFIT, exclude
from Training.datasets.folders import FOLDERS
from Training.datasets.headers import age_in_years, dicom_person, read_tags
from Training.datasets.index_file import Case, read_index, read_terms
from Training.datasets.index_writer import write_index
from Training.datasets.table import table_one, table_text
from Training.index import main


@pytest.fixture
def a_hospital(tmp_path: Path) -> Path:
    """Healthy: a file and a DICOM folder; COVID-19: a file and one that is no chest."""
    folder = tmp_path / "hospital"
    write_volume(folder / "Healthy/anna.nrrd", a_small_chest(1))
    write_series(folder / "healthy-is-no-class/x", a_small_chest(9))
    write_series(folder / "Healthy/bert", a_small_chest(2))
    write_volume(folder / "covid19/carl.nii.gz", a_small_chest(3))
    mask = np.repeat(np.uint8(np.arange(12) > 2), 64 * 64).reshape(12, 64, 64)
    write_volume(folder / "covid19/carl-mask.nii.gz", mask)
    write_volume(folder / "covid19/no-chest.nrrd", np.full((12, 64, 64), 40, np.int16))
    return folder


def a_case(name: str, patient_class: str = "COVID-19", path: str = "ct", **values: Any) -> Case:
    return Case(name, Path(path), patient_class, **values)


def fit(*cases: Case) -> list[Examined]:
    return [Examined(each, slice_count=3) for each in cases]


def test_index_of_class_folders_is_read_back_with_every_ct_found(
    a_hospital: Path, tmp_path: Path
) -> None:
    main(["folders", str(a_hospital), "-o", str(tmp_path / "out/index.csv")])
    cases = {each.case_id: each for each in read_index(tmp_path / "out/index.csv")}
    assert sorted(cases) == ["anna", "bert", "carl"]
    assert cases["carl"].patient_class == "COVID-19"
    assert cases["carl"].mask is not None
    assert cases["carl"].mask.samefile(a_hospital / "covid19/carl-mask.nii.gz")
    assert cases["bert"].path.samefile(a_hospital / "Healthy/bert")
    assert cases["carl"].slice_labels == (0, 0, 0, *(1,) * 9)
    assert cases["bert"].slice_labels is None


def test_mask_beside_a_dicom_folder_is_its_mask(tmp_path: Path) -> None:
    write_series(tmp_path / "CAP/17.b", a_small_chest(2))
    mask = write_volume(tmp_path / "CAP/17.b-mask.nrrd", np.ones((12, 64, 64), np.uint8))
    [case] = FOLDERS.cases(tmp_path)
    assert (case.case_id, case.mask) == ("17.b", mask)


def test_mask_that_does_not_fit_its_ct_is_left_out_with_its_reason(a_hospital: Path) -> None:
    path, mask = a_hospital / "covid19/carl.nii.gz", a_hospital / "covid19/other-mask.nii.gz"
    write_volume(mask, np.ones((11, 64, 64), np.uint8))
    examined = examine(a_case("carl", path=str(path), mask=mask))
    assert "other-mask.nii.gz has (64, 64, 11)" in str(examined.refusal)


def test_mask_that_is_cut_short_is_left_out_with_its_reason(a_hospital: Path) -> None:
    """ITK fills what is missing of it with whatever lies in memory."""
    mask = write_volume(a_hospital / "covid19/cut-mask.nii", np.ones((12, 64, 64), np.uint8))
    case = a_case("carl", path=str(a_hospital / "covid19/carl.nii.gz"), mask=mask)
    assert examine(case).refusal is None
    mask.write_bytes(mask.read_bytes()[:30000])
    assert str(examine(case).refusal).startswith("The mask cut-mask.nii should have 49,152 bytes")


def test_damaged_header_leaves_out_its_own_exam_and_nobody_elses(
    a_hospital: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = min((a_hospital / "Healthy/bert").iterdir())
    first.write_bytes(first.read_bytes()[:153])  # pydicom raises struct.error
    main(["folders", str(a_hospital), "-o", str(tmp_path / "index.csv")])
    assert [each.case_id for each in read_index(tmp_path / "index.csv")] == ["anna", "carl"]
    assert f"bert: {first} is damaged. Fetch it again." in capsys.readouterr().out


def test_header_cut_anywhere_is_a_refusal_at_most(tmp_path: Path) -> None:
    write_series(tmp_path / "p", a_small_chest(slices=1)[:, ::8, ::8], PatientAge="061Y")
    [path] = (tmp_path / "p").iterdir()
    whole, refused = path.read_bytes(), set()
    assert dicom_person(tmp_path / "p") == (61.0, None)
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        dicom_person(tmp_path / "p")
        assert examine(a_case("p", path=str(tmp_path / "p"))).refusal is not None
        try:
            read_tags(path, "PatientID")
        except InputRefused as refusal:
            refused.add(refusal.message)
    assert refused == {f"{path} is damaged. Fetch it again."}


def test_index_prints_terms_table_and_who_was_left_out(
    a_hospital: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["folders", str(a_hospital), "-o", str(tmp_path / "index.csv")])
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["Healthy", "all", "2", "24", "unknown", "unknown"] in lines
    assert ["COVID-19", "all", "1", "9", "unknown", "unknown"] in lines
    assert any(line[:1] == ["no-chest:"] for line in lines)
    assert [*UNFIT.split()[:-1], UNFIT.split()[-1] + ":", "1"] in lines


def test_folder_without_class_folders_is_refused_with_the_four_names(tmp_path: Path) -> None:
    (tmp_path / "scans").mkdir()
    with pytest.raises(UsageError, match="Healthy, COVID-19, H1N1, CAP"):
        main(["folders", str(tmp_path), "-o", str(tmp_path / "index.csv")])


def test_missing_folder_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no folder .*elsewhere\."):
        main(["folders", str(tmp_path / "elsewhere"), "-o", str(tmp_path / "index.csv")])


def test_slices_that_lie_in_the_folder_of_a_class_are_refused_with_the_way_out(
    tmp_path: Path,
) -> None:
    write_series(tmp_path / "CAP", a_small_chest())
    with pytest.raises(UsageError, match=r"lies in .*CAP itself\. Make a folder of each patient"):
        list(FOLDERS.cases(tmp_path))


def test_folder_of_two_patients_is_left_out_for_only_one_would_count(tmp_path: Path) -> None:
    for name, seed in (("a", 1), ("b", 2)):
        write_series(tmp_path / "site" / name, a_small_chest(seed), PatientID=name)
    examined = examine(a_case("site", path=str(tmp_path / "site")))
    assert examined.refusal == (
        "The folder contains 2 patients (a and others). Put each in a folder of its own."
    )


def test_index_with_nobody_left_is_not_written(tmp_path: Path) -> None:
    write_volume(tmp_path / "data/CAP/x.nrrd", np.full((12, 64, 64), 40, np.int16))
    with pytest.raises(UsageError, match=r"No case is left"):
        main(["folders", str(tmp_path / "data"), "-o", str(tmp_path / "index.csv")])
    assert not (tmp_path / "index.csv").exists()


def test_index_moves_with_the_data_below_it(a_hospital: Path, tmp_path: Path) -> None:
    main(["folders", str(a_hospital), "-o", str(a_hospital / "index.csv")])
    moved = a_hospital.rename(tmp_path / "moved")
    assert all(each.path.exists() for each in read_index(moved / "index.csv"))


def test_joined_indexes_have_the_cases_and_the_terms_of_each(
    a_hospital: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    controls = tmp_path / "LIDC-IDRI/LIDC-IDRI-0001/01-01-2000-30178/3000566.000000-03192"
    write_series(controls, a_small_chest(8))
    main(["folders", str(a_hospital), "-o", str(tmp_path / "a/ours.csv")])
    main(["lidc-idri", str(tmp_path), "-o", str(tmp_path / "b/lidc.csv"), "--controls"])
    main(["joined", f"{tmp_path}/a/ours.csv", f"{tmp_path}/b/lidc.csv", "-o", f"{tmp_path}/i.csv"])
    cases = {each.case_id: each for each in read_index(tmp_path / "i.csv")}
    assert sorted(cases) == ["LIDC-IDRI-0001", "anna", "bert", "carl"]
    assert cases["carl"].slice_labels == (0, 0, 0, *(1,) * 9)
    assert all(each.path.exists() for each in cases.values())
    told = read_terms(tmp_path / "i.csv")
    assert told["dataset"] == "folders + lidc-idri"
    assert "lidc-idri: CC BY 3.0" in told["licence"]


def test_patients_of_one_name_in_two_joined_indexes_are_two(tmp_path: Path) -> None:
    for place, name in enumerate("ab"):
        path = tmp_path / f"{name}.nrrd"
        write_volume(path, a_small_chest(place))
        write_index(
            tmp_path / f"{name}.csv",
            [a_case("17", path=str(path)), a_case(name * 2, path=str(path))][: 1 + place],
        )
    main(["joined", f"{tmp_path}/a.csv", f"{tmp_path}/b.csv", "-o", f"{tmp_path}/i.csv"])
    assert [each.case_id for each in read_index(tmp_path / "i.csv")] == ["1-17", "2-17", "bb"]


def test_one_ct_in_two_joined_indexes_leaks(a_hospital: Path, tmp_path: Path) -> None:
    for name, split in (("a", "training"), ("b", "test")):
        case = a_case(name, path=str(a_hospital / "covid19/carl.nii.gz"), split=split)
        write_index(tmp_path / f"{name}.csv", [case])
    with pytest.raises(UsageError, match=r"a and b \(identical pixels\)"):
        main(["joined", f"{tmp_path}/a.csv", f"{tmp_path}/b.csv", "-o", f"{tmp_path}/i.csv"])


def test_joined_indexes_of_which_one_has_no_split_are_refused_unless_split_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, split in (("a", "training"), ("b", None)):
        cases = [a_case(f"{name}{n}", path=f"/{name}{n}", split=split) for n in range(3)]
        write_index(tmp_path / f"{name}.csv", cases)
    asked = ["joined", f"{tmp_path}/a.csv", f"{tmp_path}/b.csv", "-o", f"{tmp_path}/i.csv"]
    with pytest.raises(UsageError, match=r"b0 has no split, but other cases do\. Add --spl"):
        main(asked)
    with pytest.raises(UsageError, match=r"No case is left"):  # it went on to read them
        main([*asked, "--split"])


def test_two_folders_of_one_layout_are_refused_with_the_way_out(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="Make an index of each folder, then join them"):
        main(["folders", str(tmp_path), str(tmp_path), "-o", str(tmp_path / "i.csv")])


def test_resumed_index_reads_no_ct_twice_but_those_that_changed(
    a_hospital: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = ["folders", str(a_hospital), "-o", str(tmp_path / "index.csv")]
    main(asked)
    whole, read = (tmp_path / "index.csv").read_text(), []

    def stopped_at_the_third(case: Case) -> Examined:
        read.append(case.case_id)
        if len(read) == 3:
            raise KeyboardInterrupt
        return examine(case)

    monkeypatch.setattr(examination, "examine", stopped_at_the_third)
    with pytest.raises(KeyboardInterrupt):
        main(asked)
    write_volume(a_hospital / "Healthy/anna.nrrd", a_small_chest(7))
    main([*asked, "--resume"])
    assert read == ["anna", "bert", "carl", "anna", "carl", "no-chest"]
    assert (tmp_path / "index.csv").read_text() == whole
    assert not list(tmp_path.glob(".*"))


def test_split_of_too_few_patients_is_refused_before_any_ct_is_read(
    a_hospital: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(examination, "examine", None)
    with pytest.raises(UsageError, match="Healthy has 2 patients, but a split needs at least 5"):
        main(["folders", str(a_hospital), "-o", str(tmp_path / "index.csv"), "--split"])


def test_split_of_an_index_that_holds_a_ct_twice_is_refused(tmp_path: Path) -> None:
    for k in range(5):
        write_volume(tmp_path / f"data/CAP/{k}.nrrd", a_small_chest(seed=0))
    with pytest.raises(UsageError, match=r"0 and 1 \(identical pixels\)|0 and 2"):
        main(["folders", str(tmp_path / "data"), "-o", str(tmp_path / "i.csv"), "--split"])
    assert not (tmp_path / "i.csv").exists()


def test_index_keeps_every_column_of_a_case(tmp_path: Path) -> None:
    mask, labels = tmp_path / "mask.nrrd", (0, 1, 1)
    whole = Case("p1", tmp_path / "ct", "CAP", "test", labels, mask, age=61.0, sex="F")
    bare = Case("p2", Path("/elsewhere/ct"), "Healthy", "training")
    write_index(tmp_path / "index.csv", [whole, bare])
    assert read_index(tmp_path / "index.csv") == [whole, bare]


def test_second_exam_counts_where_the_first_is_no_chest() -> None:
    first, second, third = (a_case("p", path=each) for each in "abc")
    kept, excluded = exclude([Examined(first, "No lungs."), *fit(second, third)])
    assert [each.case for each in kept] == [second]
    left_out = [(each.case, each.reason) for each in excluded]
    assert left_out == [(first, UNFIT), (third, SECOND)]


def test_ill_patients_without_a_lesion_are_left_out_but_not_those_nobody_annotated() -> None:
    normal = a_case("normal", slice_labels=(0, 0, 0))
    unknown, healthy = a_case("unknown"), a_case("healthy", "Healthy", slice_labels=(0, 0, 0))
    kept, excluded = exclude(fit(normal, unknown, healthy))
    assert [each.case for each in kept] == [unknown, healthy]
    assert [(each.case, each.reason) for each in excluded] == [(normal, NO_LESION)]


def test_patient_of_two_classes_is_refused_with_both_places() -> None:
    two = fit(a_case("p", "CAP", "here"), a_case("p", "H1N1", "there"))
    with pytest.raises(UsageError, match=r"p is CAP in here and H1N1 in there\."):
        exclude(two)


def test_labels_of_another_number_of_slices_make_a_case_unfit(tmp_path: Path) -> None:
    path = write_volume(tmp_path / "ct.nrrd", a_small_chest())
    examined = examine(a_case("p", "CAP", str(path), slice_labels=(0, 1)))
    assert examined.refusal is not None
    assert examined.refusal.startswith("The CT has 12 slices, but there are labels for 2.")


def test_table_counts_slices_ages_and_men_by_class_and_split() -> None:
    cases = [
        a_case("a", split="training", slice_labels=(0, 1, 1), age=40.0, sex="M"),
        a_case("b", split="training", slice_labels=(1, 0, 0), age=60.0, sex="F"),
        a_case("c", "Healthy", split="test"),
    ]
    healthy, ill = table_one(fit(*cases))
    assert (healthy.split, healthy.patients, healthy.slices) == ("test", 1, 3)
    assert (ill.split, ill.patients, ill.slices) == ("training", 2, 3)
    assert "50.0 ± 10.0  40 to 60  1 of 2" in table_text([ill])


@pytest.mark.parametrize(
    ("text", "years"), [("055Y", 55.0), ("006M", 0.5), ("61", 61.0), ("", None), ("old", None)]
)
def test_age_is_read_in_years(text: str, years: float | None) -> None:
    assert age_in_years(text) == years
