"""CT stored as images, one per slice: HU can only be estimated from grey values."""

import struct
from pathlib import Path

import numpy as np
from skimage.io import imread
from skimage.util import img_as_ubyte

from M3LungScreenLib.ct import CTVolume
from M3LungScreenLib.errors import InputRefused
from M3LungScreenLib.reading import read_ct
from Training.datasets.examination import slice_images

# Images lack this; usual values are assumed: a lung window of 1500 HU at -600, a field of view
# of 350 mm, slices 5 mm apart.
BLACK_HU, WHITE_HU = -1350, 150
FIELD_MM, SLICE_MM = 350.0, 5.0


def read_case_ct(path: Path) -> CTVolume:
    """A CT as `read_ct` reads it, or a folder of images numbered from head to feet.

    Raises InputRefused.
    """
    files = slice_images(path)
    if not files:
        return read_ct(path)
    pictures = [_grey(each) for each in reversed(files)]
    shapes = sorted({each.shape for each in pictures})
    if len(shapes) > 1:
        sizes = ", ".join("×".join(map(str, each)) for each in shapes)
        raise InputRefused("pictures", f"The images in {path} differ in size: {sizes}.")
    grey = np.stack(pictures).astype(np.float32)
    hu = np.rint(BLACK_HU + grey * (WHITE_HU - BLACK_HU) / 255).astype(np.int16)
    pixel_mm = FIELD_MM / max(grey.shape[1:])
    return CTVolume.from_array(hu, (pixel_mm, pixel_mm, SLICE_MM))


def _grey(path: Path) -> np.ndarray:
    """uint8 `[row, column]`; InputRefused if the file cannot be read."""
    try:
        return np.asarray(img_as_ubyte(imread(path, as_gray=True)))
    except (OSError, ValueError, RuntimeError, SyntaxError, struct.error):
        raise InputRefused("pictures", f"{path} is damaged. Download it again.") from None
