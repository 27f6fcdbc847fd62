"""Groups frames into scans.

Frames of different patients, studies, series numbers, storage classes, orientations, pixel
spacings, matrices or kernels never belong to the same scan. Everything else that can separate
two scans (series UID, acquisition, phase, stack, image type and so on) can also vary within
one: scanners split a range, or write a new UID for each slice. Values that differ for nearly
every slice are ignored; for the others, positions decide. Two groups with different values are

- one scan, if one continues the other or fills its gaps: no two slices at the same position,
  no gap and no sideways shift between them, and together they are no denser than each alone;
- two scans, if they cover the same range, at the same positions or in between.

Finally, a scan is split where the distance between slices is too large to be bridged.
"""

from collections import defaultdict
from collections.abc import Hashable, Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from M3LungScreenLib.dicom.copies import without_copies
from M3LungScreenLib.dicom.fitness import CAPTURE_CLASSES, CT_CLASSES, flaw_of, nearness
from M3LungScreenLib.dicom.frames import Frame
from M3LungScreenLib.dicom.pile import Pile, Value, joined, largest_step, sortable
from M3LungScreenLib.dicom.scan import Scan, positions_mm

# Directions and spacings are written with 4 to 6 digits; two scans differ by more than this.
ORIENTATION_TOLERANCE = 0.002
PIXEL_SPACING_TOLERANCE = 0.002


@dataclass(frozen=True)
class _Key:
    """A value that may separate scans, and its name in messages."""

    name: str
    value: Value
    is_last_resort: bool = False  # varies within every scan


_KEYS = (
    _Key("series", lambda each: each.series_uid),
    _Key("frame of reference", lambda each: each.frame_of_reference),
    _Key("object", lambda each: each.object_uid),
    _Key("acquisition", lambda each: each.acquisition),
    _Key("stack", lambda each: each.stack),
    _Key("phase", lambda each: each.phase),
    _Key("image type", lambda each: each.image_type),
    _Key("kV", lambda each: each.kilovolts),
    _Key("thickness", lambda each: each.thickness_mm),
    _Key("position", lambda each: tuple(np.round(positions_mm([each])[0, :2]))),
    _Key("time", lambda each: each.acquired, is_last_resort=True),
    _Key("image number", lambda each: each.instance.zfill(9), is_last_resort=True),
)


def scans_of(frames: Iterable[Frame]) -> list[Scan]:
    """All scans among the frames, without copies; frames that cannot be slices are apart."""
    distinct = _without_copies(frames)
    fit = [each for each in distinct if flaw_of(each) is None]
    unfit = [each for each in distinct if flaw_of(each) is not None]
    scans = [Scan.of(group) for group in _by(unfit, _unfit_key).values()]
    for group in _by_geometry(fit):
        scans += _told_apart(Pile.of(group))
    return scans


def _without_copies(frames: Iterable[Frame]) -> list[Frame]:
    """Each SOP instance once, even if a file was copied to another folder."""
    kept: dict[Hashable, Frame] = {}
    for each in frames:
        place = (each.position_mm, each.acquisition, each.series_uid, each.series_number)
        uid = each.sop_uid or each.path
        kept.setdefault((uid, each.index, *place, each.kernel), each)
    return list(kept.values())


def _by(frames: Iterable[Frame], value: Value) -> dict[Hashable, list[Frame]]:
    groups: dict[Hashable, list[Frame]] = defaultdict(list)
    for each in frames:
        groups[value(each)].append(each)
    return groups


def _unfit_key(frame: Frame) -> Hashable:
    return (frame.modality, frame.series_number, flaw_of(frame), nearness(frame))


def _by_geometry(frames: list[Frame]) -> list[list[Frame]]:
    """Groups that can never belong to one scan."""
    orientation = _Clusters(ORIENTATION_TOLERANCE)
    spacing = _Clusters(PIXEL_SPACING_TOLERANCE)

    def key(each: Frame) -> Hashable:
        numbers = orientation(each.orientation), spacing(each.pixel_spacing_mm), each.matrix
        names = (each.series_number, each.kernel, each.rescale_type, _storage(each))
        return (each.patient_id, each.study_uid, *numbers, *names)

    return list(_by(frames, key).values())


def _storage(frame: Frame) -> str:
    return frame.sop_class if frame.sop_class in (*CT_CLASSES, *CAPTURE_CLASSES) else ""


class _Clusters:
    """Gives numbers that differ only by rounding the same name."""

    def __init__(self, tolerance: float) -> None:
        self._tolerance = tolerance
        self._centres: list[np.ndarray] = []

    def __call__(self, numbers: tuple[float, ...] | None) -> int:
        new = np.array(numbers)
        for i, centre in enumerate(self._centres):
            if np.allclose(new, centre, rtol=0, atol=self._tolerance):
                return i
        self._centres.append(new)
        return len(self._centres) - 1


def _told_apart(
    pile: Pile, keys: tuple[_Key, ...] = _KEYS, apart: tuple[str, ...] = ()
) -> Iterator[Scan]:
    """The scans in the pile, each with the values that separate it from the others."""
    if not keys:
        yield from _runs(without_copies(Scan.of(pile.frames, apart)))
        return
    key, rest = keys[0], keys[1:]
    parts, scans = pile.parts(key.value), [pile]
    if pile.shares_places if key.is_last_resort else len(parts) <= len(pile.frames) / 2:
        scans = joined(parts)
    tells = len(scans) > 1 and max(len(each.distinct_mm) for each in scans) > 1
    for scan in scans if tells else [pile]:
        label = _label(key, scan.frames) if tells else ()
        yield from _told_apart(scan, rest, (*apart, *label))


def _label(key: _Key, frames: list[Frame]) -> tuple[str, ...]:
    if key.name == "phase":
        phase = " ".join(filter(None, frames[0].phase))
        return (f"phase {phase}",) if phase else ()
    if key.name not in ("acquisition", "stack", "kV"):
        return ()
    values = sorted({str(key.value(each)) for each in frames}, key=sortable)
    return (f"{key.name} {'/'.join(values[:3])}",)


def _runs(scan: Scan) -> list[Scan]:
    """The scan, split at gaps that are too wide."""
    gaps = np.flatnonzero(scan.steps_mm > largest_step(scan.spacing_mm))
    bounds = (0, *(gaps + 1), len(scan.frames))
    widest = float(scan.steps_mm[gaps].max(initial=0.0))
    return [
        replace(scan, frames=scan.frames[low:high], gap_mm=widest) for low, high in pairwise(bounds)
    ]
