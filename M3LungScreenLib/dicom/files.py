"""Finds DICOM files, with or without preamble, gzipped or not."""

import gzip
import os
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from os.path import isfile
from pathlib import Path
from typing import BinaryIO, cast

import pydicom
from pydicom.errors import BytesLengthException, InvalidDicomError

# What pydicom and gzip raise for a file that is cut short or whose bytes are wrong.
DAMAGED = (
    InvalidDicomError,
    BytesLengthException,
    struct.error,
    zlib.error,
    NotImplementedError,
    OSError,
    EOFError,
    ValueError,
    TypeError,
    AttributeError,
    KeyError,
    OverflowError,
)
ARCHIVES = {b"PK\x03\x04": "zip", b"7z\xbc\xaf": "7z", b"Rar!": "rar"}
_GZIP = b"\x1f\x8b"
# Without a preamble a file begins with its first element: group 2 or 8, whose values are short.
_FIRST_GROUPS = (b"\x02\x00", b"\x08\x00", b"\x00\x08")
_LONGEST_FIRST_VALUE = 256


def files_below(folder: Path) -> Iterator[Path]:
    """All files below `folder` by name, following links, each folder once.

    A folder that cannot be listed is returned itself.
    """
    seen: set[str] = set()
    locked: list[OSError] = []
    for here, folders, files in os.walk(folder, onerror=locked.append, followlinks=True):
        known = {name for name in folders if os.path.realpath(Path(here, name)) in seen}
        folders[:] = sorted(set(folders) - known)
        seen |= {os.path.realpath(here)} | {os.path.realpath(Path(here, each)) for each in folders}
        yield from (Path(here, name) for name in sorted(files) if isfile(Path(here, name)))
    yield from (Path(each.filename) for each in locked)


def is_dicom(path: Path) -> bool:
    """Whether the file starts like DICOM, even if the rest is damaged."""
    try:
        with _unpacked(path) as file:
            return _begins_as_dicom(file.read(132))
    except DAMAGED:
        return False


def archive_of(path: Path) -> str | None:
    """The kind of archive, or None for any other file."""
    with path.open("rb") as file:
        return ARCHIVES.get(file.read(4))


def read_dataset(path: Path, tags: list[str], with_pixels: bool = False) -> pydicom.Dataset:
    """These tags of a DICOM file. Raises one of DAMAGED if it is not DICOM or truncated.

    pydicom warns about nonstandard values; callers turn these warnings off.
    """
    with _unpacked(path) as file:
        return pydicom.dcmread(
            file, force=True, stop_before_pixels=not with_pixels, specific_tags=list(tags)
        )


@contextmanager
def _unpacked(path: Path) -> Iterator[BinaryIO]:
    with path.open("rb") as file:
        is_packed = file.read(2) == _GZIP
        file.seek(0)
        yield cast(BinaryIO, gzip.GzipFile(fileobj=file)) if is_packed else file


def _begins_as_dicom(head: bytes) -> bool:
    if head[128:] == b"DICM":
        return True
    if head[:2] not in _FIRST_GROUPS or len(head) < 12:
        return False
    explicit = head[4:6].isalpha() and head[4:6].isupper()
    return explicit or int.from_bytes(head[4:8], "little") < _LONGEST_FIRST_VALUE
