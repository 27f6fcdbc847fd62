from itertools import permutations, product

import numpy as np
import pytest
import SimpleITK as sitk

from M3LungScreenLib.ct import CTVolume, Geometry

AXES = ("RL", "AP", "IS")
ORIENTATIONS = ["".join(letters) for order in permutations(AXES) for letters in product(*order)]
TILT = (0.9950041652780258, -0.09983341664682815, 0.0, 0.09983341664682815, 0.9950041652780258)
OBLIQUE = (*TILT, 0.0, 0.0, 0.0, 1.0)
# Turned by 20° about x, then 10° about y, then 5° about z.
TWISTED = (
    *(0.981060262190407, -0.022734435055296, 0.192363997186601),
    *(0.085831651177431, 0.941293088598988, -0.326496935685365),
    *(-0.173648177666930, 0.336824088833465, 0.925416578398323),
)


def a_volume(orientation: str = "LPS", direction: tuple[float, ...] | None = None) -> sitk.Image:
    values = np.random.default_rng(0).integers(-1000, 400, (5, 6, 7)).astype(np.int16)
    image = sitk.GetImageFromArray(values)
    image.SetSpacing((0.7, 0.8, 2.5))
    image.SetOrigin((-31.25, 12.5, 77.125))
    if direction is not None:
        image.SetDirection(direction)
    return sitk.DICOMOrient(image, orientation)


def same_place(one: sitk.Image, other: sitk.Image) -> bool:
    return Geometry.of(one) == Geometry.of(other)


def test_there_are_48_orders_of_axes():
    assert len(set(ORIENTATIONS)) == 48


@pytest.mark.parametrize("direction", [None, OBLIQUE], ids=["straight", "oblique"])
@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_a_volume_comes_back_to_exactly_where_it_was_stored(orientation, direction):
    image = a_volume(orientation, direction)
    volume = CTVolume.from_image(image)
    back = volume.to_stored(volume.hu)
    assert same_place(back, image)
    assert (sitk.GetArrayFromImage(back) == sitk.GetArrayFromImage(image)).all()


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_every_order_of_axes_is_the_same_axial_array(orientation):
    volume, straight = CTVolume.from_image(a_volume(orientation)), CTVolume.from_image(a_volume())
    assert (volume.hu == straight.hu).all()
    assert volume.geometry.position_mm((1, 2, 3)) == pytest.approx(
        straight.geometry.position_mm((1, 2, 3))
    )


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_a_landmark_keeps_its_place(orientation):
    """The brightest voxel lies at one place in mm, as stored, as axial and on the way back."""
    straight = a_volume("LPS", TWISTED)
    straight[4, 1, 3] = 3000
    stored = sitk.DICOMOrient(straight, orientation)
    volume = CTVolume.from_image(stored)
    back = volume.to_stored(volume.hu)
    k, row, column = np.argwhere(volume.hu == 3000)[0]
    expected = straight.TransformIndexToPhysicalPoint((4, 1, 3))
    assert volume.geometry.position_mm((column, row, k)) == pytest.approx(expected)
    z, y, x = (int(each) for each in np.argwhere(sitk.GetArrayFromImage(back) == 3000)[0])
    assert back.TransformIndexToPhysicalPoint((x, y, z)) == pytest.approx(expected)
    axis = next(i for i, letter in enumerate(orientation) if letter in "IS")
    assert volume.stored_slice_index(k) == (x, y, z)[axis]


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_slices_count_along_the_stored_feet_head_axis(orientation):
    volume = CTVolume.from_image(a_volume(orientation))
    first = volume.stored_slice_index(0)
    assert first == (volume.slice_count - 1 if "I" in orientation else 0)
    assert sorted(map(volume.stored_slice_index, range(5))) == list(range(5))


def test_a_position_is_what_simpleitk_says():
    image = a_volume("LPS", OBLIQUE)
    volume = CTVolume.from_image(image)
    expected = image.TransformContinuousIndexToPhysicalPoint((3.0, 2.5, 4.0))
    assert volume.slice_position_mm(4) == pytest.approx(expected)


def test_hu_are_rounded_and_read_only():
    volume = CTVolume.from_array(np.full((8, 4, 4), -899.6, np.float32))
    assert volume.hu.dtype == np.int16
    assert (volume.hu == -900).all()
    with pytest.raises(ValueError, match="read-only"):
        volume.hu[0, 0, 0] = 0


def test_an_array_of_another_shape_is_refused():
    with pytest.raises(ValueError, match=r"\(4, 4, 8\)"):
        Geometry((3, 3, 3)).with_array(np.zeros((8, 4, 4)))
