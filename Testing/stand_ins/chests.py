"""Small chests with two lungs, each a little different, to make data sets of."""

from pathlib import Path

import numpy as np
import SimpleITK as sitk

SPACING_MM = (5.0, 5.0, 3.0)


def a_small_chest(seed: int = 0, slices: int = 12) -> np.ndarray:
    """HU int16 `[slice, row, column]`, 64×64: two lungs in a body, noise by `seed`."""
    hu = np.full((slices, 64, 64), -990, np.int16)
    hu[:, 10:54, 6:58] = 40
    hu[:, 18:44, 12:28] = hu[:, 18:44, 36:52] = -850
    return hu + np.random.default_rng(seed).integers(-20, 20, hu.shape).astype(np.int16)


def write_volume(path: Path, array: np.ndarray, **metadata: str) -> Path:
    """The array as a volume file, slices from feet to head; `metadata` goes into its header."""
    image = sitk.GetImageFromArray(array)
    image.SetSpacing(SPACING_MM)
    for key, value in metadata.items():
        image.SetMetaData(key, value)
    path.parent.mkdir(parents=True, exist_ok=True)
    sitk.WriteImage(image, str(path))
    return path
