"""Whether slices are maximum or minimum projections of overlapping slabs.

The brightest value of a slab is often also that of the next, overlapping one: many voxels then have
exactly the value of their neighbor above. In a scan, noise makes that as rare as a difference of
one step.
"""

import numpy as np

from M3LungScreenLib.ct import CTVolume

Warned = tuple[tuple[str, str], ...]
CODE = "projection"
# Darker is air, which files often clip to one value.
AIR_BELOW_HU = -950
# In 23 real scans at most 7 % of values are those of the neighbor, 1.6 times as many as differ by
# one step; in projections of slabs that overlap by 40 % or more it is at least 21 %, and 10 times.
SMALLEST_SHARE = 0.12
SMALLEST_RATIO = 4.0
# Equal neighbors within a slice mean smooth or artificial data, not a projection.
SMALLEST_RATIO_IN_PLANE = 1.5
FEWEST_VOXELS, MOST_PAIRS = 500, 24


def check_projection(volume: CTVolume) -> Warned:
    """Warn if most neighboring slices share far more values than noise allows."""
    hu = volume.hu[volume.scanned]
    pairs = range(0, len(hu) - 1, max(1, len(hu) // MOST_PAIRS))
    shares = [found for k in pairs if (found := _shares(hu[k], hu[k + 1])) is not None]
    if not shares:
        return ()
    equal, one_step, in_plane = np.median(shares, axis=0)
    is_projection = (
        equal >= SMALLEST_SHARE
        and equal >= SMALLEST_RATIO * one_step
        and equal >= SMALLEST_RATIO_IN_PLANE * in_plane
    )
    return ((CODE, _message(equal)),) if is_projection else ()


def _shares(lower: np.ndarray, upper: np.ndarray) -> tuple[float, float, float] | None:
    """Which shares of voxels equal the next slice's, differ by one step, equal the next column's.

    None for too few voxels or a repeated slice.
    """
    shown = (lower > AIR_BELOW_HU) & (upper > AIR_BELOW_HU) & (lower < lower.max())
    apart = np.abs(lower[shown].astype(np.int32) - upper[shown])
    if apart.size < FEWEST_VOXELS or not apart.any():
        return None
    one_step = np.mean(apart == apart[apart > 0].min()) / 2
    beside = shown[:, 1:] & shown[:, :-1]
    in_plane = np.mean((lower[:, 1:] == lower[:, :-1])[beside])
    return float(np.mean(apart == 0)), float(one_step), float(in_plane)


def _message(share: float) -> str:
    return (
        f"{100 * share:.0f} % of the values are exactly those of the neighboring slice, as in a "
        "maximum or minimum projection (MIP, MinIP), where healthy lungs look diseased. So there "
        "is no verdict. Load the original series."
    )
