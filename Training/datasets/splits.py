"""Training, validation and test by patient: 60 / 40 per class, validation from the 60."""

from collections.abc import Sequence
from dataclasses import replace

from sklearn.model_selection import train_test_split

from M3LungScreenLib.errors import UsageError
from Training.datasets.index_file import SPLITS, Case

TEST_SHARE = 0.4  # paper, II-B: around 40 % of each category
VALIDATION_SHARE = 0.2  # of the other 60 %
# With fewer patients one of the three splits would be empty.
FEWEST_PATIENTS = 5


def split_cases(
    cases: Sequence[Case],
    seed: int = 0,
    test_share: float = TEST_SHARE,
    validation_share: float = VALIDATION_SHARE,
) -> list[Case]:
    """The cases in order, each with its split; all cases of a `case_id` are in one split.

    Each class is divided separately. The same patients and seed give the same split, in any order.
    UsageError for a class with fewer than five patients.
    """
    check_sizes(cases)
    classes = {each.case_id: each.patient_class for each in cases}
    split_of: dict[str, str] = {}
    for name in sorted(set(classes.values())):
        patients = sorted(each for each, found in classes.items() if found == name)
        rest, test = _divide(patients, test_share, seed)
        training, validation = _divide(rest, validation_share, seed)
        for split, members in zip(SPLITS, (training, validation, test), strict=True):
            split_of.update(dict.fromkeys(members, split))
    return [replace(each, split=split_of[each.case_id]) for each in cases]


def _divide(patients: list[str], share: float, seed: int) -> tuple[list[str], list[str]]:
    """The rest, and a random `share` of at least one patient."""
    count = max(round(share * len(patients)), 1)
    rest, chosen = train_test_split(patients, test_size=count, random_state=seed)
    return sorted(rest), chosen


def check_sizes(cases: Sequence[Case]) -> None:
    """UsageError for a class with fewer than five patients."""
    names = list({each.case_id: each.patient_class for each in cases}.values())
    for name in dict.fromkeys(names):
        count = names.count(name)
        if count < FEWEST_PATIENTS:
            raise UsageError(
                "split",
                f"{name} has {count} patient{'s' * (count > 1)}, but a split needs at least "
                f"{FEWEST_PATIENTS} of each class. Add patients, or make the index without --split "
                "and fill in its column split.",
            )
