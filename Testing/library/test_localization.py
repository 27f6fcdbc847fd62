"""Maps on the CT's voxels, and lesions that each bear one class."""

from collections import deque
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from M3LungScreenLib.localization import label_map, lesion_class_votes, location_volume
from M3LungScreenLib.preprocessing import Crop, paste

HALF_A_STEP = 0.0021  # of the map's 1/250
ALL_LUNG = np.ones((3, 2, 2), np.uint8)


# --- the location map


def test_a_map_lies_in_its_crop_and_nowhere_else():
    crop, lungs = Crop(row=10, column=20, rows=16, columns=24), np.ones((2, 40, 60), np.uint8)
    volume = location_volume({1: np.ones((4, 4), np.float32)}, {1: crop}, lungs)
    assert volume.dtype == np.float32
    assert volume[1, 10:26, 20:44] == pytest.approx(1)
    assert volume[:].sum() == pytest.approx(16 * 24)


def test_the_hottest_cell_lands_on_its_own_voxels():
    hot = np.zeros((4, 4), np.float32)
    hot[1, 2] = 1
    lungs = np.ones((1, 64, 96), np.uint8)
    volume = location_volume({0: hot}, {0: Crop(8, 8, 32, 64)}, lungs)
    row, column = np.unravel_index(volume[0].argmax(), volume[0].shape)
    assert 8 + 8 <= row < 8 + 16
    assert 8 + 32 <= column < 8 + 48


def test_the_map_is_0_outside_the_lungs_and_untouched_within():
    rng = np.random.default_rng(0)
    lungs = rng.integers(0, 3, (1, 20, 20)).astype(np.uint8)
    crop, cells = Crop(0, 0, 20, 20), rng.random((5, 5)).astype(np.float32)
    volume = location_volume({0: cells}, {0: crop}, lungs)
    assert not volume[lungs == 0].any()
    expected = paste(cells, crop, (20, 20))[None][lungs > 0]
    assert volume[lungs > 0] == pytest.approx(expected, abs=HALF_A_STEP)


def test_a_neighbour_that_did_not_see_a_voxel_has_no_say_in_it():
    """The upper slice's crop leaves out the last column, where the lower one's is 0.8."""
    crops = {0: Crop(0, 0, 4, 4), 1: Crop(0, 0, 4, 3)}
    maps = {0: np.full((2, 2), 0.8, np.float32), 1: np.full((2, 2), 0.2, np.float32)}
    volume = location_volume(maps, crops, np.ones((2, 4, 4), np.uint8), sigma=1.0)
    beside = np.exp(-0.5)
    assert volume[0, :, 3] == pytest.approx(0.8)
    assert volume[0, :, :3] == pytest.approx((0.8 + 0.2 * beside) / (1 + beside), abs=HALF_A_STEP)


@given(st.integers(0, 10_000), st.floats(0.3, 2.0))
def test_a_voxel_is_the_weighted_mean_over_the_crops_that_cover_it(seed, sigma):
    rng = np.random.default_rng(seed)
    shape, reach = (6, 9, 8), int(3 * sigma + 0.5)
    crops = {k: _random_crop(rng, shape[1:]) for k in range(6) if rng.random() < 0.8}
    maps = {k: rng.random((3, 3)).astype(np.float32) for k in crops}
    lungs = np.zeros(shape, np.uint8)
    for k, crop in crops.items():
        lungs[k][crop.window] = rng.integers(0, 3, (crop.rows, crop.columns))
    found = location_volume(maps, crops, lungs, sigma)
    pasted = {k: paste(maps[k], crops[k], shape[1:]) for k in crops}
    for k, row, column in np.argwhere(lungs):
        seen = [j for j in crops if abs(j - k) <= reach and _covers(crops[j], row, column)]
        weights = [np.exp(-((j - k) ** 2) / (2 * sigma**2)) for j in seen]
        expected = np.average([pasted[j][row, column] for j in seen], weights=weights)
        assert found[k, row, column] == pytest.approx(expected, abs=HALF_A_STEP)
    assert not found[lungs == 0].any()


