"""Finds the studies in folders, files and tables, however nested."""

import csv
import hashlib
import warnings
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from M3LungScreenLib.dicom.files import DAMAGED, files_below, is_dicom, read_dataset
from M3LungScreenLib.errors import InputRefused, UsageError
from M3LungScreenLib.files.reading import is_volume_file
from M3LungScreenLib.reading import check_exists
from M3LungScreenLib.zip_archive import is_zip, unpacked_folder

PATH_COLUMN = "path"
KEY_LENGTH = 16
_DIRECTORY = "DICOMDIR"


@dataclass(frozen=True)
class Study:
    """One CT to screen: a volume file, or the DICOM `files` of a study.

    `path` is the file, or the folder that holds all files. `key` names the result folder: the
    start of a SHA-256 digest that tells nothing about the patient. With `archive`, a ZIP file,
    `path` and `files` are inside it.
    """

    key: str
    path: Path
    files: tuple[Path, ...] = ()
    study_uid: str = ""
    archive: Path | None = None

    @property
    def place(self) -> Path:
        """Where the study lies, for people."""
        return self.path if self.archive is None else self.archive / self.path

    @contextmanager
    def opened(self) -> Iterator[Path | tuple[Path, ...]]:
        """What `read_ct` takes, unpacked while the context is open."""
        if self.archive is None:
            yield self.files or self.path
            return
        with unpacked_folder(self.archive) as folder:
            yield tuple(folder / each for each in self.files) or folder / self.path


def find_studies(inputs: Iterable[Path]) -> list[Study]:
    """The studies in all inputs, each once, in order.

    An input is a volume file, a DICOM file, a folder, a ZIP file of these, or a CSV file with a
    column `path`. A ZIP file that cannot be unpacked is a study, to be refused. Raises
    UsageError for a table without that column, InputRefused for an input that does not exist.
    """
    found: dict[str, Study] = {}
    for each in inputs:
        for study in _studies_of(each):
            found.setdefault(study.key, study)
    return list(found.values())


def _studies_of(path: Path) -> Iterator[Study]:
    check_exists(path)
    if path.suffix.lower() == ".csv":
        for listed in _listed(path):
            # A missing file of a long table is the refusal of one study.
            yield from _studies_of(listed) if listed.exists() else [_of_file(listed)]
    elif path.is_dir():
        yield from _studies_in(path)
    elif is_zip(path):
        yield from _studies_in_zip(path)
    else:
        yield _of_file(path)


def _listed(table: Path) -> list[Path]:
    with table.open(newline="", encoding="utf-8-sig") as file:
        rows = csv.DictReader(file)
        if PATH_COLUMN not in (rows.fieldnames or ()):
            raise UsageError(
                "table",
                f"{table} has no column {PATH_COLUMN!r}. Its first line must name the columns.",
            )
        named = [row[PATH_COLUMN].strip() for row in rows if (row[PATH_COLUMN] or "").strip()]
    return [table.parent / each for each in named]


def _studies_in_zip(archive: Path) -> Iterator[Study]:
    try:
        with unpacked_folder(archive) as folder:
            for study in _studies_in(folder, with_archives=False):
                path = study.path.relative_to(folder)
                files = tuple(each.relative_to(folder) for each in study.files)
                # A UID is the same wherever its files lie; a path here is temporary.
                key = study.key if study.study_uid else _key(str(archive.resolve() / path))
                yield replace(study, key=key, path=path, files=files, archive=archive)
    except InputRefused:  # said again when the study is opened
        yield replace(_of_file(archive), path=Path(), archive=archive)


def _studies_in(folder: Path, with_archives: bool = True) -> Iterator[Study]:
    """Volume files, each a study, and DICOM files by study, or by folder without a study UID."""
    by_study: dict[str, list[Path]] = defaultdict(list)
    for path in files_below(folder):
        if is_volume_file(path):
            yield _of_file(path)
        elif with_archives and is_zip(path):
            yield from _studies_in_zip(path)
        elif path.name.upper() != _DIRECTORY and is_dicom(path):
            by_study[_study_uid(path) or f"folder {path.parent.resolve()}"].append(path)
    for uid, files in by_study.items():
        yield Study(_key(uid), _common_folder(files), tuple(files), _plain_uid(uid))


def _plain_uid(uid: str) -> str:
    return "" if uid.startswith("folder ") else uid


def _study_uid(path: Path) -> str:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # nonstandard values elsewhere in the header
        try:
            return str(read_dataset(path, ["StudyInstanceUID"]).get("StudyInstanceUID", ""))
        except DAMAGED:
            return ""


def _common_folder(files: list[Path]) -> Path:
    first, *others = (each.parents for each in files)
    return next(each for each in first if all(each in other for other in others))


def _of_file(path: Path) -> Study:
    return Study(_key(str(path.resolve())), path)


def _key(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()[:KEY_LENGTH]
