"""Prepares a CT for the networks: finds the lungs and crops the slices to them (III-A)."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from M3LungScreenLib.airless_lung import check_airless_lung
from M3LungScreenLib.continuity import check_continuity
from M3LungScreenLib.coverage import Coverage, check_lungs, measure_coverage
from M3LungScreenLib.ct import CTVolume
from M3LungScreenLib.errors import InputRefused
from M3LungScreenLib.lungs import PARTS, segment_lungs
from M3LungScreenLib.orientation_check import check_orientation
from M3LungScreenLib.preprocessing import Crop, find_crops
from M3LungScreenLib.projection_check import check_projection
from M3LungScreenLib.settings import PreprocessingSettings
from M3LungScreenLib.size_check import check_size
from M3LungScreenLib.suitability import Warned, suitable


@dataclass(frozen=True)
class Chest:
    """A volume ready to be screened, with its lungs, crops and warnings."""

    volume: CTVolume
    lungs: np.ndarray  # uint8 [slice, row, column]: 1 right, 2 left
    crops: tuple[Crop | None, ...]
    warnings: tuple[tuple[str, str], ...]
    coverage: Coverage

    @property
    def informative(self) -> list[int]:
        return [k for k, crop in enumerate(self.crops) if crop is not None]


def prepare(
    volume: CTVolume,
    settings: PreprocessingSettings,
    tell: Callable[[int, int], None] = lambda done, total: None,
) -> Chest:
    """Check the CT, find its lungs and crop every slice to them (III-A).

    `tell` is called with the finished and total number of steps. Raises InputRefused as
    `suitable` does, and if there are no lungs.
    """
    total = PARTS + 1
    tell(0, total)
    volume = suitable(volume)
    orientation = check_orientation(volume.hu)
    lungs = segment_lungs(volume, lambda part: tell(part, total))
    coverage = measure_coverage(lungs, volume)
    doubts = _check_lungs(lungs, volume, coverage, orientation)
    broken = (*check_continuity(volume), *check_projection(volume))
    airless = check_airless_lung(volume.hu, lungs)
    crops = find_crops(volume, lungs, settings)
    tell(total, total)
    warnings = (*volume.warnings, *broken, *orientation, *doubts, *airless)
    return Chest(volume, lungs, crops, warnings, coverage)


def _check_lungs(
    lungs: np.ndarray, volume: CTVolume, coverage: Coverage, orientation: Warned
) -> Warned:
    """Warnings about the lungs. If none are found because axes are swapped, says that instead."""
    try:
        found = check_lungs(lungs, coverage)
    except InputRefused:
        for code, message in orientation:
            raise InputRefused(code, message) from None
        raise
    return found if orientation else (*found, *check_size(lungs[volume.scanned], volume.spacing_mm))
