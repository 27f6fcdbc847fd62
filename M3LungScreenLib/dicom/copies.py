"""Recognizes images that were stored twice: the same place and pixels under another UID."""

import hashlib
from collections.abc import Hashable
from dataclasses import replace

from M3LungScreenLib.dicom.decoding import read_content
from M3LungScreenLib.dicom.files import DAMAGED
from M3LungScreenLib.dicom.frames import Frame
from M3LungScreenLib.dicom.scan import SAME_PLACE_MM, Scan
from M3LungScreenLib.errors import InputRefused


def without_copies(scan: Scan) -> Scan:
    """The scan with each of several equal images at one place once; `copies` counts the rest.

    Reads pixels only where images share a place. Images that differ all stay.
    """
    if not scan.has_shared_places:
        return scan
    kept: list[Frame] = []
    seen: set[Hashable] = set()
    steps = (SAME_PLACE_MM, *scan.steps_mm, SAME_PLACE_MM)
    for i, frame in enumerate(scan.frames):
        if steps[i] >= SAME_PLACE_MM:
            seen = set()
        if min(steps[i], steps[i + 1]) < SAME_PLACE_MM:
            pixels = _pixels(frame)
            if pixels in seen:
                continue
            seen.add(pixels)
        kept.append(frame)
    return replace(scan, frames=tuple(kept), copies=len(scan.frames) - len(kept))


def _pixels(frame: Frame) -> Hashable:
    """What makes the HU of a frame; nothing equals a frame that cannot be read."""
    try:
        _, frames = read_content(frame.path)
        digest = hashlib.sha256(frames[frame.index]).digest()
    except (*DAMAGED, InputRefused, IndexError):
        return frame.path
    return digest, frame.slope, frame.intercept, frame.position_mm