def _random_crop(rng, shape):
    top, left = rng.integers(0, shape[0] - 2), rng.integers(0, shape[1] - 2)
    return Crop(
        int(top),
        int(left),
        int(rng.integers(2, shape[0] - top + 1)),
        int(rng.integers(2, shape[1] - left + 1)),
    )


def _covers(crop, row, column):
    return (
        crop.row <= row < crop.row + crop.rows
        and crop.column <= column < crop.column + crop.columns
    )


# --- the label map


def surely(*classes):
    return np.eye(4)[list(classes)]


def test_a_lesion_is_inside_the_lungs_over_the_threshold_where_the_slice_is_not_healthy():
    location = np.full((3, 2, 2), 0.6, np.float32)
    location[:, 0, 0] = 0.5
    lungs = np.array([[[1, 1], [2, 0]]] * 3, np.uint8)
    lesions = label_map(location, lungs, surely(0, 3, 0), None, threshold=0.5)
    assert lesions.dtype == np.uint8
    assert lesions[1].tolist() == [[0, 3], [3, 0]]
    assert not lesions[0].any()
    assert not lesions[2].any()


def test_a_lesion_across_slices_of_several_classes_wears_one():
    location = np.ones((3, 2, 2), np.float32)
    of_slices = np.array([[0.1, 0.6, 0.2, 0.1], [0.1, 0.1, 0.2, 0.6], [0.1, 0.7, 0.1, 0.1]])
    assert (label_map(location, ALL_LUNG, of_slices, None, 0.5) == 1).all()


def test_the_patient_decides_where_slices_are_torn():
    """By the slices alone COVID-19; times the patient's probabilities CAP."""
    location = np.ones((3, 2, 2), np.float32)
    of_slices = np.tile([0.1, 0.5, 0.0, 0.4], (3, 1))
    patient = np.array([0.0, 0.3, 0.0, 0.7])
    assert (label_map(location, ALL_LUNG, of_slices, None, 0.5) == 1).all()
    assert (label_map(location, ALL_LUNG, of_slices, patient, 0.5) == 3).all()


def test_a_healthy_verdict_keeps_a_lesion_in_the_likeliest_diseases_colour():
    location = np.ones((3, 2, 2), np.float32)
    of_slices = np.tile([0.2, 0.3, 0.3, 0.2], (3, 1))
    patient = np.array([0.99, 0.002, 0.005, 0.003])
    assert (label_map(location, ALL_LUNG, of_slices, patient, 0.5) == 2).all()


def test_votes_are_the_products_renormalised_over_the_diseases():
    votes = lesion_class_votes(np.array([[0.4, 0.3, 0.2, 0.1]]), np.array([0.5, 0.1, 0.1, 0.3]))
    assert votes[0] == pytest.approx(np.array([0.03, 0.02, 0.03]) / 0.08)
    assert lesion_class_votes(surely(0), None).tolist() == [[0, 0, 0]]


def test_a_disease_that_the_patient_level_rules_out_can_still_be_a_slices_only_one():
    votes = lesion_class_votes(surely(2), np.array([0.0, 1.0, 0.0, 0.0]))
    assert votes.tolist() == [[0, 1, 0]]


@given(st.integers(0, 10_000), st.floats(0.3, 0.9), st.booleans())
def test_every_lesion_has_the_one_class_with_the_largest_sum_of_votes(seed, threshold, alone):
    rng = np.random.default_rng(seed)
    shape = (5, 6, 6)
    location = rng.random(shape).astype(np.float32)
    lungs = rng.integers(0, 3, shape).astype(np.uint8)
    of_slices, patient = rng.dirichlet(np.ones(4), 5), rng.dirichlet(np.ones(4))
    labels = label_map(location, lungs, of_slices, None if alone else patient, threshold)
    is_lesion = (location > threshold) & (lungs > 0)
    is_lesion &= (of_slices.argmax(axis=1) > 0)[:, None, None]
    assert np.array_equal(labels > 0, is_lesion)
    prior = np.ones(3) if alone else patient[1:]
    for lesion in _connected(is_lesion):
        sums = np.zeros(3)
        for k, _, _ in lesion:
            sums += of_slices[k, 1:] * prior / (of_slices[k, 1:] * prior).sum()
        assert {int(labels[voxel]) for voxel in lesion} == {1 + int(sums.argmax())}


