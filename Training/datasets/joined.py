"""Several indexes as one: no public set has all four classes."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from Training.datasets.dataset import Dataset
from Training.datasets.index_file import Case, read_index, read_terms

NAME = "joined"


def joined(indexes: Sequence[Path]) -> Dataset:
    """Their cases one after the other, with the terms of each; splits stay what they are.

    A patient of the same name in two of them counts once, as of one set.
    """
    told = [read_terms(each) for each in indexes]

    def cases(_: Path) -> Iterator[Case]:
        for each in indexes:
            yield from read_index(each)

    return Dataset(
        name=" + ".join(each["dataset"] for each in told),
        licence="; ".join(f"{each['dataset']}: {each['licence']}" for each in told),
        citation="; ".join(each["citation"] for each in told),
        cases=cases,
    )
