"""A small made-up chest in noise, and what files do to the picture around it."""

import numpy as np
from scipy import ndimage

SPACING_MM = (5.0, 5.0, 4.0)
SHAPE = (24, 72, 80)


def a_noisy_chest(seed: int = 0, shape: tuple[int, int, int] = SHAPE) -> np.ndarray:
    """HU int16 `[slice, row, column]`: a body of fat and muscle, two lungs, a spine, air around."""
    rng = np.random.default_rng(seed)
    k, row, column = np.indices(shape) / np.reshape(shape, (3, 1, 1, 1))
    hu = np.full(shape, -1000.0)
    hu[(row - 0.5) ** 2 / 0.16 + (column - 0.5) ** 2 / 0.2 < 1] = -100
    hu[(row - 0.5) ** 2 / 0.13 + (column - 0.5) ** 2 / 0.17 < 1] = 45
    hu[(row - 0.74) ** 2 + (column - 0.5) ** 2 < 0.05**2] = 400
    for middle in (0.32, 0.68):
        lung = (row - 0.48) ** 2 / 0.05 + (column - middle) ** 2 / 0.018 < 1
        hu[lung & (np.abs(k - 0.5) < 0.4)] = -850
    noise = ndimage.gaussian_filter(rng.normal(0, 1, shape), (0, 0.6, 0.6))
    return np.rint(hu + 20 * noise / noise.std()).astype(np.int16)


def beyond_the_circle(shape: tuple[int, int, int] = SHAPE) -> np.ndarray:
    """bool `[row, column]`: outside the ellipse that fits the slice."""
    row, column = np.indices(shape[1:]) + 0.5
    high, wide = shape[1:]
    return (row / high - 0.5) ** 2 + (column / wide - 0.5) ** 2 > 0.25


def turned(hu: np.ndarray, degrees: float, fill: float, order: int = 1) -> np.ndarray:
    """float64: every slice turned in its plane, `fill` where it came from nowhere.

    Linear interpolation mixes fill into the picture's border, as MONAI does; cubic
    stops there, as SciPy and ITK do.
    """
    mode = "grid-constant" if order == 1 else "constant"
    return ndimage.rotate(
        hu.astype(float), degrees, (1, 2), reshape=False, order=order, mode=mode, cval=fill
    )
