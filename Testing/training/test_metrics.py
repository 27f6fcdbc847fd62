"""The figures of Section IV-B, against scikit-learn, by hand and by the paper's counts."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.calibration import calibration_curve
from sklearn.metrics import f1_score, recall_score, roc_auc_score

from Training.evaluation.metrics import (
    auc,
    dice,
    expected_calibration_error,
    patient_errors,
    pointing_game,
    reliability_bins,
    sensitivity,
    specificity,
)

PAPER = {
    (0, 0): 99, (0, 1): 3, (1, 1): 95, (1, 0): 1,
    (2, 2): 41, (3, 3): 43, (3, 0): 7, (3, 1): 3,
}  # fmt: skip
classes = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=30)


def papers_patients():
    return np.array([pair for pair, n in PAPER.items() for _ in range(n)]).T


def test_the_papers_counts_give_the_papers_figures():
    errors = patient_errors(*papers_patients())
    assert 100 * errors["accuracy"] == pytest.approx(95.21, abs=0.005)
    assert 100 * errors["false_positive_error"] == pytest.approx(2.94, abs=0.005)
    assert 100 * errors["false_negative_error"] == pytest.approx(4.21, abs=0.005)
    assert 100 * errors["false_disease_prediction_error"] == pytest.approx(1.58, abs=0.005)


def test_the_papers_counts_give_its_shares_of_each_class():
    truth, called = papers_patients()
    right = [99 / 102, 95 / 96, 41 / 41, 43 / 53]
    assert [sensitivity(truth, called, k) for k in range(4)] == pytest.approx(right, abs=1e-9)
    assert specificity(truth, called, 0) == pytest.approx(1 - 8 / 190, abs=1e-9)
    assert specificity(truth, called, 1) == pytest.approx(1 - 6 / 196, abs=1e-9)


def test_what_there_is_none_of_has_no_figure():
    errors = patient_errors(np.array([1, 2]), np.array([1, 0]))
    assert math.isnan(errors["false_positive_error"])
    assert errors["false_negative_error"] == 0.5
    assert math.isnan(auc(np.array([True, True]), np.array([0.1, 0.2])))
    assert math.isnan(sensitivity(np.array([1]), np.array([1]), 0))


@given(classes)
def test_sensitivity_and_specificity_are_scikit_learns_recalls(pairs):
    truth, called = np.array(pairs).T
    for index in range(4):
        for measured, label in ((sensitivity, True), (specificity, False)):
            value = measured(truth, called, index)
            expected = recall_score(
                truth == index, called == index, pos_label=label, zero_division=np.nan
            )
            assert value == pytest.approx(expected, abs=1e-9, nan_ok=True)


def test_auc_counts_the_pairs_in_the_right_order_and_half_of_the_ties():
    rng = np.random.default_rng(0)
    truth, scores = rng.random(60) < 0.4, rng.integers(0, 8, 60) / 8
    gaps = scores[truth][:, None] - scores[~truth][None]
    expected = ((gaps > 0) + 0.5 * (gaps == 0)).mean()
    assert auc(truth, scores) == pytest.approx(expected, abs=1e-9)


def test_reliability_bins_are_scikit_learns_curve():
    rng = np.random.default_rng(1)
    probabilities = rng.dirichlet(np.full(4, 0.4), 200)
    truth = rng.integers(0, 4, 200)
    bins = reliability_bins(truth, probabilities, 10)
    right = probabilities.argmax(axis=1) == truth
    accuracy, confidence = calibration_curve(right, probabilities.max(axis=1), n_bins=10)
    assert [each["accuracy"] for each in bins] == pytest.approx(list(accuracy), abs=1e-9)
    assert [each["confidence"] for each in bins] == pytest.approx(list(confidence), abs=1e-9)
    shares = np.array([each["count"] for each in bins]) / 200
    ece = (shares * np.abs(accuracy - confidence)).sum()
    assert expected_calibration_error(truth, probabilities, 10) == pytest.approx(ece, abs=1e-9)


def test_dice_is_scikit_learns_f1_score():
    rng = np.random.default_rng(2)
    truth, found = rng.random((2, 3, 8, 8)) < 0.3
    expected = f1_score(truth.ravel(), found.ravel())
    assert dice(truth, found) == pytest.approx(expected, abs=1e-9)
    assert math.isnan(dice(np.zeros(4, bool), np.zeros(4, bool)))


def test_the_pointing_game_asks_only_slices_with_lesion():
    truth, location = np.zeros((3, 4, 4), bool), np.zeros((3, 4, 4))
    truth[0, 1, 1] = truth[1, 2, 2] = True
    location[0, 1, 1] = location[1, 0, 3] = location[2, 3, 3] = 1
    assert pointing_game(truth, location) == 0.5
    assert math.isnan(pointing_game(np.zeros((2, 4, 4), bool), location[:2]))


@given(st.integers(0, 2**31), st.integers(2, 60), st.integers(0, 3))
def test_the_auc_is_scikit_learns_with_ties_too(seed, count, decimals):
    rng = np.random.default_rng(seed)
    truth, scores = rng.random(count) < 0.5, np.round(rng.random(count), decimals)
    truth[:2] = True, False
    assert auc(truth, scores) == pytest.approx(roc_auc_score(truth, scores), abs=1e-12)
