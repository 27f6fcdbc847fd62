"""What lies on both sides of a split is found, by name, identity, series or pixels."""

from pathlib import Path

import pytest

from M3LungScreenLib.errors import UsageError
from Testing.stand_ins.chests import a_small_chest, write_volume
from Testing.stand_ins.dicom import write_series
from Training.datasets.examination import Examined, Fingerprint, examine
from Training.datasets.index_file import Case
from Training.datasets.leaks import check_leaks


def on(split: str, name: str, path: Path = Path("ct"), **values: frozenset[str] | str) -> Examined:
    return Examined(Case(name, path, "CAP", split), None, 3, Fingerprint(**values))  # type: ignore[arg-type]


def test_one_patient_in_two_splits_is_a_leak() -> None:
    with pytest.raises(UsageError, match=r"anna and anna \(same patient\)\."):
        check_leaks([on("training", "anna"), on("test", "anna"), on("test", "bert")])


def test_one_dicom_patient_under_two_names_is_a_leak() -> None:
    twins = [on("training", "a", patient="7"), on("validation", "b", patient="7")]
    with pytest.raises(UsageError, match=r"a and b \(same patient ID\)\."):
        check_leaks([*twins, on("test", "c", patient="8")])


def test_patient_id_of_all_who_have_one_is_a_placeholder() -> None:
    cases = [on("training", "a", patient="ANON"), on("test", "b", patient="ANON")]
    check_leaks(cases)
    check_leaks([*cases, on("test", "a file without one")])


def test_the_same_series_in_two_folders_is_a_leak(tmp_path: Path) -> None:
    for name, seed in (("a", 1), ("b", 2)):
        write_series(tmp_path / name, a_small_chest(seed), uid="1.2.3")
    cases = [
        examine(Case(name, tmp_path / name, "CAP", split))
        for name, split in (("a", "training"), ("b", "test"))
    ]
    with pytest.raises(UsageError, match=r"a and b \(same series UID\)\."):
        check_leaks(cases)


def test_dicom_and_its_copy_as_a_cut_nifti_file_have_identical_pixels(tmp_path: Path) -> None:
    chest = a_small_chest()
    write_series(tmp_path / "a", chest)
    copy = write_volume(tmp_path / "b.nii.gz", chest[2:])
    cases = [
        examine(Case("a", tmp_path / "a", "CAP", "training")),
        examine(Case("b", copy, "CAP", "test")),
    ]
    with pytest.raises(UsageError, match=r"a and b \(identical pixels\)\."):
        check_leaks(cases)


def test_what_is_on_one_side_twice_or_on_both_sides_different_is_no_leak() -> None:
    twins = [on("test", name, series=frozenset("1"), slices=frozenset("x")) for name in "ab"]
    check_leaks([*twins, on("training", "c", series=frozenset("2"), slices=frozenset("y"))])
