"""The figures of Section IV-B."""

import math

import numpy as np
import pytest

from Training.metrics import patient_errors


def test_the_papers_counts_give_the_papers_figures():
    counts = {
        (0, 0): 99, (0, 1): 3, (1, 1): 95, (1, 0): 1,
        (2, 2): 41, (3, 3): 43, (3, 0): 7, (3, 1): 3,
    }  # fmt: skip
    truth, called = np.array([pair for pair, n in counts.items() for _ in range(n)]).T
    errors = patient_errors(truth, called)
    assert 100 * errors["accuracy"] == pytest.approx(95.21, abs=0.005)
    assert 100 * errors["false_positive_error"] == pytest.approx(2.94, abs=0.005)
    assert 100 * errors["false_negative_error"] == pytest.approx(4.21, abs=0.005)
    assert 100 * errors["false_disease_prediction_error"] == pytest.approx(1.58, abs=0.005)


def test_what_there_is_none_of_has_no_figure():
    errors = patient_errors(np.array([1, 2]), np.array([1, 0]))
    assert math.isnan(errors["false_positive_error"])
    assert errors["false_negative_error"] == 0.5
