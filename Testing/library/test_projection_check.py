"""Projections of slabs, told from scans by the values that neighbors share."""

import numpy as np
import pytest
from scipy import ndimage

from M3LungScreenLib.chest import prepare
from M3LungScreenLib.ct import CTVolume
from M3LungScreenLib.projection_check import CODE, check_projection
from M3LungScreenLib.settings import PreprocessingSettings
from M3LungScreenLib.suitability import DOUBTFUL
from Testing.stand_ins.filled import SPACING_MM, a_noisy_chest


def codes(hu: np.ndarray) -> list[str]:
    return [code for code, _ in check_projection(CTVolume.from_array(hu, SPACING_MM))]


@pytest.fixture(scope="module")
def a_chest() -> np.ndarray:
    return a_noisy_chest(shape=(48, 72, 80))


@pytest.mark.parametrize("project", [ndimage.maximum_filter1d, ndimage.minimum_filter1d])
@pytest.mark.parametrize(("thickness", "step"), [(2, 1), (5, 1), (5, 2), (5, 3)])
def test_a_projection_of_overlapping_slabs_is_found(a_chest, project, thickness, step):
    assert codes(project(a_chest, thickness, axis=0)[::step]) == [CODE]


CHANGES = {
    "as it is": lambda hu: hu,
    "averaged slabs": lambda hu: ndimage.uniform_filter1d(hu, 5, axis=0),
    "smooth": lambda hu: np.rint(ndimage.gaussian_filter(hu.astype(float), (0, 1.5, 1.5))),
    "in steps of 12": lambda hu: hu // 12 * 12,
    "clipped": lambda hu: np.clip(hu, -1000, 60),
    "every slice twice": lambda hu: np.repeat(hu, 2, axis=0),
    "without noise": lambda hu: np.where(hu < -900, -1000, np.where(hu < -400, -850, 40)),
}


@pytest.mark.parametrize("change", CHANGES)
def test_scans_are_no_projection_whatever_was_done_to_them(a_chest, change):
    assert codes(CHANGES[change](a_chest).astype(np.int16)) == []


def test_a_projection_gets_no_verdict(a_chest):
    volume = CTVolume.from_array(ndimage.maximum_filter1d(a_chest, 5, axis=0), SPACING_MM)
    found = [code for code, _ in prepare(volume, PreprocessingSettings()).warnings]
    assert CODE in found
    assert CODE in DOUBTFUL
