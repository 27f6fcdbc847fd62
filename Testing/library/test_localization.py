import numpy as np
import pytest

from M3LungScreenLib.localization import label_map, location_volume
from M3LungScreenLib.preprocessing import Crop


def test_a_map_lies_in_its_crop_and_nowhere_else():
    crop = Crop(row=10, column=20, rows=16, columns=24)
    volume = location_volume({1: np.ones((4, 4), np.float32)}, [None, crop], (2, 40, 60))
    assert volume.dtype == np.float32
    assert volume[1, 10:26, 20:44] == pytest.approx(1)
    assert volume.sum() == pytest.approx(16 * 24)


def test_the_hottest_cell_lands_on_its_own_voxels():
    hot = np.zeros((4, 4), np.float32)
    hot[1, 2] = 1
    volume = location_volume({0: hot}, [Crop(8, 8, 32, 64)], (1, 64, 96))
    row, column = np.unravel_index(volume[0].argmax(), volume[0].shape)
    assert 8 + 8 <= row < 8 + 16
    assert 8 + 32 <= column < 8 + 48


def test_the_label_map_is_inside_the_lungs_over_the_threshold_and_bears_the_slice_class():
    location = np.full((3, 2, 2), 0.6, np.float32)
    location[:, 0, 0] = 0.5
    lungs = np.array([[[1, 1], [2, 0]]] * 3, np.uint8)
    lesions = label_map(location, lungs, [0, 3, None], threshold=0.5)
    assert lesions.dtype == np.uint8
    assert lesions[1].tolist() == [[0, 3], [3, 0]]
    assert not lesions[0].any()
    assert not lesions[2].any()
