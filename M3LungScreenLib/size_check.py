"""Whether the lungs have a possible size and shape; if not, the voxel spacing is wrong."""

import numpy as np

Warned = tuple[tuple[str, str], ...]
CODE = "spacing"
# Both lungs together: about 55 mm in preterm infants, 330 mm in the broadest adults.
WIDTH_MM = (45.0, 360.0)
# The tallest lungs, with emphysema, reach about 350 mm.
GREATEST_HEIGHT_MM = 420.0
# Divers and rowers reach about 10 liters.
LARGEST_VOLUME_ML = 12_000.0
# Height over the larger of width and depth: 0.65 to 1.3 in real and simulated chests, 0.5 in
# deep expiration; one lung alone is narrower, so its ratio is higher. Pixels of half the true
# size give 1.3 to 2.6.
HEIGHT_TO_WIDTH = (0.40, 1.55)
HEIGHT_TO_WIDTH_OF_ONE = 1.9
# Depth over width of both lungs: 0.48 to 1.07 in whole chests, 0.39 in a slab with effusion.
DEPTH_TO_WIDTH = (0.30, 1.4)
# If an end slice has more than this share of the largest lung area, the lungs are cut off.
CUT_SHARE = 0.2
# A smaller lung with less than this share of the volume does not fill its side.
BOTH_LUNGS_SHARE = 0.2
# Stray voxels do not count in the extent.
STRAY_SHARE = 0.002


def check_size(lungs: np.ndarray, spacing_mm: tuple[float, float, float]) -> Warned:
    """Warn if `lungs` (uint8 `[slice, row, column]`, 1 right, 2 left) have an impossible size.

    `spacing_mm` is x, y, z. A single slice or cut lungs are not checked for too little height.
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
        f"With a voxel spacing of {spacing} mm, the lungs would be {width:.0f} mm wide, "
        f"{depth:.0f} mm deep and {height:.0f} mm high, which is not possible in a person. The "
        "spacing must be wrong, so there is no verdict. Load the original series, or correct the "
        "spacing in the file."
    )
