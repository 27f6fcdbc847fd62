"""Axial slices out of volume nodes in any order of axes."""

import itertools

import numpy as np
import pytest

from Testing.stand_ins.mrml_scene import add_volume, ijk_to_ras_of

ORDERS = [
    "".join(letters)
    for axes in itertools.permutations(("RL", "AP", "IS"))
    for letters in itertools.product(*axes)
]


@pytest.mark.parametrize("order", ORDERS)
def test_an_axial_slice_is_the_librarys_in_every_order_of_axes(scene, order):
    import SimpleITK as sitk
    from M3LungScreenSlicer.scene.axial import axial_slice

    from M3LungScreenLib.ct import CTVolume

    hu = np.arange(4 * 5 * 6, dtype=np.int16).reshape(4, 5, 6)
    image = sitk.DICOMOrient(sitk.GetImageFromArray(hu), order)
    volume = CTVolume.from_image(image, kind="array")
    node = add_volume(scene, sitk.GetArrayFromImage(image), ijk_to_ras_of(volume.stored))
    for k in range(volume.slice_count):
        index = volume.stored_slice_index(k)
        np.testing.assert_array_equal(axial_slice(node, index), volume.hu[k])


def test_an_axial_slice_is_no_copy_of_the_volume(scene):
    from M3LungScreenSlicer.scene.axial import axial_slice
    from M3LungScreenSlicer.scene.volumes import voxels

    node = add_volume(scene, np.zeros((4, 5, 6), np.int16))
    assert np.shares_memory(axial_slice(node, 2), voxels(node))


@pytest.mark.parametrize("order", ORDERS)
def test_corners_of_a_crop_lie_on_the_edges_of_its_pixels(scene, order):
    import SimpleITK as sitk
    from M3LungScreenSlicer.scene.axial import crop_corners

    from M3LungScreenLib.ct import CTVolume

    flat = sitk.GetImageFromArray(np.zeros((4, 5, 6), np.int16))
    flat.SetSpacing((2.0, 3.0, 5.0))
    flat.SetOrigin((-7.0, 11.0, 13.0))
    image = sitk.DICOMOrient(flat, order)
    volume = CTVolume.from_image(image, kind="array")
    node = add_volume(scene, sitk.GetArrayFromImage(image), ijk_to_ras_of(volume.stored))
    corners = crop_corners(node, volume.stored_slice_index(2), (1, 2, 3, 4))
    lps = [(-r, -a, s) for r, a, s in corners]
    expected = [(-7 + 2 * (c - 0.5), 11 + 3 * (r - 0.5), 23) for r, c in EDGES]
    np.testing.assert_allclose(lps, expected, atol=1e-9)


EDGES = ((1, 2), (1, 6), (4, 6), (4, 2))
