"""What an adapter of a data set provides."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from M3LungScreenLib.errors import UsageError
from Training.datasets.index_file import Case

# What an index of simulated patients is called, so that a card can say so.
SIMULATED_PATIENTS = "simulated patients"


@dataclass(frozen=True)
class Dataset:
    """The layout of a data set: its terms, and a function that finds the cases in a folder.

    `cases` yields one case per exam, with the patient as `case_id`; the first usable exam of a
    patient is used. It raises UsageError for another layout. `notes` are peculiarities worth
    knowing. `controls` says what Healthy patients have instead of pneumonia; empty if their CT is
    normal.
    """

    name: str
    licence: str
    citation: str
    cases: Callable[[Path], Iterator[Case]]
    notes: tuple[str, ...] = ()
    controls: str = ""


def subfolders(folder: Path) -> list[Path]:
    """Subfolders of `folder` by name, without hidden ones."""
    return sorted(p for p in folder.iterdir() if p.is_dir() and not p.name.startswith("."))


def wrong_layout(dataset: str, folder: Path, missing: str) -> UsageError:
    return UsageError(
        "layout", f"{folder} does not look like {dataset}: {missing}. Name its top folder."
    )
