"""Pictures of slices: outlines, and the stages of the lung crop."""

import numpy as np
from PIL import Image

from M3LungScreenLib.outputs.pictures import (
    OUTLINE,
    STAGE_PIXELS,
    View,
    crop_stages_picture,
    outlined,
)
from M3LungScreenLib.settings import PreprocessingSettings

VIEW = View(slice(10, 50), slice(0, 40), (80, 80))


def test_an_outline_surrounds_its_mask_and_leaves_the_inside_visible():
    mask = np.zeros((60, 60), bool)
    mask[20:30, 10:30] = True  # rows 20 to 40, columns 20 to 60 of the picture
    drawn = (np.asarray(outlined(Image.new("RGB", VIEW.size), mask, VIEW)) == OUTLINE).all(axis=-1)
    assert not drawn[21:39, 21:59].any()
    assert drawn[19, 30:50].all()
    assert drawn[30, [19, 60]].all()
    assert not drawn[:16].any()


def test_the_stages_of_a_crop_are_six_undistorted_squares():
    hu = np.full((64, 128), 40, np.int16)
    hu[20:50, 20:60] = hu[20:50, 70:110] = -850
    sheet = np.asarray(crop_stages_picture(hu, PreprocessingSettings()))
    assert sheet.shape == (2 * STAGE_PIXELS, 3 * STAGE_PIXELS)
    first, threshold = sheet[:STAGE_PIXELS, :STAGE_PIXELS], sheet[:STAGE_PIXELS, STAGE_PIXELS:]
    shown = np.argwhere(first > 0)
    height, width = np.ptp(shown, axis=0) + 1
    assert (height, width) == (62, 124)  # twice as wide as high, as the slice is
    assert set(np.unique(threshold[:, :STAGE_PIXELS])) == {0, 255}
