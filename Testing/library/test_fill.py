import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from M3LungScreenLib.chest import prepare
from M3LungScreenLib.ct import CTVolume
from M3LungScreenLib.errors import InputRefused
from M3LungScreenLib.fill import mark_outside
from M3LungScreenLib.lungs import segment_lungs
from M3LungScreenLib.outside import OUTSIDE_HU
from M3LungScreenLib.settings import PreprocessingSettings
from M3LungScreenLib.suitability import suitable
from Testing.stand_ins.filled import SPACING_MM, a_noisy_chest, beyond_the_circle, turned

# What scanners and programs write outside: padding, water, metal, limits of the type.
FILLS = [-32768, -9999, -3024, -2000, -1500, -500, -100, 0, 40, 255, 1024, 3071, 4095, 32767]
CIRCLE = beyond_the_circle()
PREPROCESSING = PreprocessingSettings()


def marked(hu: np.ndarray) -> np.ndarray:
    """bool: what `mark_outside` takes for outside."""
    found = hu.copy()
    mark_outside(found)
    return found <= OUTSIDE_HU


def lungs_ml(hu: np.ndarray) -> list[float]:
    volume = CTVolume.from_array(hu, SPACING_MM)
    lungs = segment_lungs(volume)
    return [np.count_nonzero(lungs == side) * np.prod(SPACING_MM) / 1000 for side in (1, 2)]


@pytest.fixture(scope="module")
def a_chest() -> np.ndarray:
    return a_noisy_chest()


@pytest.fixture(scope="module")
def its_lungs_ml(a_chest) -> list[float]:
    found = lungs_ml(a_chest)
    assert min(found) > 500
    return found


@pytest.mark.parametrize("value", FILLS)
def test_a_constant_outside_the_circle_is_outside_and_nothing_else(a_chest, its_lungs_ml, value):
    filled = a_chest.copy()
    filled[:, CIRCLE] = value
    outside = marked(filled)
    assert outside[:, CIRCLE].all()
    # Two pixels of rim at most, and what touches it by chance with the very same value.
    kept = ~ndimage.binary_dilation(CIRCLE, np.ones((3, 3)), iterations=3)
    assert not outside[:, kept].any()
    assert lungs_ml(filled) == pytest.approx(its_lungs_ml, rel=0.02)


@pytest.mark.parametrize("value", [0, -100, 3071])
@pytest.mark.parametrize("sides", [((9, 9), (9, 9)), ((14, 0), (0, 0)), ((0, 0), (3, 20))])
def test_padding_at_any_side_is_outside(a_chest, its_lungs_ml, value, sides):
    padded = np.pad(a_chest, ((0, 0), *sides), constant_values=value)
    inner = np.pad(np.zeros_like(a_chest, bool), ((0, 0), *sides), constant_values=True)
    assert marked(padded)[inner].all()
    assert lungs_ml(padded) == pytest.approx(its_lungs_ml, rel=0.02)


def test_circle_padding_and_mask_around_each_other_are_all_outside(a_chest):
    filled = a_chest.copy()
    filled[:, CIRCLE] = -2000
    filled = np.pad(filled, ((0, 0), (6, 6), (6, 6)))
    filled = np.pad(filled, ((0, 0), (5, 5), (5, 5)), constant_values=3071)
    outside = marked(filled)[:, 11:-11, 11:-11]
    assert outside[:, CIRCLE].all()
    assert marked(filled)[:, :11].all()


@pytest.mark.parametrize("degrees", [8, 45])
@pytest.mark.parametrize("order", [0, 1, 3])
@pytest.mark.parametrize("fill", [0.0, 3071.0, -3024.0])
def test_a_slice_turned_in_its_plane_has_the_lungs_of_one_turned_in_air(
    a_chest, degrees, order, fill
):
    in_air = turned(a_chest, degrees, -1000.0, order)
    filled = turned(a_chest, degrees, fill, order)
    assert lungs_ml(filled) == pytest.approx(lungs_ml(in_air), rel=0.02)


def test_fill_that_was_mixed_into_the_picture_makes_no_ring_of_lung(a_chest):
    """A rim from air to 0 HU holds every value on the way, lung's too."""

    def shifted(fill: float) -> np.ndarray:
        filled = np.where(CIRCLE, fill, a_chest)
        return ndimage.shift(filled, (0, 0.5, 0.5), order=1, mode="nearest")

    assert lungs_ml(shifted(0.0)) == pytest.approx(lungs_ml(shifted(-1000.0)), rel=0.01)


