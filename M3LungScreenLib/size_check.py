"""Whether lungs of this size and shape can be a person's: else the voxel spacing is wrong."""

import numpy as np

Warned = tuple[tuple[str, str], ...]
CODE = "spacing"
# Lungs side by side: preterm infants have some 55 mm, the broadest adults some 330 mm.
WIDTH_MM = (45.0, 360.0)
# The tallest lungs of whole scans, with emphysema, reach some 350 mm.
GREATEST_HEIGHT_MM = 420.0
# Divers and rowers hold some 10 litres.
LARGEST_VOLUME_ML = 12_000.0
# Height over the larger of width and depth: 0.65 to 1.3 in real and simulated chests, 0.5 in
# deep expiration; of one lung alone, which is narrower, more. Pixels of half their size
# make 1.3 to 2.6 of it.
HEIGHT_TO_WIDTH = (0.40, 1.55)
HEIGHT_TO_WIDTH_OF_ONE = 1.9
# Depth over width, both lungs there: 0.48 to 1.07 in whole chests, 0.39 in a slab with effusion.
DEPTH_TO_WIDTH = (0.30, 1.4)
# An end of the lungs with more than this share of their largest area is a cut.
CUT_SHARE = 0.2
# With less than this share of the air, the smaller lung does not span its side.
BOTH_LUNGS_SHARE = 0.2
# Stray voxels do not count in the extent.
STRAY_SHARE = 0.002


def check_size(lungs: np.ndarray, spacing_mm: tuple[float, float, float]) -> Warned:
    """Warn where `lungs` (uint8 `[slice, row, column]`, 1 right, 2 left) are no person's.

    `spacing_mm` x, y, z. One slice, or lungs cut by the scan, are asked only what they show.
    """
    areas = np.array([np.count_nonzero(lungs == side) for side in (1, 2)])
    if not areas.any():
        return ()
    by_slice, by_row, by_column = (
        np.count_nonzero(lungs, axis=axes) for axes in ((1, 2), (0, 2), (0, 1))
    )
    width, depth, height = (
        _extent(counts) * step
        for counts, step in zip((by_column, by_row, by_slice), spacing_mm, strict=True)
    )
    both = areas.min() >= BOTH_LUNGS_SHARE * areas.sum()
    is_cut = max(by_slice[0], by_slice[-1]) > CUT_SHARE * by_slice.max()
    millilitres = areas.sum() * float(np.prod(spacing_mm)) / 1000
    is_believed = (
        width <= WIDTH_MM[1]
        and (width >= WIDTH_MM[0] or not both)
        and height <= GREATEST_HEIGHT_MM
        and millilitres <= LARGEST_VOLUME_ML
        and (not both or DEPTH_TO_WIDTH[0] <= depth / width <= DEPTH_TO_WIDTH[1])
        and height / max(width, depth) <= (HEIGHT_TO_WIDTH[1] if both else HEIGHT_TO_WIDTH_OF_ONE)
        and (is_cut or len(lungs) == 1 or height / max(width, depth) >= HEIGHT_TO_WIDTH[0])
    )
    return () if is_believed else ((CODE, _message(width, depth, height, spacing_mm)),)


def _extent(counts: np.ndarray) -> float:
    """Voxels between the outermost 0.2 percents."""
    total = np.concatenate([[0], np.cumsum(counts)]) / counts.sum()
    low, high = np.interp([STRAY_SHARE, 1 - STRAY_SHARE], total, np.arange(len(total)))
    return float(high - low)


def _message(
    width: float, depth: float, height: float, spacing_mm: tuple[float, float, float]
) -> str:
    spacing = " × ".join(f"{step:.3g}" for step in spacing_mm)
    return (
        f"By its voxel spacing of {spacing} mm these lungs are {width:.0f} mm wide, {depth:.0f} mm "
        f"deep and {height:.0f} mm high, as no person's are: the spacing is wrong, so volumes and "
        "slices cannot be relied on and there is no verdict. Load the original series, or correct "
        "the spacing in the file."
    )
