"""Slices out of order, flipped, empty or repeated."""

from collections.abc import Callable
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from M3LungScreenLib.continuity import check_continuity
from M3LungScreenLib.ct import CTVolume
from M3LungScreenLib.suitability import DOUBTFUL

SPACING_MM = (5.0, 5.0, 4.0)
SLICES = 60


@cache
def a_torso() -> np.ndarray:
    """A body with two lungs, a heart at the left and a liver at the right, with noise."""
    k, row, column = np.indices((SLICES, 64, 96))
    hu = np.full(k.shape, -1000.0)

    def draw(value: float, centre: tuple[float, ...], radii: tuple[float, ...]) -> None:
        axes = zip((k, row, column), centre, radii, strict=True)
        hu[sum(((at - middle) / radius) ** 2 for at, middle, radius in axes) < 1] = value

    draw(20, (30, 38, 48), (120, 24, 42))
    for middle in (27, 69):
        draw(-850, (16, 34, middle), (36, 16, 16))
    draw(40, (20, 28, 58), (12, 12, 12))
    draw(60, (2, 30, 30), (20, 17, 22))
    draw(400, (30, 54, 48), (200, 5, 5))
    noise = np.random.default_rng(0).normal(0, 20, hu.shape)
    return np.rint(hu + noise).astype(np.int16)


def codes(hu: np.ndarray) -> list[str]:
    return [code for code, _ in check_continuity(CTVolume.from_array(hu, SPACING_MM))]


def exchanged(hu: np.ndarray) -> np.ndarray:
    return np.concatenate([hu[len(hu) // 2 :], hu[: len(hu) // 2]])


def interleaved(hu: np.ndarray) -> np.ndarray:
    new = hu.copy()
    new[::2], new[1::2] = hu[: len(hu) // 2], hu[len(hu) // 2 :]
    return new


def with_slices(where: slice, change: Callable[[np.ndarray], object]) -> Callable:
    def changed(hu: np.ndarray) -> np.ndarray:
        new = hu.copy()
        new[where] = change(hu[where])
        return new

    return changed


FAULTS = {
    "shuffled": lambda hu: np.random.default_rng(1).permutation(hu),
    "halves exchanged": exchanged,
    "two series mixed in": interleaved,
    "every second mirrored": with_slices(slice(1, None, 2), lambda part: part[:, :, ::-1]),
    "one upside down": with_slices(slice(30, 31), lambda part: part[:, ::-1]),
    "upper half upside down": with_slices(slice(30, None), lambda part: part[:, ::-1]),
    "one empty": with_slices(slice(30, 31), lambda part: part * 0),
    "five empty": with_slices(slice(28, 33), lambda part: part * 0 - 1024),
    "one of noise": with_slices(
        slice(30, 31), lambda part: np.random.default_rng(2).integers(-1000, 2000, part.shape)
    ),
    "one picture": with_slices(slice(None), lambda part: part[30]),
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("from_feet", [True, False])
def test_slices_that_do_not_belong_together_are_found(fault, from_feet):
    hu = FAULTS[fault](a_torso())
    assert "discontinuous" in codes(hu if from_feet else hu[::-1])


def test_no_verdict_comes_of_slices_that_do_not_belong_together():
    assert "discontinuous" in DOUBTFUL
    assert "repeated_slices" not in DOUBTFUL


@pytest.mark.parametrize("end", [0, SLICES - 1])
def test_one_odd_slice_at_an_end_is_told_and_leaves_the_verdict(end):
    hu = with_slices(slice(end, end + 1), lambda part: np.maximum(part, 0))(a_torso())
    [(code, message)] = check_continuity(CTVolume.from_array(hu, SPACING_MM))
    assert code == "odd_end_slice"
    assert code not in DOUBTFUL
    assert message.startswith(f"Slice {end} at the end of the scan does not fit")


def test_two_odd_slices_at_an_end_are_a_break():
    hu = with_slices(slice(0, 2), lambda part: np.maximum(part, 0))(a_torso())
    assert codes(hu) == ["discontinuous"]


@pytest.mark.parametrize(("from_feet", "index"), [(True, 30), (False, 29)])
def test_the_slice_is_called_by_its_stored_index(from_feet, index):
    hu = FAULTS["one upside down"](a_torso())
    direction = (1, 0, 0, 0, 1, 0, 0, 0, 1 if from_feet else -1)
    stored = CTVolume.from_array(hu if from_feet else hu[::-1], SPACING_MM, direction=direction)
    [(_, message)] = check_continuity(stored)
    assert f"slice {index} is unlike both neighbors" in message


@settings(max_examples=20, deadline=None)
@given(
    every=st.integers(1, 3),
    start=st.integers(0, 20),
    count=st.integers(4, 60),
    noise_hu=st.floats(0, 120),
    breath=st.integers(0, 1),
)
def test_thick_noisy_partial_and_breathing_scans_are_whole(every, start, count, noise_hu, breath):
    hu = a_torso()
    moved = np.concatenate([hu[:30], np.roll(hu, breath, axis=1)[30:]])
    part = moved[start : start + count * every : every]
    noise = np.random.default_rng(3).normal(0, noise_hu, part.shape)
    assert codes((part + noise).astype(np.int16)) == []


@pytest.mark.parametrize("times", [2, 5])
def test_slices_repeated_to_make_them_thinner_are_named_and_no_break(times):
    hu = np.repeat(a_torso()[::3], times, axis=0)
    [(code, message)] = check_continuity(CTVolume.from_array(hu, SPACING_MM))
    assert code == "repeated_slices"
    assert f"{len(hu) - 20} of {len(hu)} slices" in message


def test_padding_above_and_below_is_no_break():
    empty = np.full((5, 64, 96), -1024, np.int16)
    assert codes(np.concatenate([empty, a_torso(), empty])) == []


def test_few_slices_are_not_judged():
    assert codes(a_torso()[30:31]) == []
