"""Whether a file holds all the pixels its header promises.

ITK refuses a short raw .nrrd and .dcm, but takes a compressed .nrrd without its end
and writes of a short MetaImage to stderr: these are looked at before ITK reads them.
"""

import gzip
import math
import re
import zlib
from pathlib import Path

from M3LungScreenLib.errors import InputRefused

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


def check_complete(path: Path) -> None:
    """InputRefused 'truncated' or 'unreadable' where pixels of `path` are missing."""
    name = path.name.lower()
    try:
        if name.endswith((".mha", ".mhd")):
            _check_meta(path)
        elif name.endswith((".nrrd", ".nhdr")):
            _check_nrrd(path)
    except (OSError, EOFError, RuntimeError, ValueError, KeyError, zlib.error):
        raise unreadable(path.name) from None


def unreadable(name: str) -> InputRefused:
    return InputRefused(
        "unreadable",
        f"{name} cannot be read: it is damaged, cut short or in an unknown format. Copy it again "
        "from where it came.",
    )


def _check_nrrd(path: Path) -> None:
    with path.open("rb") as file:
        head = file.read(_LONGEST_HEADER)
    end = re.search(rb"\r?\n\r?\n", head)
    if end and re.search(rb"(?im)^encoding:\s*gz", head[: end.start()]):
        _unpacked_size(path, end.end())


def _unpacked_size(path: Path, start: int = 0) -> int:
    """Bytes that a gzip stream from byte `start` holds; EOFError, OSError where it is damaged."""
    with path.open("rb") as packed:
        packed.seek(start)
        with gzip.open(packed) as file:
            return sum(len(chunk) for chunk in iter(lambda: file.read(1 << 22), b""))


def _check_meta(path: Path) -> None:
    header, start = meta_header(path)
    where = header["ElementDataFile"]
    if where.upper().startswith("LIST") or "%" in where:
        return
    local = where.upper() == "LOCAL"
    data = path if local else path.with_name(where)
    begin = start if local else max(0, int(header.get("HeaderSize", 0)))
    found = data.stat().st_size - begin if data.is_file() else 0
    compare_bytes(path, data, _meta_bytes(header), found)


def meta_header(path: Path) -> tuple[dict[str, str], int]:
    """The header's keys, and where LOCAL pixels begin; KeyError where it is no whole header."""
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


def _meta_bytes(header: dict[str, str]) -> float:
    if header.get("CompressedData", "False").lower() == "true":
        return int(header.get("CompressedDataSize", 0))
    voxels = math.prod(int(each) for each in header["DimSize"].split())
    channels = int(header.get("ElementNumberOfChannels", 1))
    return voxels * channels * _META_BYTES.get(header["ElementType"], 1)


def compare_bytes(path: Path, data: Path, expected: float, found: float) -> None:
    """InputRefused 'truncated' where `data` holds less than the header `path` promises."""
    if found >= expected:
        return
    place = "the file" if data == path else data.name
    raise InputRefused(
        "truncated",
        f"{path.name} promises {expected:,.0f} bytes of pixels, {place} holds "
        f"{max(0, found):,.0f}. Copy it again from where it came.",
    )
