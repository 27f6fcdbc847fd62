"""Where a radiologist drew lesions: single 8-bit slices without HU, and the location map there."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from skimage.filters import threshold_otsu
from sklearn.metrics import roc_auc_score

from M3LungScreenLib.assessment import calibrated_p_lesion
from M3LungScreenLib.bundle import Bundle
from M3LungScreenLib.engines.interface import Engine
from M3LungScreenLib.preprocessing import Crop, network_input, paste

# What the two anchors of a grey scale are in HU.
CLEAR_LUNG_HU, SOFT_TISSUE_HU = -850.0, 40.0
CLEAR_LUNG_PERCENTILE = 25


@dataclass(frozen=True)
class MaskedSlice:
    """`hu` int16 and `mask` bool `[row, column]`, front above."""

    hu: np.ndarray
    mask: np.ndarray


@dataclass(frozen=True)
class MapFigures:
    """How a location map agrees with a mask; `area_share` is what chance would give."""

    p_lesion: float
    mass_share: float
    area_share: float
    points_inside: bool
    dice: float
    pixel_auc: float


def read_masked_slices(folder: Path) -> list[MaskedSlice]:
    """The pictures in `folder`/images with their masks, turned upright."""
    found = []
    for path in sorted((folder / "images").glob("*.jpg")):
        grey = sitk.GetArrayFromImage(sitk.ReadImage(path))
        mask = sitk.GetArrayFromImage(sitk.ReadImage(folder / "masks" / f"{path.stem}.png"))
        found.append(MaskedSlice(hu_of(np.rot90(grey, -1)), np.rot90(mask, -1) > 0))
    return found


def hu_of(grey: np.ndarray) -> np.ndarray:
    """HU from a grey scale of unknown window: clear lung and soft tissue are its anchors.

    Otsu's threshold parts lung from tissue; the dark part's lower quartile is taken for
    clear lung, -850 HU, the bright part's median for soft tissue, 40 HU.
    """
    threshold = threshold_otsu(grey)
    lung = np.percentile(grey[grey <= threshold], CLEAR_LUNG_PERCENTILE)
    tissue = float(np.median(grey[grey > threshold]))
    slope = (SOFT_TISSUE_HU - CLEAR_LUNG_HU) / max(1.0, tissue - lung)
    return np.rint(CLEAR_LUNG_HU + (grey - lung) * slope).astype(np.int16)


def measure(each: MaskedSlice, engine: Engine, bundle: Bundle) -> MapFigures:
    """The network on the whole picture, which its makers cropped to the lungs."""
    settings = bundle.settings
    crop = Crop(0, 0, *each.hu.shape)
    out = engine.run_slices(network_input(each.hu, crop, settings.preprocessing))
    location = paste(out.location_map.mean(axis=0), crop, each.hu.shape)
    p_lesion = float(calibrated_p_lesion(out.p_lesion, settings.assessment).mean())
    return map_figures(location, each.mask, p_lesion, settings.localization.threshold)


def map_figures(
    location: np.ndarray, mask: np.ndarray, p_lesion: float, threshold: float
) -> MapFigures:
    """`location` in [0, 1] and `mask` bool, both of one shape."""
    found = location > threshold
    overlap = 2 * np.count_nonzero(found & mask) / max(1, found.sum() + mask.sum())
    return MapFigures(
        p_lesion=p_lesion,
        mass_share=float(location[mask].sum() / max(location.sum(), 1e-9)),
        area_share=float(mask.mean()),
        points_inside=bool(mask.ravel()[location.argmax()]),
        dice=float(overlap),
        pixel_auc=float(roc_auc_score(mask.ravel(), location.ravel())),
    )
