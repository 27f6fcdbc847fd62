"""An index that is wrong is refused with the line and the way out."""

from pathlib import Path

import pytest

from M3LungScreenLib.errors import UsageError
from Training.datasets.index_file import read_index


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "index.csv"
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("p,ct,SARS,,,", r"Line 3 of .* has the class 'SARS'\. Write one of Healthy, COVID-19"),
        ("p,ct,CAP,s012,,", r"Line 3 of .* has the slice labels 's012'\. Write 0 or 1"),
        ("p,ct,CAP,,old,", r"Line 3 of .* has the age 'old'\. Write years"),
        ("p,ct,CAP,,,train", r"Line 3 of .* has the split 'train'\. Write one of training, valid"),
        ("p,ct,CAP,,,Validation", r"Line 3 of .* has the split 'Validation'"),
        ("p,ct,CAP,,,", r"Line 3 of .* has no split, but other lines do\. Write one of trai"),
    ],
)
def test_wrong_line_is_refused_with_its_number(tmp_path: Path, line: str, sentence: str) -> None:
    head = "case_id,path,patient_class,slice_labels,age,split\nfine,ct,CAP,s01,50,test\n"
    with pytest.raises(UsageError, match=sentence):
        read_index(written(tmp_path, head + line))


def test_column_of_splits_that_is_empty_in_all_lines_is_no_split(tmp_path: Path) -> None:
    text = "case_id,path,patient_class,split\np,ct,CAP,\nq,ct,Healthy,\n"
    assert [each.split for each in read_index(written(tmp_path, text))] == [None, None]


def test_missing_column_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="lacks the column patient_class"):
        read_index(written(tmp_path, "case_id,path\np,ct\n"))


def test_missing_index_is_refused_with_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"python -m Training\.index"):
        read_index(tmp_path / "index.csv")


def test_index_of_the_three_required_columns_is_enough(tmp_path: Path) -> None:
    (case,) = read_index(written(tmp_path, "case_id,path,patient_class\np,scans/p,H1N1\n"))
    assert (case.path, case.patient_class) == (tmp_path / "scans/p", "H1N1")
    assert (case.split, case.slice_labels, case.mask, case.age, case.sex) == (None,) * 5
