"""Unpacks a ZIP file of DICOM files, or of one volume file, into a temporary folder."""

import shutil
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from lzma import LZMAError
from pathlib import Path, PurePosixPath

from M3LungScreenLib.dicom.files import archive_of, files_below, is_dicom
from M3LungScreenLib.errors import InputRefused, M3LungScreenError
from M3LungScreenLib.files.reading import is_volume_file

# A study of thousands of slices has a few GB. What is packed more densely than images can be
# is made to fill disks.
LARGEST_BYTES = 64 << 30
MOST_FILES = 200_000
LARGEST_RATIO, RATIO_FROM_BYTES = 100, 256 << 20
_ENCRYPTED = 0x1
# Added by macOS for every file; not part of the study.
_LEFT_BY_MACOS = "__MACOSX/"
# Broken files, unknown compressions, names that this system cannot write.
_DAMAGED = (
    zipfile.BadZipFile,
    zlib.error,
    LZMAError,
    EOFError,
    OSError,
    ValueError,
    NotImplementedError,
)


def is_zip(path: Path) -> bool:
    """Whether `path` is a file that is called .zip and contains nothing else."""
    if path.suffix.lower() != ".zip" or not path.is_file():
        return False
    try:
        return archive_of(path) in ("zip", None) and not is_dicom(path)
    except OSError:  # no permission, which reading says
        return False


@contextmanager
def unpacked(path: Path) -> Iterator[Path]:
    """What to read in the place of `path`, unpacked from a ZIP file while the context is open.

    This is a folder, or the volume file of an archive without DICOM. Any other `path` is
    returned as it is. Raises InputRefused if the archive is encrypted, damaged, too large, or
    leads out of its folder.
    """
    if not is_zip(path):
        yield path
        return
    with unpacked_folder(path) as folder:
        yield _volume_or_folder(folder)


@contextmanager
def unpacked_folder(path: Path) -> Iterator[Path]:
    """All files of the ZIP file `path` in a temporary folder of its name; raises as `unpacked`."""
    with tempfile.TemporaryDirectory(prefix="M3LungScreen-") as temporary:
        folder = Path(temporary) / path.name
        folder.mkdir()
        try:
            with zipfile.ZipFile(path) as archive:
                entries = _checked(archive, path, shutil.disk_usage(folder).free)
                for each in entries:
                    archive.extract(each, folder)
        except _DAMAGED as wrong:
            raise _refused(
                path, f"cannot be unpacked ({wrong})", "Copy it again, or unpack it yourself"
            ) from wrong
        try:
            yield folder
        except M3LungScreenError as wrong:
            # The user knows the archive, not the temporary folder.
            said = wrong.message.replace(str(folder), str(path))
            if said == wrong.message:
                raise
            raise type(wrong)(wrong.kind, said) from wrong


def _checked(archive: zipfile.ZipFile, path: Path, free_bytes: int) -> list[zipfile.ZipInfo]:
    """The entries to unpack; zipfile writes no more of each than the size it states."""
    entries = [e for e in archive.infolist() if not e.filename.startswith(_LEFT_BY_MACOS)]
    names = [PurePosixPath(each.filename.replace("\\", "/")) for each in entries]
    total = sum(each.file_size for each in entries)
    packed = sum(each.compress_size for each in entries)
    if any(each.flag_bits & _ENCRYPTED for each in entries):
        raise _refused(path, "is encrypted", "Unpack it with its password and choose the folder")
    outside = next((n for n in names if n.is_absolute() or ".." in n.parts or ":" in n.parts[0]), 0)
    if outside:
        raise _refused(path, f"contains the path {outside}, which leads out of it", "Do not use it")
    if len({str(each).casefold() for each in names}) < len(names):
        raise _refused(path, "contains several files of one name", "Unpack it yourself")
    if len(entries) > MOST_FILES or total > LARGEST_BYTES:
        what = f"contains {len(entries):,} files of {_size(total)} in all, too many"
        raise _refused(path, what, "Unpack it and choose the folder of the chest CT")
    if total > RATIO_FROM_BYTES and total > LARGEST_RATIO * packed:
        what = f"would grow from {_size(packed)} to {_size(total)}, which no images do"
        raise _refused(path, what, "Do not use it")
    if total > free_bytes:
        what = f"needs {_size(total)} for temporary files, but only {_size(free_bytes)} is free"
        raise _refused(path, what, "Free some space, or set TMPDIR to another folder")
    return entries


def _volume_or_folder(folder: Path) -> Path:
    files = list(files_below(folder))
    volumes = [each for each in files if is_volume_file(each)]
    if not volumes or any(map(is_dicom, files)):
        return folder
    if len(volumes) > 1:
        names = ", ".join(each.name for each in volumes[:3])
        what = f"contains {len(volumes)} volume files, such as {names}"
        raise _refused(folder, what, "Unpack it and choose one of them")
    return volumes[0]


def _refused(path: Path, what: str, remedy: str) -> InputRefused:
    return InputRefused("archive", f"{path.name} {what}. {remedy}.")


def _size(count: int) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e8 else f"{count / 1e6:.1f} MB"
