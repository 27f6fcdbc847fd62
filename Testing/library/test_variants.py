"""Findings that are no pneumonia: replayed alike, inside the lungs, doing what they say."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from M3LungScreenLib.simulation.patient import SimulatedPatient, simulate_patient
from M3LungScreenLib.simulation.variants import (
    KINDS,
    VariantRecord,
    apply_variants,
    draw_variants,
)

OUTSIDE_TOO = {"pulsation", "breathing", "contrast", "streaks"}


@pytest.fixture(scope="module")
def chest() -> SimulatedPatient:
    return simulate_patient("healthy", 11, slice_thickness_mm=8, matrix=96)


def changed(chest: SimulatedPatient, kind: str, strength: float = 0.8) -> np.ndarray:
    """HU after one finding less HU before."""
    record = VariantRecord(kind, strength, 6, 5)
    hu = chest.volume.hu
    after = apply_variants(hu, chest.lungs, chest.volume.spacing_mm, [record])
    assert after.dtype == hu.dtype
    return after.astype(int) - hu


@pytest.mark.parametrize("kind", KINDS)
def test_a_replayed_finding_is_the_same_and_changes_something(chest, kind):
    first = changed(chest, kind)
    assert first.any()
    assert np.array_equal(first, changed(chest, kind))


@pytest.mark.parametrize("kind", sorted(set(KINDS) - OUTSIDE_TOO))
def test_a_finding_of_the_lung_leaves_everything_else_as_it_was(chest, kind):
    difference = changed(chest, kind)
    calcified = 0 if kind != "nodules" else 40  # a calcified nodule may touch the pleura
    assert np.count_nonzero(difference[chest.lungs == 0]) <= calcified


def test_dependent_density_lies_at_the_back(chest):
    difference = changed(chest, "dependent_density")
    rows = np.flatnonzero((chest.lungs > 0).any(axis=(0, 2)))
    front, back = rows[: len(rows) // 3], rows[-len(rows) // 3 :]
    assert difference[:, back][chest.lungs[:, back] > 0].mean() > 15
    assert abs(difference[:, front][chest.lungs[:, front] > 0].mean()) < 1


def test_emphysema_is_darker_and_expiration_denser(chest):
    inside = chest.lungs > 0
    assert changed(chest, "emphysema")[inside].mean() < -5
    assert changed(chest, "expiration")[inside].min() >= 0
    assert changed(chest, "expiration")[inside].mean() > 40


def test_vessels_stay_as_they_are_under_a_haze(chest):
    dense = (chest.volume.hu > 40) & (chest.lungs > 0)
    assert not changed(chest, "mosaic")[dense].any()


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**31))
def test_up_to_three_different_findings_are_drawn_alike_by_the_same_seed(seed):
    lungs = np.ones((1, 4, 4), np.uint8)
    drawn = draw_variants(lungs, (1, 1, 5), np.random.default_rng(seed))
    assert drawn == draw_variants(lungs, (1, 1, 5), np.random.default_rng(seed))
    assert len({each.kind for each in drawn}) == len(drawn) <= 3


def test_a_single_slice_and_a_volume_without_lungs_are_taken(chest):
    k = len(chest.lungs) // 2
    for kind in KINDS:
        record = [VariantRecord(kind, 0.5, 3, 1)]
        one = apply_variants(chest.volume.hu[k : k + 1], chest.lungs[k : k + 1], (3, 3, 5), record)
        assert one.shape == (1, 96, 96)
    bare = apply_variants(chest.volume.hu, 0 * chest.lungs, (3, 3, 5), record)
    assert np.array_equal(bare, chest.volume.hu)
