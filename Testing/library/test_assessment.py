import re
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from M3LungScreenLib.assessment import (
    calibrated,
    calibrated_p_lesion,
    count_slices,
    decide,
    slice_probabilities,
    spread_over_windows,
)
from M3LungScreenLib.settings import AssessmentSettings

T = 0.99
SETTINGS = AssessmentSettings()
one_hot = np.eye(4)
shares = st.floats(0, 1, width=32)


def test_equation_4_by_hand():
    p = slice_probabilities(np.array([0.8]), np.array([[0.1, 0.6, 0.1, 0.2]]))
    assert p[0] == pytest.approx([0.2 + 0.08, 0.48, 0.08, 0.16])


@given(arrays(float, 7, elements=shares), arrays(float, (7, 4), elements=st.floats(0.01, 1)))
def test_equation_4_gives_probabilities(p_lesion, scores):
    p = slice_probabilities(p_lesion, scores / scores.sum(axis=1, keepdims=True))
    assert (p >= 0).all()
    assert p.sum(axis=1) == pytest.approx(1)


def test_equation_4_leaves_its_inputs_alone():
    p_lesion, classes = np.array([0.5]), np.array([[0.25, 0.25, 0.25, 0.25]])
    slice_probabilities(p_lesion, classes)
    assert (classes == 0.25).all()
    assert p_lesion[0] == 0.5


@pytest.mark.parametrize(
    ("ill", "of", "predicted"),
    [(0, 100, "healthy"), (1, 100, "cap"), (1, 101, "healthy"), (2, 101, "cap"), (1, 1, "cap")],
)
def test_equation_5_is_healthy_only_strictly_over_its_threshold(ill, of, predicted):
    p = np.repeat(one_hot[[0, 3]], [of - ill, ill], axis=0)
    counted = count_slices(p, T)
    assert counted.predicted == predicted
    assert counted.healthy_fraction == (of - ill) / of
    assert counted.counts == {"healthy": of - ill, "covid19": 0, "h1n1": 0, "cap": ill}


def test_equation_5_gives_a_tie_among_diseases_to_the_first():
    assert count_slices(one_hot[[3, 2, 2, 3, 0]], T).predicted == "h1n1"


def test_equation_5_counts_a_shared_maximum_for_each():
    counts = count_slices(np.array([[0.1, 0.4, 0.4, 0.1]]), T).counts
    assert counts == {"healthy": 0, "covid19": 1, "h1n1": 1, "cap": 0}


def test_a_higher_temperature_keeps_the_order_and_lowers_the_top():
    logits = np.array([1.0, 3.0, 0.0, 2.0])
    cool, warm = calibrated(logits, 1.0), calibrated(logits, 2.0)
    assert (np.argsort(cool) == np.argsort(warm)).all()
    assert warm.max() < cool.max()
    assert cool == pytest.approx(np.exp(logits) / np.exp(logits).sum())


def test_p_lesion_is_as_it_was_until_its_logits_are_scaled():
    p = np.array([0.0, 0.12, 0.5, 0.993, 1.0])
    assert calibrated_p_lesion(p, SETTINGS) == pytest.approx(p)
    assert np.isfinite(calibrated_p_lesion(np.float32(p), SETTINGS)).all()


def test_p_lesion_is_calibrated_as_a_hand_worked_slice_says():
    settings = AssessmentSettings(lesion_logit_scale=0.5, lesion_logit_offset=-1.0)
    # A logit of ln 9 halved is ln 3, less 1 is ln (3 / e).
    odds = 3 / np.e
    assert float(calibrated_p_lesion(np.array(0.9), settings)) == pytest.approx(odds / (1 + odds))


def test_a_low_top_probability_is_indeterminate_with_its_reason():
    verdict = decide(np.array([0.2, 0.45, 0.05, 0.3]), count_slices(one_hot[[1]], T), SETTINGS)
    assert (verdict.predicted, verdict.verdict) == ("covid19", "indeterminate")
    assert verdict.reasons == (
        "COVID-19 is most likely (45.0 %), below the 50.0 % this model needs for a verdict.",
    )


@given(st.floats(0.3, 0.95), st.floats(1e-7, 0.01))
def test_a_probability_below_the_limit_never_reads_like_the_limit(limit, short):
    settings = replace(SETTINGS, minimum_top_probability=limit)
    top = limit - short
    rest = (1 - top) / 3
    assume(rest < top)
    verdict = decide(np.array([rest, top, rest, rest]), count_slices(one_hot[[1]], T), settings)
    found, needed = map(float, re.findall(r"(\d+\.\d) %", verdict.reasons[0]))
    assert found < needed
    assert found == pytest.approx(100 * top, abs=0.11)
    assert needed == pytest.approx(100 * limit, abs=0.11)


def test_a_disagreement_needs_a_higher_top_probability():
    counted = count_slices(one_hot[[3, 0]], T)
    unsure = decide(np.array([0.65, 0.1, 0.05, 0.2]), counted, SETTINGS)
    sure = decide(np.array([0.95, 0.02, 0.01, 0.02]), counted, SETTINGS)
    assert (unsure.verdict, sure.verdict) == ("indeterminate", "healthy")
    assert not unsure.agreement
    assert not sure.agreement


def test_a_clear_case_is_given_as_predicted():
    verdict = decide(one_hot[2], count_slices(one_hot[[2]], T), SETTINGS)
    assert (verdict.verdict, verdict.reasons, verdict.agreement) == ("h1n1", (), True)


def test_doubtful_input_gets_no_verdict_however_sure_the_network():
    counted = count_slices(one_hot[[2]], T)
    verdict = decide(one_hot[2], counted, SETTINGS, doubts=("The pixels are 4.2 mm wide.",))
    assert (verdict.predicted, verdict.verdict) == ("h1n1", "indeterminate")
    assert verdict.reasons == ("The pixels are 4.2 mm wide.",)


def test_the_spread_is_that_of_the_windows_means_over_the_slices():
    p = np.zeros((2, 3, 4))
    p[:, :, 1] = [[0.2, 0.4, 0.9], [0.4, 0.2, 0.1]]  # means 0.3, 0.3, 0.5
    p[:, :, 0] = 1 - p[:, :, 1]
    assert spread_over_windows(p) == pytest.approx(0.2)
    assert spread_over_windows(p[:, :1]) == 0


def test_windows_too_far_apart_are_indeterminate_only_where_a_limit_is_set():
    counted, limited = (
        count_slices(one_hot[[2]], T),
        AssessmentSettings(maximum_spread_over_windows=0.1),
    )
    assert decide(one_hot[2], counted, SETTINGS, 0.3).verdict == "h1n1"
    assert decide(one_hot[2], counted, limited, 0.1).verdict == "h1n1"
    doubted = decide(one_hot[2], counted, limited, 0.3)
    assert doubted.verdict == "indeterminate"
    assert "varies by 30.0 points (limit 10.0)" in doubted.reasons[0]
