import os
from pathlib import Path

import numpy as np
import pytest

from M3LungScreenLib import chest as chest_module
from M3LungScreenLib import read_ct, simulate_patient
from M3LungScreenLib.classes import CLASS_KEYS
from M3LungScreenLib.ct import CTVolume
from M3LungScreenLib.errors import InputRefused
from M3LungScreenLib.orientation_check import check_orientation, find_orientation
from M3LungScreenLib.settings import PreprocessingSettings
from M3LungScreenLib.suitability import DOUBTFUL
from Testing.benchmarks.orientation_check import orders
from Testing.stand_ins.chests import a_small_chest

DATA = os.environ.get("M3LUNGSCREEN_DATA")
needs_data = pytest.mark.skipif(not DATA, reason="needs M3LUNGSCREEN_DATA")
CHEAP = {"matrix": 96, "slice_count": 40}


@pytest.fixture(scope="module")
def patients() -> list[CTVolume]:
    """One of each class."""
    return [simulate_patient(key, 900 + n, **CHEAP).volume for n, key in enumerate(CLASS_KEYS)]


def message_of(hu: np.ndarray) -> str:
    """The one warning's sentence, empty without one."""
    warned = check_orientation(hu)
    assert [code for code, _ in warned] in ([], ["orientation"])
    return warned[0][1] if warned else ""


def wrong_answers(hu: np.ndarray) -> list[str]:
    """The orders of `hu` that are not told from the first, and 'alarm' for the first."""
    first, *others = [(name, message_of(turned)) for name, turned in orders(hu)]
    missed = [name for name, message in others if not message]
    return (["alarm: " + first[1]] if first[1] else []) + missed


def test_48_orders_are_48_and_the_first_is_as_it_was():
    array = np.arange(24).reshape(2, 3, 4)
    every = [turned for _, turned in orders(array)]
    assert np.array_equal(every[0], array)
    assert len({(each.shape, each.tobytes()) for each in every}) == 48


@pytest.mark.parametrize("n", [1, 3])
def test_patients_in_all_48_orders_are_told_apart(patients, n):
    assert wrong_answers(patients[n].hu) == []


FLIPS = {0: "head to feet", 1: "front to back", 2: "left to right"}


@pytest.mark.parametrize("axis", FLIPS)
def test_a_flip_is_named(patients, axis):
    for volume in patients:
        message = message_of(np.flip(volume.hu, axis))
        assert f"it is flipped {FLIPS[axis]}" in message
        assert message.startswith("The image contradicts its header: ")
        assert ("situs inversus" in message) == (axis == 2)


@pytest.mark.parametrize("axes", [(0, 1), (0, 2), (1, 2)])
def test_two_flips_are_a_turn_about_the_third_axis(patients, axes):
    [kept] = {0, 1, 2} - set(axes)
    for volume in patients:
        message = message_of(np.flip(volume.hu, axes))
        assert f"rotated by 180° about the {FLIPS[kept].replace(' to ', '–')} axis" in message


def test_three_flips_are_all_named(patients):
    for volume in patients:
        message = message_of(np.flip(volume.hu, (0, 1, 2)))
        assert "flipped front to back, left to right and head to feet" in message


@pytest.mark.parametrize(
    ("axes", "words"),
    [
        ((0, 2, 1), "its rows and columns are swapped: the spine is where the header says"),
        ((1, 0, 2), "the slices that the header calls axial are coronal"),
        ((2, 1, 0), "the slices that the header calls axial are sagittal"),
        ((2, 0, 1), "the slices that the header calls axial are sagittal"),
        ((1, 2, 0), "the slices that the header calls axial are coronal"),
    ],
)
def test_exchanged_axes_are_named(patients, axes, words):
    for volume in patients:
        assert words in message_of(volume.hu.transpose(axes))


def test_the_side_of_the_spine_is_named(patients):
    turned = patients[0].hu.transpose(0, 2, 1)
    assert "where the header says left" in message_of(turned)
    assert "where the header says right" in message_of(turned[:, :, ::-1])


def test_a_contradiction_leaves_no_verdict():
    assert {"orientation", "spacing"} <= DOUBTFUL


