import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given
from hypothesis import strategies as st

from M3LungScreenLib.ct import Geometry
from M3LungScreenLib.errors import InputRefused
from M3LungScreenLib.suitability import (
    check_geometry,
    check_pixels,
    check_values,
)


def a_chest(slices: int = 10) -> np.ndarray:
    """HU with air around, soft tissue, lung and some bone."""
    hu = np.full((slices, 64, 64), -1000, np.int16)
    hu[:, 10:54, 10:54] = 40
    hu[:, 20:40, 15:30] = -850
    hu[:, 44:48, 30:34] = 900
    return hu


def refusal(check, *arguments) -> InputRefused:
    with pytest.raises(InputRefused) as caught:
        check(*arguments)
    assert "\n" not in caught.value.message
    return caught.value


def a_geometry(orientation="LPS", spacing=(0.7, 0.7, 3.0), size=(512, 512, 100)) -> Geometry:
    """`spacing` and `size` are along x, y, z as stored in `orientation`."""
    name = sitk.DICOMOrientImageFilter.GetDirectionCosinesFromOrientation(orientation)
    return Geometry(size, spacing, (0.0, 0.0, 0.0), name)


# Values


def test_hu_are_taken_with_and_without_padding():
    check_values(a_chest())
    padded = a_chest()
    padded[:, :8] = -2048
    check_values(padded)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda hu: hu + 1024, "the lowest value is 24. The rescale intercept may be missing, or"),
        (lambda hu: -hu, "the lowest value is -900. The rescale intercept may be missing, or the"),
        (lambda hu: np.where(hu == -850, -950, -hu), "as bone than as air. The image may be"),
        (
            lambda hu: (hu + 1000) / 2000,
            "its values range only from 0 to 0.95; in a chest they span more",
        ),
        (lambda hu: (hu + 1000) / 10, "its values range only from 0 to 190"),
        (lambda hu: np.where(hu == 900, np.nan, hu), "not numbers (NaN or infinite)"),
        (lambda hu: np.where(hu == 900, np.inf, hu), "not numbers (NaN or infinite)"),
        (lambda hu: np.where(hu == 900, 65535, hu.astype(np.int32)), "its values reach 65535"),
        (
            lambda hu: np.where(hu == 40, -900, hu),
            "almost no voxels have the density of soft tissue",
        ),
    ],
)
def test_what_is_no_hu_is_refused_with_the_reason(change, words):
    refused = refusal(check_values, change(a_chest()))
    assert refused.kind == "not_hu"
    assert words in refused.message
    assert refused.message.endswith(
        "Load the original CT series, not a picture or a processed copy."
    )


def test_a_missing_intercept_is_noticed_behind_padding():
    raw = a_chest() + 1024
    raw[:, :8] = -2000
    assert "intercept may be missing" in refusal(check_values, raw).message


def test_an_inverted_image_is_noticed_behind_padding():
    inverted = -a_chest()
    inverted[:, :8] = -1000
    assert "inverted" in refusal(check_values, inverted).message


@given(st.integers(-30, 30), st.floats(0.95, 1.05))
def test_a_scanner_a_little_off_is_still_hu(offset, scale):
    check_values(a_chest() * scale + offset)


def test_pictures_and_label_maps_are_refused():
    picture = sitk.Image(16, 16, 16, sitk.sitkUInt8)
    assert "8 bits" in refusal(check_pixels, picture).message
    colours = sitk.Image([16, 16, 16], sitk.sitkVectorInt16, 3)
    assert "color" in refusal(check_pixels, colours).message
    waves = sitk.Image(16, 16, 16, sitk.sitkComplexFloat32)
    assert "complex" in refusal(check_pixels, waves).message


# Geometry


@pytest.mark.parametrize("count", range(2, 8))
def test_two_to_seven_slices_are_refused(count):
    refused = refusal(check_geometry, a_geometry(size=(512, 512, count)))
    assert refused.message.startswith(f"This series has {count} axial slices; a volume needs at")


@pytest.mark.parametrize("count", [1, 8, 495])
def test_one_slice_and_eight_or_more_are_taken(count):
    assert check_geometry(a_geometry(size=(512, 512, count))) == ()


@pytest.mark.parametrize(("orientation", "plane"), [("PSL", "sagittal"), ("LSA", "coronal")])
def test_thick_slices_across_the_body_are_refused(orientation, plane):
    refused = refusal(check_geometry, a_geometry(orientation))
    assert refused.kind == "not_axial"
    assert refused.message.startswith(f"This is a {plane} series with 3.0 mm between slices;")


@pytest.mark.parametrize("orientation", ["PSL", "LSA", "SPR", "IAL", "LPS", "RAI"])
def test_thin_volumes_are_taken_in_any_order_of_axes(orientation):
    spacing = (0.8, 0.8, 0.8)
    assert check_geometry(a_geometry(orientation, spacing, (400, 400, 400))) == ()


def test_a_volume_thinned_in_its_slices_is_no_sagittal_one():
    warned = check_geometry(a_geometry(spacing=(5.0, 5.0, 3.0), size=(64, 64, 100)))
    assert [code for code, _ in warned] == ["coarse_pixels"]


@pytest.mark.parametrize(("pixel", "codes"), [(2.5, []), (2.6, ["coarse_pixels"])])
@pytest.mark.parametrize("count", [1, 40])
def test_coarse_pixels_are_warned_of(pixel, codes, count):
    warned = check_geometry(a_geometry(spacing=(0.7, pixel, 3.0), size=(256, 140, count)))
    assert [code for code, _ in warned] == codes


@pytest.mark.parametrize(
    ("spacing", "codes"), [(5.0, []), (5.1, ["thick_slices"]), (10, ["thick_slices"])]
)
def test_thick_slices_are_warned_of(spacing, codes):
    warned = check_geometry(a_geometry(spacing=(0.7, 0.7, spacing), size=(512, 512, 30)))
    assert [code for code, _ in warned] == codes


def test_slices_too_far_apart_are_refused():
    refused = refusal(check_geometry, a_geometry(spacing=(0.7, 0.7, 12.5)))
    assert refused.message == (
        "The slices are 12.5 mm apart; the limit is 10 mm. Choose a series with thinner slices."
    )


@pytest.mark.parametrize("pixel", [0.2, 2.2])
def test_a_field_of_view_of_no_chest_is_refused(pixel):
    refused = refusal(check_geometry, a_geometry(spacing=(pixel, pixel, 3.0)))
    assert f"measure {512 * pixel:.0f} × {512 * pixel:.0f} mm" in refused.message
