import re
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from M3LungScreenLib.size_check import check_size

SHAPE = (60, 64, 96)
ADULT_MM = (2.9, 2.9, 4.0)


@cache
def adult_lungs() -> np.ndarray:
    """Two ellipsoids, 255 × 150 × 225 mm together at `ADULT_MM`."""
    k, row, column = np.indices(SHAPE)
    lungs = np.zeros(SHAPE, np.uint8)
    for side, middle in ((1, 25), (2, 71)):
        distance = ((k - 30) / 28) ** 2 + ((row - 32) / 26) ** 2 + ((column - middle) / 21) ** 2
        lungs[distance < 1] = side
    return lungs


@pytest.fixture(scope="module")
def lungs() -> np.ndarray:
    return adult_lungs()


def spacing(*factors: float) -> tuple[float, float, float]:
    x, y, z = (step * factor for step, factor in zip(ADULT_MM, factors, strict=True))
    return x, y, z


@settings(max_examples=30)
@given(size=st.floats(0.22, 1.1), taller=st.floats(0.75, 1.35), deeper=st.floats(0.85, 1.3))
def test_people_from_infants_to_giants_are_believed(size, taller, deeper):
    assert check_size(adult_lungs(), spacing(size, size * deeper, size * taller)) == ()


@pytest.mark.parametrize(
    ("factors", "what"),
    [
        ((1.43, 1.43, 0.5), "lost: 0.7 × 0.7 × 2 mm are read as 1 mm"),
        ((1.43, 1.43, 0.25), "lost: 0.7 × 0.7 × 4 mm"),
        ((1.6, 1.6, 1.6), "everyone this size is twice as heavy"),
        ((0.1, 0.1, 0.1), "centimetres for millimetres"),
        ((1, 1, 2.2), "slices counted twice"),
        ((0.55, 0.55, 1), "a matrix of 512 written with the pixels of one of 1024"),
        ((1, 1, 1.85), "slices of 5 mm for 2.5 mm"),
        ((1, 0.3, 1), "rows are not square"),
    ],
)
def test_lungs_that_no_person_has_are_named_with_their_size(lungs, factors, what):
    [(code, message)] = check_size(lungs, spacing(*factors))
    assert code == "spacing"
    said = [float(number) for number in re.findall(r"(\d+) mm (?:wide|deep|high)", message)]
    extents = np.array([88, 52, 56]) * spacing(*factors)
    assert said == pytest.approx(extents, rel=0.08, abs=2)


def test_part_of_the_lungs_is_not_called_too_low(lungs):
    for part in (lungs[25:35], lungs[:20], lungs[40:], lungs[30:31]):
        assert check_size(part, ADULT_MM) == ()


@pytest.mark.parametrize("side", [1, 2])
def test_one_lung_alone_is_a_persons(lungs, side):
    assert check_size(np.where(lungs == side, lungs, 0), ADULT_MM) == ()


def test_no_lungs_have_no_size(lungs):
    assert check_size(np.zeros_like(lungs), ADULT_MM) == ()
