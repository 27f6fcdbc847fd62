"""Shifted copies of a mask give what SciPy and scikit-image give, which take many times as long."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy import ndimage
from skimage.morphology import convex_hull_image

from M3LungScreenLib.morphology import (
    CROSS,
    SQUARE,
    VOXELS,
    convex_hull,
    grown,
    opened,
    share_of_regions,
    shrunk,
    touching_border,
)

masks = arrays.arrays(bool, arrays.array_shapes(min_dims=3, max_dims=3, max_side=12))
slices = arrays.arrays(bool, arrays.array_shapes(min_dims=2, max_dims=2, max_side=30))
spacings = st.lists(st.sampled_from((0.7, 1.0, 1.3, 2.5)), min_size=3, max_size=3)
radii = st.sampled_from((0.5, 2.0, 5.0, 12.0))


@given(masks, radii, spacings)
def test_a_mask_grows_to_a_distance(mask, radius, spacing):
    far = ndimage.distance_transform_edt(~mask, sampling=spacing)
    expected = (far <= radius + 1e-9) & mask.any()
    assert np.array_equal(grown(mask, radius, spacing), expected)


@given(masks, radii, spacings)
def test_a_mask_shrinks_by_a_distance(mask, radius, spacing):
    depth = ndimage.distance_transform_edt(mask, sampling=spacing)
    expected = (depth > radius + 1e-9) | mask.all()
    assert np.array_equal(shrunk(mask, radius, spacing), expected)


@given(masks, radii, spacings)
def test_beyond_the_array_may_lie_what_eats_at_a_mask(mask, radius, spacing):
    depth = ndimage.distance_transform_edt(np.pad(mask, 1), sampling=spacing)[1:-1, 1:-1, 1:-1]
    assert np.array_equal(shrunk(mask, radius, spacing, beyond=False), depth > radius + 1e-9)


@given(masks)
def test_each_slice_grows_by_itself(mask):
    assert np.array_equal(grown(mask, 2.0), [grown(each[None], 2.0, VOXELS)[0] for each in mask])


@pytest.mark.parametrize(("radius", "connectivity"), [(CROSS, 1), (SQUARE, 2)])
def test_the_radii_of_four_and_of_eight_neighbors(radius, connectivity):
    mask = np.zeros((1, 5, 5), bool)
    mask[0, 2, 2] = True
    neighbors = ndimage.generate_binary_structure(2, connectivity)
    assert np.array_equal(grown(mask, radius)[0, 1:4, 1:4], neighbors)
    assert np.count_nonzero(grown(mask, radius)) == neighbors.sum()


@given(masks, st.lists(st.integers(1, 9), min_size=1, max_size=3))
def test_an_opening_is_that_of_scipy(mask, shape):
    box = np.ones([1] * (3 - len(shape)) + shape)
    assert np.array_equal(opened(mask, shape), ndimage.binary_opening(mask, box))


@given(masks)
def test_what_does_not_touch_the_border_of_its_slice_is_a_hole(mask):
    filled = [ndimage.binary_fill_holes(each) for each in mask]
    assert np.array_equal(~touching_border(~mask), filled)


@given(slices.filter(np.any))
def test_the_convex_hull_is_that_of_scikit_image(mask):
    assert np.array_equal(convex_hull(mask), convex_hull_image(mask))


def test_the_share_of_regions_that_a_mask_covers():
    regions = np.array([[0, 1, 1, 3], [0, 1, 1, 3]])
    mask = np.array([[1, 1, 0, 1], [0, 0, 0, 1]], bool)
    assert share_of_regions(mask, regions, 3).tolist() == [0.5, 0.25, 0.0, 1.0]
