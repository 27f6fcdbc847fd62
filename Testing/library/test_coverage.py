"""What of the lungs was scanned, and what may be said of it."""

from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from M3LungScreenLib.coverage import Coverage, check_lungs, measure_coverage
from M3LungScreenLib.ct import CTVolume
from M3LungScreenLib.errors import InputRefused

MM = 5.0
ORDER = ("verdict", "softened", "none")


@cache
def a_chest(scale: float = 1.0) -> tuple[np.ndarray, CTVolume]:
    """Lungs of 4.3 litres, widest at a third of their height; smaller ones by `scale`."""
    k, y, x = np.indices((64, 72, 80), np.float32)
    y, x = y - 36, x - 40
    body = (x / 34) ** 2 + (y / 24) ** 2 < 1
    height = (k - 24) / np.where(k < 24, 16, 32)
    inside = height**2 + (y / 17) ** 2 + ((np.abs(x) - 14) / 10) ** 2 < 1
    lungs = np.where(inside, np.where(x < 0, 1, 2), 0).astype(np.uint8)
    hu = np.where(lungs > 0, -850, np.where(body, 40, -1000)).astype(np.int16)
    return lungs, CTVolume.from_array(hu, (MM * scale,) * 3)


def part(which: tuple[slice, ...], scale: float = 1.0) -> tuple[np.ndarray, Coverage]:
    """Lungs and coverage of what `which` cuts out of the chest."""
    lungs, volume = a_chest(scale)
    lungs = lungs[which]
    return lungs, measure_coverage(lungs, CTVolume.from_array(volume.hu[which], volume.spacing_mm))


def answer(first: int, last: int, scale: float = 1.0) -> str:
    """What may be said of some slices; a refusal says least, as 'none' does."""
    lungs, coverage = part(np.s_[first:last], scale)
    try:
        codes = [code for code, _ in check_lungs(lungs, coverage)]
    except InputRefused:
        return "none"
    assert ("too_little_lung" in codes) == (coverage.answer == "none")
    return coverage.answer


@pytest.mark.parametrize("scale", [1.0, 0.6, 0.4, 0.25])
def test_whole_lungs_of_any_size_get_a_verdict_without_a_word(scale):
    lungs, coverage = part(np.s_[:], scale)
    assert coverage.answer == "verdict"
    assert check_lungs(lungs, coverage) == ()


@pytest.mark.parametrize("scale", [1.0, 0.4])
@pytest.mark.parametrize(
    ("slices", "expected"),
    [
        ((0, 36), "verdict"),
        ((12, 64), "verdict"),
        ((0, 24), "softened"),
        ((37, 64), "softened"),
        ((0, 18), "none"),  # bases
        ((42, 64), "none"),  # apices
        ((20, 28), "softened"),  # a slab at the hila
        ((49, 55), "none"),  # one at the apices
    ],
)
def test_a_part_is_answered_by_how_much_and_what_of_the_lungs_it_shows(slices, expected, scale):
    assert answer(*slices, scale) == expected


@given(st.data(), st.sampled_from([1.0, 0.5]), st.sampled_from(["below", "above", "both"]))
@settings(max_examples=30)
def test_cropping_ever_more_never_leads_back_to_a_surer_answer(data, scale, side):
    cuts = sorted(data.draw(st.lists(st.integers(0, 31), min_size=2, max_size=6)))
    below, above = side != "above", side != "below"
    steps = 1 if side == "both" else 1.7
    answers = [
        answer(int(steps * cut) * below, 64 - int(steps * cut) * above, scale) for cut in cuts
    ]
    ranks = [ORDER.index(each) for each in answers]
    assert ranks == sorted(ranks)


def test_a_few_millilitres_in_eleven_slices_are_too_little():
    lungs, volume = a_chest()
    few = np.zeros_like(lungs[:11])
    few[3:8, 30:34, 20:26] = 1
    coverage = measure_coverage(few, CTVolume.from_array(volume.hu[:11], volume.spacing_mm))
    codes = dict(check_lungs(few, coverage))
    assert list(codes) == ["one_lung", "too_little_lung"]
    assert codes["too_little_lung"] == (
        "The scan shows too little lung for a verdict: 15 ml, about 0 % of the lungs of a person "
        "this size. Screen a CT of the whole chest."
    )


def test_a_scan_as_long_as_a_chest_with_hardly_any_lung_is_refused():
    lungs, volume = a_chest()
    hardly = lungs.copy()
    hardly[10:] = 0
    with pytest.raises(InputRefused, match=r"^Only \d+ ml of lung found in this scan") as caught:
        check_lungs(hardly, measure_coverage(hardly, volume))
    assert caught.value.kind == "no_lungs"


@pytest.mark.parametrize(("slices", "what"), [(64, "scan"), (1, "slice")])
def test_no_lungs_are_refused(slices, what):
    lungs, volume = a_chest()
    none = 0 * lungs[:slices]
    coverage = measure_coverage(none, CTVolume.from_array(volume.hu[:slices], volume.spacing_mm))
    with pytest.raises(InputRefused, match=f"No lungs found in this {what}"):
        check_lungs(none, coverage)


@pytest.mark.parametrize(
    ("which", "parts"),
    [
        (np.s_[14:], "the lung bases"),
        (np.s_[:40], "the lung apices"),
        (np.s_[14:46], "the lung bases and the lung apices"),
        (np.s_[:, :, 20:], "the right edge of the lungs"),
        (np.s_[:, :, :60], "the left edge of the lungs"),
        (np.s_[:, 24:], "the front of the lungs"),
        (np.s_[:, :48], "the back of the lungs"),
        (
            np.s_[14:, 24:, 20:60],
            "the right edge of the lungs, the left edge of the lungs, the front of the lungs and "
            "the lung bases",
        ),
    ],
)
def test_the_parts_that_the_scan_misses_are_named(which, parts):
    lungs, coverage = part(which)
    [(code, message)] = check_lungs(lungs, coverage)
    assert code == "lungs_not_whole"
    assert message.startswith(f"The scan misses {parts}; the result covers only the ")


def test_lungs_that_end_at_the_scanners_circle_are_cut_off():
    lungs, volume = a_chest()
    y, x = np.indices(lungs.shape[1:])
    beyond = (y - 36) ** 2 + (x - 40) ** 2 > 22**2
    hu = np.where(beyond, -1024, volume.hu).astype(np.int16)
    coverage = measure_coverage(lungs * ~beyond, CTVolume.from_array(hu, volume.spacing_mm))
    assert {"at the right", "at the left"} <= coverage.cut_mm2.keys()


@pytest.mark.parametrize(("side", "name"), [(1, "right"), (2, "left")])
def test_a_side_without_lung_is_named(side, name):
    lungs, volume = a_chest()
    one = np.where(lungs == side, 0, lungs)
    [(code, message)] = check_lungs(one, measure_coverage(one, volume))
    assert code == "one_lung"
    assert message.startswith(f"No {name} lung was found")


def test_the_millilitres_are_those_of_the_voxels():
    lungs, coverage = part(np.s_[:])
    assert coverage.millilitres == pytest.approx(np.count_nonzero(lungs) * MM**3 / 1000)
    assert 4000 < coverage.millilitres < 5000
