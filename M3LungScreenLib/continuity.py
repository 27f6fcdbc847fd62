"""Whether neighboring slices fit together; if not, some are out of order, flipped or empty.

The body changes gradually from slice to slice: the two neighbors of a slice differ more from each
other than from the slice between them. In coarse pictures, where noise and single vessels average
out, this holds in real scans with slices up to 10 mm apart, even with breathing motion.
"""

import numpy as np

from M3LungScreenLib.ct import CTVolume
from M3LungScreenLib.outside import OUTSIDE_HU

Warned = tuple[tuple[str, str], ...]
CODE = "discontinuous"
REPEATED = "repeated_slices"
END = "odd_end_slice"
# Coarse pictures have about this many pixels along a side; values from air to soft tissue.
PIXELS = 32
AIR_HU, TISSUE_HU = -1000, 200
# Difference of a slice from both neighbors over that between the neighbors: at most 1.2 in 22
# real scans; 5.6 if every second slice is mirrored.
STRANGE = 3.0
# Difference of two neighbors over the usual difference around them: at most 3.1 in real scans;
# 9.7 if half of a scan is flipped.
BREAK = 6.0
# Smaller mean differences are never a break: real slices 10 mm apart differ by 40 to 130 HU.
LEAST_BREAK_HU = 60.0
# Simulated slices can be nearly equal; real slices differ by at least 7 HU.
LEAST_STEP_HU = 3.0
# Number of steps on each side that define the usual difference.
AROUND = 2
FEWEST_SLICES = 4


def check_continuity(volume: CTVolume) -> Warned:
    """Warn of slices that do not fit their neighbors, and of repeated slices."""
    hu, start = volume.hu[volume.scanned], volume.scanned.start
    if len(hu) < FEWEST_SLICES:
        return ()
    new = [0, *(k for k in range(1, len(hu)) if not np.array_equal(hu[k], hu[k - 1]))]
    pictures = np.stack([_coarse(hu[k]) for k in new])
    found, last = _breaks(pictures), len(new) - 1
    # One slice at an end, such as a clipped one, says nothing against the others.
    ends = [k for k, at in ((0, 1), (last, last)) if at in found]
    inner = [k for k in found if k not in (1, last)]
    strange, breaks, odd = (
        [volume.stored_slice_index(start + new[i]) for i in each]
        for each in (_strange(pictures), inner, ends)
    )
    repeated = _repeated(len(hu) - len(new), len(hu))
    if len(new) < FEWEST_SLICES:
        return (*repeated, _broken("nearly all slices are identical"))
    if strange:
        verb = "are" if len(strange) > 1 else "is"
        return (*repeated, _broken(f"{_listed(strange)} {verb} unlike both neighbors"))
    if breaks:
        return (*repeated, _broken(f"the anatomy changes abruptly at {_listed(breaks)}"))
    return (*repeated, *_odd_ends(odd))


def _coarse(hu_slice: np.ndarray) -> np.ndarray:
    """Means over blocks, float32; for large blocks, some of the pixels are enough."""
    rows, columns = (max(1, size // (4 * PIXELS)) for size in hu_slice.shape)
    small = np.where(hu_slice[::rows, ::columns] > OUTSIDE_HU, hu_slice[::rows, ::columns], AIR_HU)
    high, wide = (max(1, size // PIXELS) for size in small.shape)
    whole = small[: small.shape[0] // high * high, : small.shape[1] // wide * wide]
    blocks = np.clip(whole, AIR_HU, TISSUE_HU).reshape(len(whole) // high, high, -1, wide)
    return np.asarray(blocks.mean(axis=(1, 3), dtype=np.float32))


def _steps(pictures: np.ndarray, apart: int = 1) -> np.ndarray:
    """Mean difference (HU) between pictures this many slices apart."""
    return np.asarray(np.abs(pictures[apart:] - pictures[:-apart]).mean(axis=(1, 2)))


def _strange(pictures: np.ndarray) -> list[int]:
    """Slices that differ from both neighbors, although these are similar."""
    step, over = _steps(pictures), _steps(pictures, 2)
    nearer = np.minimum(step[:-1], step[1:])
    is_strange = (nearer > LEAST_BREAK_HU) & (nearer > STRANGE * np.maximum(over, LEAST_STEP_HU))
    return [int(i) + 1 for i in np.flatnonzero(is_strange)]


def _breaks(pictures: np.ndarray) -> list[int]:
    """Slices that differ from the previous one far more than is usual around them."""
    step = _steps(pictures)
    usual = [
        max([*step[max(0, i - AROUND) : i], *step[i + 1 : i + 1 + AROUND], LEAST_STEP_HU])
        for i in range(len(step))
    ]
    is_break = (step > LEAST_BREAK_HU) & (step > BREAK * np.array(usual))
    return [int(i) + 1 for i in np.flatnonzero(is_break)]


def _listed(indices: list[int]) -> str:
    shown = ", ".join(map(str, indices[:3]))
    more = f" and {len(indices) - 3} more" if len(indices) > 3 else ""
    return f"slice{'s' if len(indices) > 1 else ''} {shown}{more}"


def _broken(what: str) -> tuple[str, str]:
    return (
        CODE,
        f"The slices do not fit together: {what}. Some may be missing, out of order, flipped "
        "or empty, so there is no verdict. Load the original series.",
    )


def _odd_ends(odd: list[int]) -> Warned:
    if not odd:
        return ()
    verb = "do" if len(odd) > 1 else "does"
    text = (
        f"{_listed(odd)} at the end of the scan {verb} not fit the next slice: it may be damaged, "
        "clipped or from another scan. The result includes it."
    )
    return ((END, text[0].upper() + text[1:]),)


def _repeated(count: int, of: int) -> Warned:
    if not count:
        return ()
    text = (
        f"{count} of {of} slices are identical to the slice before, so part of the lungs may not "
        "have been seen. Load the original series."
    )
    return ((REPEATED, text),)
