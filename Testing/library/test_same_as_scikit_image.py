"""Own arithmetic gives scikit-image's numbers; it stays because training runs without that library.

A machine that trains needs torch, NumPy and SciPy alone (`Testing/training/test_bare_machine.py`).
"""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from skimage.morphology import convex_hull_image
from skimage.transform import resize

from M3LungScreenLib.preprocessing import resized
from M3LungScreenLib.simulation.lung_frame import _convex_hull

SEEDS = st.integers(0, 2**31)


@given(SEEDS, st.integers(4, 40), st.integers(4, 40))
def test_the_convex_hull_of_a_slice_is_that_of_its_pixel_centres(
    seed: int, rows: int, columns: int
) -> None:
    rng = np.random.default_rng(seed)
    plane = rng.random((rows, columns)) < rng.uniform(0.05, 0.6)
    plane[0, 0] = plane[-1, 0] = plane[0, -1] = True  # of less than a plane it has no hull
    expected = convex_hull_image(plane, offset_coordinates=False)
    assert np.array_equal(_convex_hull(plane), expected)


@given(SEEDS, st.integers(8, 90), st.integers(8, 90), st.integers(4, 64))
def test_a_crop_is_resized_as_by_scikit_image(
    seed: int, rows: int, columns: int, size: int
) -> None:
    hu = np.random.default_rng(seed).integers(-1024, 3000, (rows, columns)).astype(np.int16)
    expected = resize(
        hu.astype(np.float64), (size, size), order=1, mode="edge", preserve_range=True
    )
    assert resized(hu, (size, size)) == pytest.approx(expected, abs=0.02)
