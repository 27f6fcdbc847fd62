"""The figures on real lesion masks, from slices whose answer is known."""

import math

import numpy as np
import pytest

from M3LungScreenLib.slice_averaging import ScreenedSlice
from Testing.benchmarks.real_lesions import SliceFigures, by_size, measure, summary


def screened(location_map: np.ndarray, p_lesion: float = 0.9) -> ScreenedSlice:
    empty = np.zeros((1, 1))
    return ScreenedSlice(p_lesion, np.zeros(4), location_map, np.zeros(3), empty, empty)


def slice_figures(mask_share: float, p_lesion: float) -> SliceFigures:
    return SliceFigures(p_lesion, mask_share, 0.125, 0.5, points_inside=True, dice=0.6)


def test_a_map_equal_to_the_mask_agrees_with_it():
    mask = np.zeros((8, 8), bool)
    mask[2:4, 1:5] = True
    found = measure(screened(mask.astype(np.float32)), mask, threshold=0.5)
    assert found.dice == 1
    assert found.points_inside
    assert found.mass_share == pytest.approx(1)
    assert found.marked_share == found.mask_share == 8 / 64


def test_a_map_beside_the_mask_does_not():
    mask = np.zeros((8, 8), bool)
    mask[:, :4] = True
    found = measure(screened((~mask).astype(np.float32)), mask, threshold=0.5)
    assert found.dice == 0
    assert not found.points_inside
    assert found.mass_share == 0


def test_a_slice_with_a_trace_of_lesion_counts_as_clear():
    ill, trace = slice_figures(0.1, 0.8), slice_figures(0.004, 0.3)
    found = summary([ill, trace])
    assert (found["with_lesion"], found["without_lesion"]) == (1, 1)
    assert found["slice_auc"] == 1
    assert math.isnan(summary([ill])["slice_auc"])


def test_each_size_is_compared_with_all_clear_slices():
    small, large, clear = (slice_figures(*each) for each in ((0.01, 0.2), (0.5, 0.9), (0, 0.4)))
    found = by_size([small, large, clear])
    assert [each["with_lesion"] for each in found.values()] == [1, 0, 1]
    assert [found[name]["slice_auc"] for name in ("under 2 %", "over 10 %")] == [0, 1]
