"""Whatever the door, the same CT is taken, warned of or refused in the same words."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given, settings
from hypothesis import strategies as st

from M3LungScreenLib import CTVolume, Geometry, UsageError, load_bundle, read_ct, screen
from M3LungScreenLib.bundle import Bundle
from M3LungScreenLib.commands.screen import SHIPPED_BUNDLE
from M3LungScreenLib.errors import InputRefused
from M3LungScreenLib.suitability import suitable
from M3LungScreenLib.worker import map_volume
from Testing.stand_ins.dicom import write_series
from Testing.stand_ins.filled import a_noisy_chest, beyond_the_circle

SPACING_MM = (5.0, 5.0, 3.0)
Door = Callable[[np.ndarray, tuple[float, float, float], Path], CTVolume]


@pytest.fixture(scope="module")
def a_bundle() -> Bundle:
    return load_bundle(SHIPPED_BUNDLE)


def by_file(hu: np.ndarray, spacing_mm: tuple[float, float, float], folder: Path) -> CTVolume:
    image = Geometry(hu.shape[::-1], spacing_mm).with_array(hu)
    sitk.WriteImage(image, str(folder / "a.nrrd"))
    return read_ct(folder / "a.nrrd")


def by_series(hu: np.ndarray, spacing_mm: tuple[float, float, float], folder: Path) -> CTVolume:
    write_series(folder / "dicom", hu, pixel_mm=spacing_mm[0], thickness_mm=spacing_mm[2])
    return read_ct(folder / "dicom")


def by_array(hu: np.ndarray, spacing_mm: tuple[float, float, float], folder: Path) -> CTVolume:
    return CTVolume.from_array(hu, spacing_mm)


def by_image(hu: np.ndarray, spacing_mm: tuple[float, float, float], folder: Path) -> CTVolume:
    return CTVolume.from_image(Geometry(hu.shape[::-1], spacing_mm).with_array(hu))


def by_slicer(hu: np.ndarray, spacing_mm: tuple[float, float, float], folder: Path) -> CTVolume:
    hu.tofile(folder / "volume.raw")
    return map_volume(folder / "volume.raw", Geometry(hu.shape[::-1], spacing_mm))


def by_hand(hu: np.ndarray, spacing_mm: tuple[float, float, float], folder: Path) -> CTVolume:
    place = Geometry(hu.shape[::-1], spacing_mm)
    return CTVolume(hu, place, place)


DOORS: dict[str, Door] = {
    each.__name__: each for each in (by_file, by_series, by_array, by_image, by_slicer, by_hand)
}
CHEST = np.maximum(a_noisy_chest(), -1024)
REFUSED = {
    "too_few_slices": (CHEST[:5], SPACING_MM),
    "slices_too_far_apart": (CHEST, (5.0, 5.0, 12.5)),
    "field_of_view": (CHEST, (0.9, 0.9, 3.0)),
    "not_hu": (CHEST + np.int16(1024), SPACING_MM),
}


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("kind", REFUSED)
def test_every_door_leads_to_the_same_refusal(a_bundle, tmp_path, door, kind):
    hu, spacing_mm = REFUSED[kind]
    with pytest.raises(InputRefused) as expected:
        suitable(CTVolume.from_array(hu, spacing_mm))
    with pytest.raises(InputRefused) as refused:
        screen(DOORS[door](hu, spacing_mm, tmp_path), a_bundle)
    assert expected.value.kind == refused.value.kind == kind
    assert refused.value.message == expected.value.message


@pytest.mark.parametrize("door", [name for name in DOORS if name != "by_hand"])
def test_every_door_finds_the_fill_and_warns_alike(tmp_path, door):
    filled = CHEST.copy()
    filled[:, beyond_the_circle()] = 0
    volume = suitable(DOORS[door](filled, SPACING_MM, tmp_path))
    expected = suitable(CTVolume.from_array(filled, SPACING_MM))
    assert np.array_equal(volume.hu, expected.hu)
    assert volume.warnings == expected.warnings
    assert [code for code, _ in volume.warnings] == ["coarse_pixels"]


def test_what_was_checked_is_not_warned_of_twice():
    once = suitable(CTVolume.from_array(CHEST, SPACING_MM))
    assert suitable(once) is once


# What is no volume


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (np.zeros((4, 4)), "this one is 4 × 4"),
        (np.zeros((2, 4, 4, 4)), "this one is 2 × 4 × 4 × 4"),
        (np.zeros((0, 4, 4)), "this one is 0 × 4 × 4"),
        (np.float64(3), "this one is one number"),
        (np.zeros((9, 4, 4), bool), "this array has type bool"),
        (np.zeros((9, 4, 4), complex), "this array has type complex128"),
        (np.full((9, 4, 4), "air"), "this array has type <U3"),
        (np.full((9, 4, 4), None), "this array has type object"),
    ],
)
def test_a_shape_or_type_that_is_no_volume_is_a_usage_error(values, words):
    with pytest.raises(UsageError) as refused:
        CTVolume.from_array(values)
    assert words in refused.value.message
    assert "\n" not in refused.value.message


def test_a_list_is_as_good_as_an_array():
    volume = CTVolume.from_array(CHEST[:8].tolist(), list(SPACING_MM), [1, 2, 3])
    assert np.array_equal(volume.hu, CHEST[:8])


@pytest.mark.parametrize("spacing", [(0, 1, 1), (1, -1, 1), (1, 1, np.nan), (1, 1, np.inf), (1, 1)])
def test_a_spacing_that_is_no_length_is_a_usage_error(spacing):
    with pytest.raises(UsageError, match="Pass the spacing, origin and direction from the CT's"):
        CTVolume.from_array(CHEST, spacing)


@pytest.mark.parametrize(
    "direction",
    [(1, 0, 0, 0, 1, 0, 0, 0.2, 1), (2, 0, 0, 0, 1, 0, 0, 0, 1), (0,) * 9, (np.nan,) * 9],
)
def test_a_direction_that_is_no_rotation_is_a_usage_error(direction):
    with pytest.raises(UsageError, match="not unit vectors at right angles"):
        CTVolume.from_array(CHEST, SPACING_MM, direction=direction)


def test_an_image_of_colours_or_time_is_a_usage_error():
    one = Geometry(CHEST.shape[::-1]).with_array(CHEST)
    for image in (sitk.JoinSeries([one, one]), sitk.Compose([one, one, one]), one[:, :, 3]):
        with pytest.raises(UsageError, match="A CT volume is an array"):
            CTVolume.from_image(image)


def test_one_byte_holds_no_hu_at_any_door():
    with pytest.raises(InputRefused, match="8 bits"):
        CTVolume.from_array(np.zeros((9, 40, 40), np.uint8))


@given(
    kind=st.sampled_from([np.int16, np.int32, np.int64, np.float32, np.float64]),
    order=st.sampled_from("CF"),
    seed=st.integers(0, 9),
)
@settings(max_examples=15)
def test_hu_are_the_same_in_every_type_and_order_of_memory(kind, order, seed):
    hu = a_noisy_chest(seed, (8, 40, 40))
    volume = CTVolume.from_array(np.asarray(hu, kind, order), SPACING_MM)
    assert volume.hu.dtype == np.int16
    assert np.array_equal(volume.hu, hu)
    assert volume.hu.flags.c_contiguous
    assert not volume.hu.flags.writeable


def test_the_array_that_was_handed_in_is_left_as_it_was():
    filled = CHEST.copy()
    filled[:, beyond_the_circle()] = 0
    kept = filled.copy()
    CTVolume.from_array(filled, SPACING_MM)
    assert np.array_equal(filled, kept)


def test_values_beyond_int16_are_told_not_wrapped():
    high = CHEST.astype(np.int32)
    high[10, 30, 30:40] = 70000
    with pytest.raises(InputRefused, match="its values reach 32767"):
        suitable(CTVolume.from_array(high, SPACING_MM))


def test_a_volume_of_a_hundred_million_voxels_is_taken_without_a_copy_in_floats():
    import tracemalloc

    hu = np.tile(CHEST, (12, 4, 4))
    tracemalloc.start()
    suitable(CTVolume.from_array(hu, (1.25, 1.25, 1.0)))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1.3 * hu.nbytes


def test_geometry_fields_are_checked_however_they_are_set():
    place = dataclasses.replace(Geometry((80, 72, 24)), spacing_mm=(1.0, 1.0, -1.0))
    with pytest.raises(UsageError, match="above 0 mm"):
        CTVolume.stored_in(place, CHEST)
