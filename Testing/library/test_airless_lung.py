"""A lung that is mostly airless: its outline is an estimate, and that is said."""

import numpy as np
import pytest

from M3LungScreenLib.airless_lung import check_airless_lung
from M3LungScreenLib.suitability import DOUBTFUL
from Testing.conftest import small_chest


@pytest.fixture
def a_chest():
    hu, lungs = small_chest()
    return hu.copy(), lungs


def codes(hu, lungs):
    return [code for code, _ in check_airless_lung(hu, lungs)]


def test_an_aerated_chest_needs_no_caution(a_chest):
    assert codes(*a_chest) == []


@pytest.mark.parametrize(("share", "said"), [(0.4, []), (0.6, ["airless_lung"])])
def test_a_lung_that_is_mostly_airless_is_told(a_chest, share, said):
    hu, lungs = a_chest
    inside = np.flatnonzero(lungs == 2)
    hu.flat[inside[: round(share * len(inside))]] = 30
    assert codes(hu, lungs) == said
    if said:
        [(_, message)] = check_airless_lung(hu, lungs)
        assert message.startswith("More than half of the left lung is without air.")


def test_the_verdict_stays():
    assert "airless_lung" not in DOUBTFUL
