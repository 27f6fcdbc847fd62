"""Whether a file holds all the pixels its header promises."""

import gzip
from pathlib import Path

from M3LungScreenLib.errors import InputRefused


def unreadable(name: str) -> InputRefused:
    return InputRefused(
        "unreadable",
        f"{name} cannot be read: it is damaged, cut short or in an unknown format. Copy it again "
        "from where it came.",
    )


def check_gzip(path: Path, start: int = 0) -> None:
    """EOFError, OSError or zlib.error where the gzip stream from byte `start` is damaged."""
    with path.open("rb") as packed:
        packed.seek(start)
        with gzip.open(packed) as file:
            while file.read(1 << 22):
                pass


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