def test_padding_tables_and_a_narrow_field_of_view_contradict_nothing(patients):
    hu = patients[0].hu
    table = np.full_like(hu, -1000)
    table[:, 4:6, 10:-10] = 200  # above a patient who lies on the front
    wide = np.pad(hu, ((0, 0), (20, 20), (20, 20)), constant_values=-2048)
    for seen in (np.maximum(hu, table), wide, hu[:, 14:-14, 12:-12]):
        assert message_of(seen) == ""
        assert "front to back" in message_of(seen[:, ::-1])


@pytest.mark.parametrize("side", [slice(0, 48), slice(48, 96)])
def test_an_opaque_lung_contradicts_nothing(patients, side):
    for volume in patients:
        opaque = volume.hu.copy()
        half = opaque[:, :, side]
        half[(half > -960) & (half < -300)] = 30
        assert message_of(opaque) == ""
        assert "front to back" in message_of(opaque[:, ::-1])


def test_one_slice_shows_its_back_and_no_more(patients):
    for volume in patients:
        one = volume.hu[20:21]
        assert message_of(one) == ""
        assert message_of(one[:, :, ::-1]) == ""
        assert "flipped front to back" in message_of(one[:, ::-1])


def test_a_slab_contradicts_nothing_and_shows_its_back(patients):
    for volume in patients:
        slab = volume.hu[18:28]
        assert message_of(slab) == ""
        assert "front to back" in message_of(slab[:, ::-1])


def test_without_bones_there_is_nothing_to_go_by():
    assert find_orientation(a_small_chest(slices=30)) is None
    assert check_orientation(np.full((20, 64, 64), -1000, np.int16)) == ()
    assert check_orientation(np.full((20, 64, 64), 40, np.int16)) == ()
    assert check_orientation(np.full((1, 64, 64), -1000, np.int16)) == ()


def prepared(volume: CTVolume) -> chest_module.Chest:
    return chest_module.prepare(volume, PreprocessingSettings())


def test_preparing_a_chest_looks_at_its_orientation(patients):
    volume = patients[0]
    assert "orientation" not in dict(prepared(volume).warnings)
    flipped = CTVolume.from_array(volume.hu[:, ::-1].copy(), volume.spacing_mm)
    assert "flipped front to back" in dict(prepared(flipped).warnings)["orientation"]


def test_where_axes_are_exchanged_that_is_why_there_are_no_lungs(patients, monkeypatch):
    volume = patients[0]
    exchanged = CTVolume.from_array(volume.hu.transpose(1, 0, 2).copy(), volume.spacing_mm)
    monkeypatch.setattr(
        chest_module, "segment_lungs", lambda volume, tell: np.zeros(volume.hu.shape, np.uint8)
    )
    with pytest.raises(InputRefused, match="axes are swapped") as refused:
        prepared(exchanged)
    assert refused.value.kind == "orientation"
    with pytest.raises(InputRefused, match="No lungs"):
        prepared(volume)


@needs_data
@pytest.mark.parametrize("name", ["ct/normal-001", "ct/cap-001", "backgrounds/lidc-0003.nrrd"])
def test_real_chests_are_told_from_their_mirror_images(name):
    hu = read_ct(Path(DATA or "") / name).hu
    assert message_of(hu) == ""
    for axis, name in FLIPS.items():
        assert f"flipped {name}" in message_of(np.flip(hu, axis))


@pytest.mark.slow
@needs_data
def test_real_chests_in_all_48_orders():
    folder = Path(DATA or "")
    chests = [*(folder / "ct").iterdir(), *(folder / "backgrounds").glob("*.nrrd")]
    wrong = {c.name: wrong_answers(read_ct(c).hu) for c in chests if "nodules" not in c.name}
    assert {name: each for name, each in wrong.items() if each} == {}


@pytest.mark.slow
def test_twenty_more_patients_in_all_48_orders():
    wrong = {
        seed: wrong_answers(simulate_patient(CLASS_KEYS[seed % 4], seed, **CHEAP).volume.hu)
        for seed in range(40_000, 40_020)
    }
    assert {seed: each for seed, each in wrong.items() if each} == {}
