"""Truth masks of whole volumes."""

from pathlib import Path

import numpy as np
import SimpleITK as sitk

from M3LungScreenLib.ct import AXIAL, CTVolume
from M3LungScreenLib.errors import InputRefused
from M3LungScreenLib.files.reading import read_image


def read_mask(path: Path, volume: CTVolume) -> np.ndarray:
    """bool `[slice, row, column]` like `volume.hu`, True where the file is not 0.

    InputRefused if it is damaged, truncated or does not lie on the volume.
    """
    try:
        image, _ = read_image(path)
    except InputRefused as refusal:
        raise InputRefused("mask", f"The mask {refusal.message}") from None
    if image.GetDimension() != 3 or image.GetSize() != volume.stored.size:
        raise InputRefused(
            "mask",
            f"The mask {path.name} has {image.GetSize()} voxels, but the CT {volume.stored.size}. "
            "Save it in the CT's geometry.",
        )
    if not _same_place(image, volume):
        raise InputRefused(
            "mask",
            f"The mask {path.name} does not lie on the CT. Save it in the CT's geometry.",
        )
    return np.asarray(sitk.GetArrayFromImage(sitk.DICOMOrient(image, AXIAL)) != 0)


def _same_place(image: sitk.Image, volume: CTVolume) -> bool:
    stored, millimetre = volume.stored, 1.0
    apart = np.abs(np.subtract(image.GetOrigin(), stored.origin_mm)).max()
    turned = np.abs(np.subtract(image.GetDirection(), stored.direction)).max()
    scaled = np.abs(np.subtract(image.GetSpacing(), stored.spacing_mm)).max()
    return bool(apart < millimetre and turned < 0.01 and scaled < 0.01)
