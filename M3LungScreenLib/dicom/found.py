"""The scans, other objects and damaged files in a DICOM folder or file."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from M3LungScreenLib.dicom.files import files_below
from M3LungScreenLib.dicom.frames import Damaged, Frame, NoImage, look_at
from M3LungScreenLib.dicom.grouping import scans_of
from M3LungScreenLib.dicom.preference import by_preference
from M3LungScreenLib.dicom.scan import Scan

_MOST_LISTED = 12


@dataclass(frozen=True)
class Found:
    """What a folder or file contains; `scans` by preference, the best one first."""

    place: Path
    scans: tuple[Scan, ...] = ()
    no_images: tuple[NoImage, ...] = ()
    damaged: tuple[Damaged, ...] = ()

    @property
    def is_folder(self) -> bool:
        return self.place.is_dir()

    def listed(self, scan: Scan) -> str:
        """The scan with the index that selects it, from [1]."""
        return f"[{self.scans.index(scan) + 1}] {scan}"


def look_into(place: Path, *more: Path) -> Found:
    """All DICOM objects below a folder, in one file, or in several."""
    files: Iterable[Path] = files_below(place) if place.is_dir() else (place, *more)
    frames: list[Frame] = []
    others: list[NoImage | Damaged] = []
    for path in files:
        seen = look_at(path)
        if isinstance(seen, list):
            frames += seen
        elif seen is not None:
            others.append(seen)
    return Found(
        place.parent if more else place,
        tuple(by_preference(scans_of(frames))),
        tuple(each for each in others if isinstance(each, NoImage)),
        tuple(each for each in others if isinstance(each, Damaged)),
    )


def find_scans(folder: Path) -> tuple[Scan, ...]:
    """All scans below `folder`, the best one first."""
    return look_into(folder).scans


def in_a_row(texts: Iterable[str], separator: str = ", ") -> str:
    """The texts joined; of a long list, the first dozen."""
    texts = list(texts)
    shown = separator.join(texts[:_MOST_LISTED])
    more = len(texts) - _MOST_LISTED
    return f"{shown}{separator}and {more} more" if more > 0 else shown
