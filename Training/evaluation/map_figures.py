"""Agreement of location maps and label maps with truth masks."""

import math
from dataclasses import dataclass

import numpy as np

from M3LungScreenLib.result import Result
from Training.evaluation.metrics import auc, dice, pointing_game


@dataclass(frozen=True)
class MapFigures:
    """Agreement in one case; None if there is no lesion, or nothing else.

    `dice` is the label map's; `pixel_auc` the location map's over lungs and mask; `pointing_game`
    over slices with lesion.
    """

    dice: float | None
    pixel_auc: float | None
    pointing_game: float | None


def map_figures(mask: np.ndarray, result: Result) -> MapFigures:
    """Agreement of the result's arrays with `mask`, bool of their shape."""
    arrays = result.arrays
    asked = (arrays.lungs > 0) | mask
    location = np.asarray(arrays.lesion_location_map)
    figures = (
        dice(mask, arrays.lesions > 0),
        auc(mask[asked], location[asked]),
        pointing_game(mask, location),
    )
    return MapFigures(*(None if math.isnan(each) else each for each in figures))
