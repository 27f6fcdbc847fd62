"""Neighbouring slices vote on each other's answers, by their distance in mm."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from M3LungScreenLib.neighbours import mean_over_neighbours


def weighted_by_hand(values: np.ndarray, counted: np.ndarray, sigma: float) -> np.ndarray:
    """The same by the definition, slice by slice."""
    found = np.zeros(values.shape)
    for k in np.flatnonzero(counted):
        others = [j for j in np.flatnonzero(counted) if abs(j - k) <= int(3 * sigma + 0.5)]
        weights = np.exp(-((np.array(others) - k) ** 2) / (2 * sigma**2))
        found[k] = np.tensordot(weights, values[others], 1) / weights.sum()
    return found


@given(st.integers(1, 20), st.floats(0.3, 3), st.integers(0, 1000))
def test_mean_is_that_of_the_definition(count: int, sigma: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    values, counted = rng.random((count, 2, 3)), rng.random(count) < 0.7
    found = mean_over_neighbours(values, counted, sigma)
    assert found == pytest.approx(weighted_by_hand(values, counted, sigma), abs=1e-5)


def test_probabilities_still_sum_to_one_and_stay_within_their_range() -> None:
    p = np.random.default_rng(0).dirichlet(np.ones(4), 30).astype(np.float32)
    found = mean_over_neighbours(p, np.ones(30, bool), 1.5)
    assert np.allclose(found.sum(axis=1), 1, atol=1e-5)
    assert found.min() >= p.min()
    assert found.max() <= p.max()


def test_without_a_distance_every_slice_speaks_for_itself() -> None:
    values = np.arange(5.0)
    assert mean_over_neighbours(values, np.ones(5, bool), 0.0) is values


def test_slices_without_lung_have_no_vote() -> None:
    values, counted = np.array([9.0, 1.0, 1.0, 9.0]), np.array([False, True, True, False])
    assert mean_over_neighbours(values, counted, 2.0).tolist() == pytest.approx([0, 1, 1, 0])
