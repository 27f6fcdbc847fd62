"""Checks the geometry and size of the pixels in a MetaImage header.

ITK prints to stderr if a MetaImage is truncated, so this is checked before.
"""

import math
from pathlib import Path

from M3LungScreenLib.completeness import compare_bytes
from M3LungScreenLib.errors import InputRefused
from M3LungScreenLib.files.nifti import Warned, no_spacing, orientation_unknown

_META_BYTES = {
    "MET_CHAR": 1,
    "MET_UCHAR": 1,
    "MET_SHORT": 2,
    "MET_USHORT": 2,
    "MET_INT": 4,
    "MET_UINT": 4,
    "MET_LONG": 4,
    "MET_ULONG": 4,
    "MET_FLOAT": 4,
    "MET_LONG_LONG": 8,
    "MET_ULONG_LONG": 8,
    "MET_DOUBLE": 8,
}
# Headers are a few hundred bytes of text; pixels follow at once.
_LONGEST_HEADER = 65536
_DIRECTIONS = ("TransformMatrix", "Rotation", "Orientation")


def check_header(path: Path) -> Warned:
    """Refuse missing pixels and an invalid spacing; warn if there is no orientation."""
    header, start = _read_header(path)
    _check_pixels(path, header, start)
    spacing = header.get("ElementSpacing", header.get("ElementSize", "")).split()
    if not spacing:
        raise no_spacing(path.name)
    if not all(float(each) > 0 for each in spacing):
        found = " × ".join(f"{float(each):g}" for each in spacing)
        raise InputRefused(
            "no_spacing",
            f"{path.name} has a spacing of {found} mm, but every spacing must be above 0. Convert "
            "the CT from DICOM again, or correct TransformMatrix, which gives the directions.",
        )
    return () if any(key in header for key in _DIRECTIONS) else orientation_unknown(path.name)


def _check_pixels(path: Path, header: dict[str, str], start: int) -> None:
    where = header["ElementDataFile"]
    if where.upper().startswith("LIST"):
        _check_list(path, header, start)
        return
    if "%" in where:
        return
    local = where.upper() == "LOCAL"
    data = path if local else path.with_name(where)
    begin = start if local else max(0, int(header.get("HeaderSize", 0)))
    found = data.stat().st_size - begin if data.is_file() else 0
    compare_bytes(path, data, _bytes_of_pixels(header), found)


def _check_list(path: Path, header: dict[str, str], start: int) -> None:
    """Check the total size of a list of files; ITK fills missing data with random memory."""
    if header.get("CompressedData", "False").lower() == "true":
        return
    names = path.read_bytes()[start:].decode("utf-8").splitlines()
    listed = [path.with_name(each.strip()) for each in names if each.strip()]
    found = sum(each.stat().st_size for each in listed if each.is_file())
    compare_bytes(path, path.parent, _bytes_of_pixels(header), found)


def _read_header(path: Path) -> tuple[dict[str, str], int]:
    """The header by key, and the offset of LOCAL pixels. Raises KeyError if it is incomplete."""
    header: dict[str, str] = {}
    start = 0
    with path.open("rb") as file:
        lines = file.read(_LONGEST_HEADER).splitlines(keepends=True)
    for line in lines:
        start += len(line)
        key, _, value = line.decode("latin-1").partition("=")
        header[key.strip()] = value.strip()
        if key.strip() == "ElementDataFile":
            break
    if not {"DimSize", "ElementType", "ElementDataFile"} <= header.keys():
        raise KeyError(path.name)
    # Names of files may be UTF-8, keys are ASCII.
    header["ElementDataFile"] = header["ElementDataFile"].encode("latin-1").decode("utf-8")
    return header, start


def _bytes_of_pixels(header: dict[str, str]) -> float:
    if header.get("CompressedData", "False").lower() == "true":
        return int(header.get("CompressedDataSize", 0))
    voxels = math.prod(int(each) for each in header["DimSize"].split())
    channels = int(header.get("ElementNumberOfChannels", 1))
    return voxels * channels * _META_BYTES.get(header["ElementType"], 1)
