"""The figures on real CT: rules, intervals and map measures against hand-worked cases."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from Testing.benchmarks.labelled_patients import compare
from Testing.benchmarks.masked_slices import hu_of, map_figures
from Testing.benchmarks.plain_rules import block_interval, nearness_to_mid_lung, opacity_share


def test_the_share_of_opacity_leaves_out_the_rim_and_thin_vessels():
    lungs = np.ones((1, 26, 26), np.uint8)
    lungs[:, [0, -1]] = lungs[:, :, [0, -1]] = 0  # 24 x 24; 3 mm off each side leave 18 x 18
    hu = np.full(lungs.shape, -850)
    hu[0, 12, :] = -300  # a vessel of one pixel
    hu[0, 5:11, 5:11] = -300  # an opacity of 36 pixels
    assert opacity_share(hu, lungs, (1.0, 1.0, 5.0))[0] == pytest.approx(36 / 18**2)


def test_mid_lung_is_nearest_and_slices_without_lung_do_not_count():
    lungs = np.zeros((9, 2, 2), np.uint8)
    lungs[2:7] = 1
    assert nearness_to_mid_lung(lungs)[2:7].tolist() == [0, 0.5, 1, 0.5, 0]


def test_a_block_interval_is_wider_than_one_of_single_slices():
    truth = np.repeat([0.0, 1.0], 50)
    low, high = block_interval(lambda i: float(truth[i].mean()), [100])
    single = 1.96 * truth.std() / np.sqrt(len(truth))
    assert low < 0.5 - 1.5 * single < 0.5 + 1.5 * single < high


def test_slices_that_do_not_count_change_no_auc():
    rng = np.random.default_rng(2)
    truth = (rng.random(120) < 0.4).astype(int)
    network, rule = truth + rng.normal(0, 0.5, 120), truth + rng.normal(0, 2, 120)
    counted = (truth > 0) | (np.arange(120) < 70)
    network[~counted] = rule[~counted] = 9.0
    found = compare(truth, network, rule, [60, 60], counted)
    kept = np.flatnonzero(counted)
    assert found["auc"] == pytest.approx(roc_auc_score(truth[kept], rule[kept]))
    ahead = roc_auc_score(truth[kept], network[kept]) - found["auc"]
    assert found["interval"][0] < found["auc"] < found["interval"][1]
    assert found["network_ahead_by"][0] < ahead < found["network_ahead_by"][1]


def test_grey_values_come_back_as_hu():
    rng = np.random.default_rng(0)
    hu = np.where(rng.random((80, 80)) < 0.5, -850, 40) + rng.normal(0, 5, (80, 80))
    grey = np.clip((hu + 1200) / 1400 * 255, 0, 255).astype(np.uint8)
    assert np.abs(hu_of(grey) - hu).max() < 60


def test_a_map_is_measured_against_its_mask():
    mask = np.zeros((4, 4), bool)
    mask[:2, :2] = True
    location = np.where(mask, 0.6, 0.1)
    location[3, 3] = 0.9
    found = map_figures(location, mask, p_lesion=0.7, threshold=0.5)
    assert found.mass_share == pytest.approx(2.4 / (2.4 + 1.1 + 0.9))
    assert found.area_share == 0.25
    assert found.dice == pytest.approx(2 * 4 / (5 + 4))
    assert not found.points_inside
    assert found.pixel_auc == pytest.approx(1 - 4 / (4 * 12))
