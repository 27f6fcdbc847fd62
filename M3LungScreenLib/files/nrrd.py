"""Checks the geometry and encoding in an NRRD header."""

from __future__ import annotations

import re
from pathlib import Path

from M3LungScreenLib.completeness import check_gzip
from M3LungScreenLib.errors import InputRefused
from M3LungScreenLib.files.nifti import Warned, no_spacing, orientation_unknown

# Headers are a few hundred bytes of text, directly before the pixels.
_LONGEST_HEADER = 65536
# 'left-posterior-superior' or 'LPS'; 'scanner-xyz' and others do not refer to the patient.
_ANATOMICAL = ("left", "right", "lps", "ras", "las")
_READABLE = ("raw", "gzip", "gz", "txt", "text", "ascii", "hex")


def read_header(path: Path) -> tuple[dict[str, str], int]:
    """An NRRD header's fields by lowercase name, and the offset of the pixels.

    Raises ValueError if the header is truncated.
    """
    with path.open("rb") as file:
        head = file.read(_LONGEST_HEADER)
    if not head.startswith(b"NRRD"):
        raise ValueError(path.name)
    text, *rest = re.split(rb"\r?\n\r?\n", head, maxsplit=1)
    lines = text.decode("latin-1").splitlines()[1:]
    pairs = [line.split(":", 1) for line in lines if ":" in line]
    fields = {key.strip().lower(): value.lstrip("=").strip() for key, value in pairs}
    if not rest and not {"data file", "datafile"} & fields.keys():
        raise ValueError(path.name)
    return fields, len(head) - len(rest[0]) if rest else len(head)


def check_header(path: Path) -> Warned:
    """Refuse missing pixels, several frames and missing spacing; warn if there is no orientation.

    Truncation is checked here because ITK accepts a truncated gzip file.
    """
    header, start = read_header(path)
    encoding = header.get("encoding", "raw").lower()
    if encoding not in _READABLE:
        raise InputRefused(
            "unreadable",
            f"{path.name} has the encoding {encoding}, which is not supported. Save it with gzip "
            "or raw encoding.",
        )
    data = _data_file(path, header)
    if data is not None and encoding.startswith("gz"):
        check_gzip(data, start if data == path else 0)
    _check_frames(header, path.name)
    if "space directions" in header:
        is_placed = header.get("space", "").lower().startswith(_ANATOMICAL)
        return () if is_placed else orientation_unknown(path.name)
    spacings = header.get("spacings", "").split()
    if not spacings or not all(_is_length(each) for each in spacings[-3:]):
        raise no_spacing(path.name)
    return orientation_unknown(path.name)


def _data_file(path: Path, header: dict[str, str]) -> Path | None:
    """The file with the pixels, or None if there are several."""
    name = header.get("data file", header.get("datafile", ""))
    if name.upper().startswith("LIST") or "%" in name:
        return None
    if not (path.parent / name).exists():
        raise InputRefused(
            "truncated",
            f"{path.name} stores its pixels in {name}, which is missing. Copy both files into one "
            "folder.",
        )
    return path.parent / name if name else path


def _check_frames(header: dict[str, str], name: str) -> None:
    kinds, sizes = header.get("kinds", "").lower().split(), header.get("sizes", "").split()
    for kind, size in zip(kinds, sizes, strict=False):
        if kind in ("list", "time") and size != "1":
            raise several_frames(name, int(size))


def several_frames(name: str, count: int) -> InputRefused:
    return InputRefused(
        "not_a_volume",
        f"{name} is a sequence of {count} frames, but only one can be screened at a time. Save "
        "one time point as a separate volume.",
    )


def _is_length(text: str) -> bool:
    try:
        return float(text) > 0
    except ValueError:
        return False