def test_slices_of_fill_are_none_of_the_scan(a_chest):
    for value in (0, 3071, -1024):
        padded = np.pad(a_chest, ((5, 3), (0, 0), (0, 0)), constant_values=value)
        assert CTVolume.from_array(padded, SPACING_MM).scanned == slice(5, 5 + len(a_chest))


def test_slices_of_fill_do_not_make_a_volume_long_enough(a_chest):
    padded = np.pad(a_chest[10:14], ((5, 5), (0, 0), (0, 0)))
    with pytest.raises(InputRefused, match="has 4 axial slices"):
        suitable(CTVolume.from_array(padded, SPACING_MM))


def test_a_masked_background_leaves_the_lungs_alone(a_chest, its_lungs_ml):
    body = np.stack([ndimage.binary_fill_holes(each > -300) for each in a_chest])
    assert lungs_ml(np.where(body, a_chest, 0)) == pytest.approx(its_lungs_ml, rel=0.02)


@pytest.mark.parametrize("value", [0, -1024, -2048, 3071])
def test_lungs_cut_out_of_their_body_are_refused(a_chest, value):
    near = ndimage.binary_dilation(segment_lungs(CTVolume.from_array(a_chest, SPACING_MM)) > 0)
    masked = CTVolume.from_array(np.where(near, a_chest, value).astype(np.int16), SPACING_MM)
    with pytest.raises(InputRefused, match="The body around the lungs was masked out"):
        prepare(masked, PREPROCESSING)


# What is no fill


def body_to_the_border(seed: int) -> np.ndarray:
    """The middle of a chest: tissue at every side of every slice."""
    return np.ascontiguousarray(a_noisy_chest(seed)[:, 14:-14, 10:-10])


CHANGES = {
    "as it is": lambda hu: hu,
    "clipped at -1000 and 400": lambda hu: np.clip(hu, -1000, 400),
    "clipped at a lung window": lambda hu: np.clip(hu, -1350, 150),
    "soft tissue cut off": lambda hu: np.clip(hu, -1000, 0),
    "everything dense cut off": lambda hu: np.clip(hu, -1000, -100),
    "lung cut off": lambda hu: np.clip(hu, -600, 1500),
    "smoothed": lambda hu: np.rint(ndimage.gaussian_filter(hu.astype(float), (0, 1.5, 1.5))),
    "in steps of 6": lambda hu: hu // 6 * 6,
    "noisy": lambda hu: hu + np.random.default_rng(1).normal(0, 60, hu.shape),
}


@pytest.mark.parametrize("change", CHANGES)
@given(seed=st.integers(0, 50), whole=st.booleans())
@settings(max_examples=5)
def test_tissue_is_no_fill_whatever_was_done_to_it(change, seed, whole):
    hu = a_noisy_chest(seed) if whole else body_to_the_border(seed)
    changed = CHANGES[change](hu).astype(np.int16)
    assert not (marked(changed) & (hu > -900)).any()


def test_a_body_without_noise_is_no_fill_even_at_the_border():
    hu = np.full((9, 64, 64), 40, np.int16)
    hu[:, 20:40, 10:30] = hu[:, 20:40, 34:54] = -850
    assert not marked(hu).any()


def test_air_is_left_as_it_is(a_chest):
    still = np.where(a_chest < -900, -1000, a_chest).astype(np.int16)
    assert (CTVolume.from_array(still, SPACING_MM).hu == still).all()


# NaN


def test_nan_around_a_resampled_picture_is_outside(a_chest, its_lungs_ml):
    around = np.where(CIRCLE, np.nan, a_chest)
    volume = CTVolume.from_array(around, SPACING_MM)
    assert (volume.hu[:, CIRCLE] == OUTSIDE_HU).all()
    assert (volume.hu[:, ~CIRCLE] == a_chest[:, ~CIRCLE]).all()
    padded = np.pad(around, ((2, 2), (4, 4), (4, 4)))
    assert lungs_ml(padded) == pytest.approx(its_lungs_ml, rel=0.02)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_a_value_that_is_no_number_in_the_body_is_refused(a_chest, value, kind):
    broken = a_chest.astype(kind)
    broken[12, 36, 40:43] = value
    with pytest.raises(InputRefused, match="3 of its values inside the image are not numbers"):
        CTVolume.from_array(broken, SPACING_MM)


