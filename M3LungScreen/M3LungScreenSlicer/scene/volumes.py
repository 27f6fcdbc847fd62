"""A CT out of the scene: what may be screened, and its way into a file that is mapped."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class HandedVolume:
    """`path` holds int16 voxels in the node's own order; `geometry` is ct.Geometry's (LPS mm)."""

    path: Path
    geometry: dict[str, Any]


class VolumeRefused(Exception):
    """This node cannot be screened; the message is one sentence with the way out."""


def why_not(node: Any) -> str:
    """One sentence why `node` cannot be screened, or '' where it can; None is refused too."""
    raise NotImplementedError


def hand_over(node: Any, folder: Path) -> HandedVolume:
    """Write the voxels of `node`, linear parent transforms hardened in its geometry.

    The node itself is left as it is. Raises VolumeRefused as `why_not` says.
    """
    raise NotImplementedError
