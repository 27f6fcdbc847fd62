"""The location map's threshold: voxels counted as the label map draws them, Dice over patients."""

from dataclasses import replace

import numpy as np
import pytest

from M3LungScreenLib.localization import label_map
from M3LungScreenLib.result import Result
from Training.evaluation.thresholds import THRESHOLDS, Overlaps, fit_threshold, overlaps


@pytest.fixture
def result(make_result) -> Result:
    """Of a patient with a random map in the lungs, some of it at a threshold."""
    found = make_result("cap")
    shape = found.arrays.lungs.shape
    location = np.random.default_rng(3).random(shape).astype(np.float32)
    location[:, ::3] = np.float32(0.35)
    location[found.arrays.lungs == 0] = 0
    return replace(found, arrays=replace(found.arrays, lesion_location_map=location))


@pytest.mark.parametrize("threshold", [0.05, 0.35, 0.5, 0.95])
def test_voxels_are_counted_as_the_label_map_draws_them(result, threshold):
    arrays = result.arrays
    mask = np.random.default_rng(4).random(arrays.lungs.shape) < 0.3
    of_slices = [result.slice_of(k).probabilities for k in range(len(mask))]
    p = np.array([np.eye(4)[0] if each is None else each.as_array() for each in of_slices])
    patient = result.patient.probabilities.as_array()
    labels = label_map(arrays.lesion_location_map, arrays.lungs, p, patient, threshold) > 0
    counted = overlaps(mask, result)
    k = THRESHOLDS.tolist().index(threshold)
    assert 0 < counted.found[k] == labels.sum()
    assert 0 < counted.hits[k] == (labels & mask).sum()
    assert counted.truth == mask.sum()
    assert counted.dice()[k] == 2 * (labels & mask).sum() / (labels.sum() + mask.sum())


def test_every_patient_counts_alike_however_large_the_lesion():
    steps = len(THRESHOLDS)
    best = np.array([7, 7, 2])  # two small lesions agree on one threshold, a large one does not
    cases = [
        Overlaps((size,) * steps, tuple(size if k == b else 0 for k in range(steps)), size)
        for b, size in zip(best, (10, 20, 100_000), strict=True)
    ]
    threshold, dice = fit_threshold(cases)
    assert threshold == THRESHOLDS[7]
    assert dice == pytest.approx(2 / 3)


def test_without_a_lesion_there_is_nothing_to_fit():
    none = (0,) * len(THRESHOLDS)
    assert fit_threshold([]) is None
    assert fit_threshold([Overlaps(none, none, 0)]) is None
