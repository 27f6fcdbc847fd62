"""Which frames make one scan.

Frames of another patient, study, series number, storage class, orientation, pixel
spacing, matrix or kernel are never slices of one scan. All else that can tell two
scans apart (series UID, acquisition, phase, stack, image type and so on) may also
vary within one: the scanner splits a range, or writes a UID for each slice. Values
that are new for nearly each slice tell nothing; of others, positions decide. Two groups
that differ in such a value are

- one scan, if one continues the other or fills its gaps: no slice of one at a place
  of the other, no gap and no sideways jump between them, and together they lie no
  closer than each alone;
- two scans, if they cover the same range: at the same places, or in between.

Last, a scan ends where its slices are too far apart to be bridged.
"""

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np

from M3LungScreenLib.dicom.fitness import CAPTURE_CLASSES, CT_CLASSES, flaw_of, nearness
from M3LungScreenLib.dicom.frames import Frame
from M3LungScreenLib.dicom.scan import SAME_PLACE_MM, Scan, positions_mm
from M3LungScreenLib.suitability import LARGEST_SPACING_MM

# Directions and spacings are written with 4 to 6 digits; two scans differ by more than this.
ORIENTATION_TOLERANCE = 0.002
PIXEL_SPACING_TOLERANCE = 0.002
# Two passes over one range lie at most half a slice distance apart, neighbours a whole one.
CLOSER_SHARE = 0.6
# Up to here a wider step is bridged: farther apart than the usual distance, but not so far
# that a series of such steps would be refused.
LARGEST_STEP_SHARE = 1.5
# A gantry tilts by up to 30 degrees, and then each slice is shifted against the next.
LARGEST_SLOPE, ROUNDING_MM = 0.6, 1.0

Value = Callable[[Frame], Hashable]


@dataclass(frozen=True)
class _Key:
    """A value that may tell scans apart, and its name in a list of them."""

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
    """All scans among the frames, copies left out; those that cannot be slices by themselves."""
    distinct = _without_copies(frames)
    fit = [each for each in distinct if flaw_of(each) is None]
    unfit = [each for each in distinct if flaw_of(each) is not None]
    scans = [Scan.of(group) for group in _by(unfit, _unfit_key).values()]
    for group in _by_geometry(fit):
        scans += _told_apart(_Pile.of(group))
    return scans


def _without_copies(frames: Iterable[Frame]) -> list[Frame]:
    """Equal SOP instances once: a file and its copy in another folder, say."""
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
    """Groups that can never be one scan."""
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
    """Numbers that differ by rounding alone get one name."""

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


@dataclass(frozen=True)
class _Pile:
    """Frames of one geometry, and where they lie: `[frame, 3]` along row, column and normal."""

    frames: list[Frame]
    positions_mm: np.ndarray

    @classmethod
    def of(cls, frames: list[Frame]) -> "_Pile":
        return cls(frames, positions_mm(frames))

    def __add__(self, other: "_Pile") -> "_Pile":
        positions = np.concatenate((self.positions_mm, other.positions_mm))
        return _Pile(self.frames + other.frames, positions)

    def parts(self, value: Value) -> list["_Pile"]:
        """The frames of each value, in the order of values."""
        groups = defaultdict(list)
        for i, each in enumerate(self.frames):
            groups[value(each)].append(i)
        chosen = [groups[each] for each in sorted(groups, key=_sortable)]
        return [_Pile([self.frames[i] for i in some], self.positions_mm[some]) for some in chosen]

    @cached_property
    def distinct_mm(self) -> np.ndarray:
        """Positions along the normal; of several at one place the first."""
        ordered = self.positions_mm[np.argsort(self.positions_mm[:, 2], kind="stable")]
        return ordered[np.diff(ordered[:, 2], prepend=-np.inf) >= SAME_PLACE_MM]

    @property
    def shares_places(self) -> bool:
        return len(self.distinct_mm) < len(self.frames)


def _told_apart(
    pile: _Pile, keys: tuple[_Key, ...] = _KEYS, apart: tuple[str, ...] = ()
) -> Iterator[Scan]:
    """The scans in the pile, each with the values that tell it from the others."""
    if not keys:
        yield from _runs(Scan.of(pile.frames, apart))
        return
    key, rest = keys[0], keys[1:]
    parts, scans = pile.parts(key.value), [pile]
    if pile.shares_places if key.is_last_resort else len(parts) <= len(pile.frames) / 2:
        scans = _joined(parts)
    tells = len(scans) > 1 and max(len(each.distinct_mm) for each in scans) > 1
    for scan in scans if tells else [pile]:
        label = _label(key, scan.frames) if tells else ()
        yield from _told_apart(scan, rest, (*apart, *label))


def _sortable(value: Hashable) -> str:
    text = str(value)
    return text.zfill(12) if text.isdigit() else text


def _label(key: _Key, frames: list[Frame]) -> tuple[str, ...]:
    if key.name == "phase":
        return ("phase " + " ".join(filter(None, frames[0].phase)),)
    if key.name not in ("acquisition", "stack", "kV"):
        return ()
    values = sorted({str(key.value(each)) for each in frames}, key=_sortable)
    return (f"{key.name} {'/'.join(values[:3])}",)


def _joined(parts: list[_Pile]) -> list[_Pile]:
    """Parts that continue each other or fill each other's gaps put together, from below."""
    scans: list[_Pile] = []
    for part in sorted(parts, key=lambda each: float(each.distinct_mm[0, 2])):
        home = next((i for i, scan in enumerate(scans) if _is_one(scan, part)), None)
        if home is None:
            scans.append(part)
        else:
            scans[home] += part
    return scans


def _is_one(scan: _Pile, part: _Pile) -> bool:
    a, b = scan.distinct_mm, part.distinct_mm
    closest = float(np.diff(np.sort(np.concatenate((a[:, 2], b[:, 2])))).min())
    own = min(float(np.diff(each[:, 2]).min(initial=np.inf)) for each in (a, b))
    if closest < SAME_PLACE_MM or (np.isfinite(own) and closest < CLOSER_SHARE * own):
        return False
    gap = max(b[0, 2] - a[-1, 2], a[0, 2] - b[-1, 2])
    return bool(gap <= _largest_step(own)) and not _jumps_sideways(a, b)


def _largest_step(usual_mm: float) -> float:
    return max(LARGEST_SPACING_MM, LARGEST_STEP_SHARE * usual_mm if np.isfinite(usual_mm) else 0)


def _jumps_sideways(a: np.ndarray, b: np.ndarray) -> bool:
    """Whether the corners of the two nearest slices are shifted by more than a gantry's tilt."""
    above = np.searchsorted(a[:, 2], b[:, 2])
    pairs = [(a[(above + i).clip(0, len(a) - 1)], b) for i in (-1, 0)]
    shifts = np.concatenate([np.abs(one - other) for one, other in pairs])
    nearest = shifts[np.argmin(shifts[:, 2])]
    return bool(nearest[:2].max() > LARGEST_SLOPE * nearest[2] + ROUNDING_MM)


def _runs(scan: Scan) -> list[Scan]:
    """The scan cut where no slice lies for too long."""
    gaps = np.flatnonzero(scan.steps_mm > _largest_step(scan.spacing_mm))
    bounds = (0, *(gaps + 1), len(scan.frames))
    widest = float(scan.steps_mm[gaps].max(initial=0.0))
    return [Scan(scan.frames[low:high], scan.apart, widest) for low, high in pairwise(bounds)]
