"""Whether a file has all the pixel data its header announces."""

import gzip
from pathlib import Path

from M3LungScreenLib.errors import InputRefused


def unreadable(name: str) -> InputRefused:
    return InputRefused(
        "unreadable",
        f"{name} cannot be read: it is damaged, truncated or in an unknown format. Copy it again "
        "from the source.",
    )


def check_gzip(path: Path, start: int = 0) -> None:
    """Raise EOFError, OSError or zlib.error if the gzip stream from byte `start` is damaged."""
    with path.open("rb") as packed:
        packed.seek(start)
        with gzip.open(packed) as file:
            while file.read(1 << 22):
                pass


def compare_bytes(path: Path, data: Path, expected: float, found: float) -> None:
    """Raise InputRefused 'truncated' if `data` has fewer bytes than the header `path` says."""
    if found >= expected:
        return
    place = "the file" if data == path else data.name
    raise InputRefused(
        "truncated",
        f"{path.name} should have {expected:,.0f} bytes of pixel data, but {place} has only "
        f"{max(0, found):,.0f}. Copy it again from the source.",
    )
