"""Patients fall on one side each, in the paper's shares, the same way every time."""

import random
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from M3LungScreenLib.errors import UsageError
from Training.datasets.index_file import CLASS_NAMES, Case
from Training.datasets.splits import split_cases

# Table I: patients of each class.
TABLE_ONE = {"Healthy": 251, "COVID-19": 245, "H1N1": 105, "CAP": 133}


def patients(counts: dict[str, int]) -> list[Case]:
    return [
        Case(f"{name}-{k}", Path("ct"), name)
        for name, count in counts.items()
        for k in range(count)
    ]


def test_the_papers_patients_are_split_60_40_with_validation_out_of_the_60() -> None:
    counts = Counter((each.patient_class, each.split) for each in split_cases(patients(TABLE_ONE)))
    for name, total in TABLE_ONE.items():
        assert counts[name, "test"] / total == pytest.approx(0.4, abs=0.01)
        assert counts[name, "validation"] / total == pytest.approx(0.12, abs=0.01)
    assert counts.total() == 734


@given(counts=st.lists(st.integers(5, 30), min_size=4, max_size=4), seed=st.integers(0, 99))
def test_split_depends_on_patients_and_seed_not_on_their_order(
    counts: list[int], seed: int
) -> None:
    cases = patients(dict(zip(CLASS_NAMES, counts, strict=True)))
    shuffled = random.Random(seed).sample(cases, len(cases))
    assert set(split_cases(cases, seed)) == set(split_cases(shuffled, seed))


@given(counts=st.lists(st.integers(5, 12), min_size=1, max_size=4))
def test_every_class_is_on_every_side(counts: list[int]) -> None:
    cases = patients(dict(zip(CLASS_NAMES, counts, strict=False)))
    sides = {(each.patient_class, each.split) for each in split_cases(cases)}
    assert len(sides) == 3 * len(counts)


def test_another_seed_is_another_split() -> None:
    cases = patients(TABLE_ONE)
    assert split_cases(cases, 1) != split_cases(cases, 2)


def test_two_scans_of_a_patient_stay_together() -> None:
    cases = patients({"CAP": 20})
    splits = split_cases([*cases, *cases])
    assert splits[:20] == splits[20:]


def test_class_too_small_to_split_is_refused_by_name() -> None:
    with pytest.raises(UsageError, match="H1N1 has 4 patients"):
        split_cases(patients({"CAP": 9, "H1N1": 4}))