@pytest.mark.parametrize("value", [0, -1024])
def test_padding_slices_do_not_hide_that_the_lungs_are_cut(a_chest, value):
    cut = a_chest[8:16]
    padded = np.pad(cut, ((4, 4), (0, 0), (0, 0)), constant_values=value)
    codes = [
        [code for code, _ in prepare(CTVolume.from_array(hu, SPACING_MM), PREPROCESSING).warnings]
        for hu in (cut, padded)
    ]
    assert codes[0] == codes[1]
    assert {"lungs_not_whole", "too_little_lung"} & set(codes[0])


# Fill that is not one exact value


@pytest.mark.parametrize("value", [-2000, -500, -100, 0, 40, 1024, 3071])
@pytest.mark.parametrize("noise", [0.5, 1, 3, 6])
def test_fill_with_a_little_noise_is_outside(a_chest, its_lungs_ml, value, noise):
    """As lossy compression leaves it."""
    rough = np.random.default_rng(0).normal(value, noise, a_chest.shape)
    filled = np.rint(np.where(CIRCLE, rough, a_chest)).astype(np.int16)
    outside = marked(filled)
    assert outside[:, ndimage.binary_erosion(CIRCLE, border_value=1)].mean() > 0.97
    assert not outside[:, ~ndimage.binary_dilation(CIRCLE, np.ones((3, 3)), iterations=3)].any()
    assert lungs_ml(filled) == pytest.approx(its_lungs_ml, rel=0.02)


def test_noisy_slices_of_fill_are_none_of_the_scan(a_chest):
    rough = np.random.default_rng(0).normal(0, 3, (30, *a_chest.shape[1:]))
    padded = np.where(CIRCLE, rough, np.pad(a_chest, ((4, 2), (0, 0), (0, 0))))
    padded[:4], padded[-2:] = rough[:4], rough[-2:]
    found = CTVolume.from_array(np.rint(padded).astype(np.int16), SPACING_MM)
    assert found.scanned == slice(4, 4 + len(a_chest))


@pytest.mark.parametrize("pixels", [1, 2, 4])
@pytest.mark.parametrize("around", [np.nan, -3024, 3071])
def test_a_rim_of_another_constant_is_outside(a_chest, its_lungs_ml, pixels, around):
    """As a program leaves it that masks a little less than it fills."""
    wide = ndimage.binary_dilation(CIRCLE, np.ones((3, 3)), iterations=2)
    core = ndimage.binary_erosion(wide, np.ones((3, 3)), iterations=pixels, border_value=1)
    filled = np.where(core, around, np.where(wide, 0, a_chest))
    volume = CTVolume.from_array(filled, SPACING_MM)
    assert (volume.hu[:, wide] == OUTSIDE_HU).all()
    assert lungs_ml(filled) == pytest.approx(its_lungs_ml, rel=0.03)


@pytest.mark.parametrize("value", [-3024, -100, 0, 40, 3071])
@pytest.mark.parametrize("factor", [1.5, 2])
def test_fill_that_rings_after_cubic_enlargement_is_outside(a_chest, value, factor):
    def enlarged(fill: float) -> list[float]:
        filled = np.where(CIRCLE, fill, a_chest).astype(float)
        hu = np.rint(ndimage.zoom(filled, (1, factor, factor), order=3)).astype(np.int16)
        x_mm, y_mm, z_mm = SPACING_MM
        volume = CTVolume.from_array(hu, (x_mm / factor, y_mm / factor, z_mm))
        voxel_ml = float(np.prod(volume.spacing_mm)) / 1000
        lungs = segment_lungs(volume)
        return [np.count_nonzero(lungs == side) * voxel_ml for side in (1, 2)]

    assert enlarged(value) == pytest.approx(enlarged(-1000), rel=0.03)


def test_a_table_that_is_the_same_in_every_slice_is_no_fill(a_chest):
    row, column = np.indices(a_chest.shape[1:])
    table = row > 62 + ((column - 40) / 20) ** 2 * -1.5 + 4
    on_a_table = np.where(table, -300 + a_chest // 5, a_chest).astype(np.int16)
    assert not marked(on_a_table).any()