@pytest.mark.parametrize("slices", [1, 2, 3])
def test_lesions_across_slabs_have_one_class_too(slices, monkeypatch):
    rng = np.random.default_rng(slices)
    location, lungs = rng.random((9, 12, 12)).astype(np.float32), np.ones((9, 12, 12), np.uint8)
    of_slices = rng.dirichlet(np.ones(4), 9)
    whole = label_map(location, lungs, of_slices, None, 0.85)
    monkeypatch.setattr("M3LungScreenLib.localization.SLAB_SLICES", slices)
    assert np.array_equal(label_map(location, lungs, of_slices, None, 0.85), whole)
    assert len(np.unique(whole)) > 2


def _connected(mask):
    """Sets of voxels that touch at a face, an edge or a corner, by a plain search."""
    left = set(map(tuple, np.argwhere(mask).tolist()))
    steps = [step for step in product((-1, 0, 1), repeat=3) if any(step)]
    while left:
        found, waiting = set(), deque([left.pop()])
        while waiting:
            voxel = waiting.popleft()
            found.add(voxel)
            for step in steps:
                beside = tuple(a + b for a, b in zip(voxel, step, strict=True))
                if beside in left:
                    left.remove(beside)
                    waiting.append(beside)
        yield found


# --- a large matrix


def test_means_of_blocks_are_those_of_the_pixels():
    rng = np.random.default_rng(5)
    crops = {k: Crop(91 + k, 110, 333 - k, 351) for k in range(4)}
    maps = {k: rng.random((16, 16)).astype(np.float32) for k in crops}
    lungs = np.ones((4, 512, 512), np.uint8)
    pasted = np.stack([paste(maps[k], crops[k], (512, 512)) for k in crops])
    near = np.exp(-0.5 * (np.arange(4)[:, None] - np.arange(4)) ** 2)
    expected = np.einsum("kj,jyx->kyx", near / near.sum(axis=1, keepdims=True), pasted)
    inner = np.s_[:, 96:420, 112:458]  # which all crops cover
    found = location_volume(maps, crops, lungs, sigma=1.0)
    off = np.abs(found[inner] - expected[inner])
    assert off.max() < 0.04
    assert off.mean() < 0.004


def test_a_matrix_of_1024_has_the_map_and_the_lesions_of_512():
    """Both are the same lungs; half a pixel lies between the centers of their blocks."""
    rng = np.random.default_rng(4)
    maps = {k: rng.random((6, 6)).astype(np.float32) for k in range(3)}
    small_lungs = np.zeros((3, 512, 512), np.uint8)
    small_lungs[:, 100:300, 120:400] = 1
    crops = {k: Crop(90, 110, 220, 300) for k in range(3)}
    large_lungs = small_lungs.repeat(2, axis=1).repeat(2, axis=2)
    large_crops = {k: Crop(180, 220, 440, 600) for k in range(3)}
    small = location_volume(maps, crops, small_lungs, sigma=1.0)
    large = location_volume(maps, large_crops, large_lungs, sigma=1.0)
    assert large[:, ::2, ::2] == pytest.approx(small[:], abs=0.02)
    of_slices = np.array([[0.1, 0.6, 0.2, 0.1]] * 3)
    lesions = label_map(small, small_lungs, of_slices, None, 0.5)
    of_large = label_map(large, large_lungs, of_slices, None, 0.5)[:, ::2, ::2]
    assert np.mean(of_large == lesions) > 0.999
    assert 0 < np.count_nonzero(lesions) < np.count_nonzero(small_lungs)
