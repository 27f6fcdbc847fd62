import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from M3LungScreenLib.preprocessing import (
    Crop,
    apply_windows,
    crop_hu,
    crop_stages,
    find_crop,
    network_input,
    paste,
)
from M3LungScreenLib.settings import PreprocessingSettings

SETTINGS = PreprocessingSettings(input_size=64)
crops = st.builds(
    Crop, st.integers(0, 20), st.integers(0, 20), st.integers(24, 90), st.integers(24, 90)
)


@pytest.fixture
def a_slice():
    """512 × 512: a body with two lungs on a thin table; and the lungs."""
    y, x = np.mgrid[:512, :512] - 256.0
    hu = np.full((512, 512), -1000, np.int16)
    hu[(x / 210) ** 2 + (y / 150) ** 2 < 1] = 40
    lungs = np.zeros(hu.shape, np.uint8)
    lungs[((x + 95) / 70) ** 2 + (y / 100) ** 2 < 1] = 1
    lungs[((x - 95) / 70) ** 2 + (y / 100) ** 2 < 1] = 2
    hu[lungs > 0] = -850
    hu[(abs(y - 170) < 2) & (abs(x) < 230)] = 100
    return hu, lungs


def test_a_window_by_hand():
    hu = np.array([-1300, -1200, -900, -600, -300, 0, 500], np.int16)
    assert apply_windows(hu, (-600,), 1200)[0].tolist() == [0, 0, 0.25, 0.5, 0.75, 1, 1]
    assert apply_windows(hu, (-700, -500), 1200)[:, 3] == pytest.approx([7 / 12, 5 / 12])


def test_the_crop_is_the_lungs_with_ten_pixels_around(a_slice):
    hu, lungs = a_slice
    rows, columns = (np.flatnonzero(lungs.any(axis=axis)) for axis in (1, 0))
    crop = find_crop(hu, lungs, SETTINGS)
    assert (crop.row, crop.column) == (rows[0] - 10, columns[0] - 10)
    assert (crop.rows, crop.columns) == (rows.size + 20, np.ptp(columns) + 1 + 20)


def test_the_margin_scales_with_the_matrix(a_slice):
    hu, lungs = (each[::2, ::2] for each in a_slice)
    crop = find_crop(hu, lungs, SETTINGS)
    assert crop.row == np.flatnonzero(lungs.any(axis=1))[0] - 5


def test_a_crop_ends_at_the_image(a_slice):
    hu, lungs = a_slice
    lungs[0, 0] = lungs[511, 511] = 1
    assert find_crop(hu, lungs, SETTINGS) == Crop(0, 0, 512, 512)


def test_a_slice_without_lung_is_uninformative(a_slice):
    hu, lungs = a_slice
    assert find_crop(hu, lungs * 0, SETTINGS) is None


def test_the_table_disappears_in_the_third_stage_and_the_lungs_remain(a_slice):
    hu, lungs = a_slice
    stages = crop_stages(hu, SETTINGS)
    table = hu == 100
    assert list(stages) == [
        "slice",
        "threshold",
        "opening",
        "background removed",
        "second opening",
        "crop",
    ]
    assert stages["threshold"][table].all()
    assert not stages["opening"][table].any()
    assert (stages["second opening"] == (lungs > 0)).mean() > 0.999


def test_network_input_has_the_windows_and_three_equal_channels(a_slice):
    hu, lungs = a_slice
    images = network_input(hu, find_crop(hu, lungs, SETTINGS), SETTINGS)
    assert images.shape == (3, 3, 64, 64)
    assert images.dtype == np.float32
    assert (images[:, 0] == images[:, 1]).all()
    assert (images >= 0).all()
    assert (images <= 1).all()


def test_cropping_averages_and_does_not_skip():
    hu = np.indices((64, 64)).sum(0) % 2 * 1000 - 1000
    assert crop_hu(hu.astype(np.int16), Crop(0, 0, 64, 64), 16) == pytest.approx(-500, abs=30)


@given(crops, st.integers(0, 3), st.integers(0, 3))
def test_a_hot_cell_goes_back_to_where_it_was_cut_from(crop, i, j):
    cells = np.zeros((4, 4), np.float32)
    cells[i, j] = 1
    whole = paste(cells, crop, (120, 120))
    row, column = np.average(np.indices(whole.shape).reshape(2, -1), axis=1, weights=whole.ravel())
    inner = 0 < i < 3 and 0 < j < 3
    tolerance = 1.0 if inner else max(crop.rows, crop.columns) / 8
    assert row == pytest.approx(crop.row + (i + 0.5) * crop.rows / 4 - 0.5, abs=tolerance)
    assert column == pytest.approx(crop.column + (j + 0.5) * crop.columns / 4 - 0.5, abs=tolerance)


@given(crops)
def test_nothing_is_pasted_outside_the_crop_and_the_scale_is_kept(crop):
    whole = paste(np.full((7, 7), 0.25, np.float32), crop, (120, 120))
    assert whole[crop.window] == pytest.approx(0.25)
    assert np.count_nonzero(whole) == crop.rows * crop.columns


def test_a_landmark_survives_crop_and_paste_to_half_a_cell():
    hu = np.full((200, 200), -850, np.int16)
    hu[93:99, 121:127] = 400
    crop = Crop(30, 20, 150, 160)
    small = crop_hu(hu, crop, 64).astype(np.float32) + 850
    whole = paste(small, crop, hu.shape)
    row, column = np.average(np.indices(whole.shape).reshape(2, -1), axis=1, weights=whole.ravel())
    assert (row, column) == pytest.approx((95.5, 123.5), abs=0.5)
