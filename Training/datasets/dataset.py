"""What every adapter of a data set says and does."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from M3LungScreenLib.errors import UsageError
from Training.datasets.index_file import Case


@dataclass(frozen=True)
class Dataset:
    """A layout of files: its terms, and a function that finds the cases in a folder.

    `cases` gives one case an exam, `case_id` being the patient; of several exams the
    first one fit for use counts. It raises UsageError where the layout is another.
    `notes` are quirks worth knowing. `controls` is empty where Healthy means a normal
    CT, else says what those patients have instead.
    """

    name: str
    licence: str
    citation: str
    cases: Callable[[Path], Iterator[Case]]
    notes: tuple[str, ...] = ()
    controls: str = ""


def subfolders(folder: Path) -> list[Path]:
    """The folders in `folder` by name, hidden ones left out."""
    return sorted(p for p in folder.iterdir() if p.is_dir() and not p.name.startswith("."))


def wrong_layout(dataset: str, folder: Path, missing: str) -> UsageError:
    return UsageError("layout", f"{folder} is no {dataset}: {missing}. Name its topmost folder.")
