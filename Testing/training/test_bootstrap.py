"""Intervals and p-values by resampling patients."""

import numpy as np
import pytest

from Training.evaluation.bootstrap import Figure, figure, paired_p


def mean_of(values):
    return lambda patients: float(np.nanmean(values[patients]))


def test_the_interval_of_a_mean_is_near_the_normal_one():
    values = np.random.default_rng(0).normal(5, 2, 200)
    found = figure(mean_of(values), 200, "none")
    half = 1.96 * values.std() / np.sqrt(200)
    assert found.value == pytest.approx(values.mean(), abs=1e-12)
    assert found.interval == pytest.approx((found.value - half, found.value + half), abs=0.1 * half)


def test_the_same_patients_give_the_same_interval():
    values = np.arange(20.0)
    assert figure(mean_of(values), 20, "none") == figure(mean_of(values), 20, "none")


def test_one_patient_has_a_figure_and_a_reason_for_the_missing_interval():
    assert figure(mean_of(np.array([0.5])), 1, "none") == Figure(
        0.5, None, "no interval for a single patient"
    )
    assert figure(lambda patients: float("nan"), 3, "no H1N1") == Figure(None, None, "no H1N1")


def test_p_is_small_for_a_steady_difference_and_large_for_none():
    rng = np.random.default_rng(1)
    steady, none = rng.normal(1, 0.5, 40), rng.normal(0, 1, 40)
    none -= none.mean()
    assert paired_p(mean_of(steady), 40).value == pytest.approx(2 / 1001)
    assert paired_p(mean_of(none), 40).value > 0.7
    assert paired_p(mean_of(none[:1]), 1).value is None


def test_one_patient_of_the_class_in_question_gives_no_p_value():
    found = paired_p(lambda patients: 1.0 if 0 in patients else float("nan"), 4)
    assert found == Figure(None, None, "too few patients for the difference to vary")
    assert paired_p(mean_of(np.zeros(4)), 4).value == 1.0
