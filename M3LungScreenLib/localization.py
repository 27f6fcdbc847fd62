"""Location maps back in the CT's own voxels, and the label map drawn from them."""

from collections.abc import Sequence

import numpy as np

from M3LungScreenLib.preprocessing import Crop, paste


def location_volume(
    maps: dict[int, np.ndarray], crops: Sequence[Crop | None], shape: tuple[int, int, int]
) -> np.ndarray:
    """Per-slice maps `[h, w]` in [0, 1] as one float32 volume `[slice, row, column]`.

    `maps` by axial slice, each pasted into its slice's crop; 0 elsewhere.
    """
    volume = np.zeros(shape, np.float32)
    for k, location_map in maps.items():
        crop = crops[k]
        if crop is not None:
            volume[k] = paste(location_map, crop, shape[1:])
    return volume


def label_map(
    location: np.ndarray, lungs: np.ndarray, slice_classes: Sequence[int | None], threshold: float
) -> np.ndarray:
    """Class index of each lesion voxel, uint8 `[slice, row, column]`, 0 elsewhere.

    A voxel is lesion where the location map is over `threshold` inside the lungs;
    it bears its slice's Eq. 4 class, so that a slice called Healthy has none.
    """
    classes = np.array([each or 0 for each in slice_classes], np.uint8)
    lesion = (location > threshold) & (lungs > 0)
    return np.asarray(lesion * classes[:, None, None], np.uint8)
