"""Several indexes as one, because no public data set has all four classes."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from Training.datasets.dataset import Dataset
from Training.datasets.index_file import Case, read_index, read_terms

NAME = "joined"


def joined(indexes: Sequence[Path]) -> Dataset:
    """The cases of all indexes in order, with the terms of each; splits are kept.

    Patients with the same name in two indexes are different: the name is prefixed by the number of
    the index.
    """
    told = [read_terms(each) for each in indexes]

    def cases(_: Path) -> Iterator[Case]:
        listed = [read_index(each) for each in indexes]
        known_to = Counter(name for index in listed for name in {each.case_id for each in index})
        for place, index in enumerate(listed, start=1):
            for each in index:
                twin = known_to[each.case_id] > 1
                yield replace(each, case_id=f"{place}-{each.case_id}") if twin else each

    return Dataset(
        name=" + ".join(each["dataset"] for each in told),
        licence="; ".join(f"{each['dataset']}: {each['licence']}" for each in told),
        citation="; ".join(each["citation"] for each in told),
        cases=cases,
    )
