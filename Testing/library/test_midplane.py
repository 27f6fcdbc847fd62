import numpy as np
import pytest
from scipy import ndimage

from M3LungScreenLib import CTVolume, simulate_patient
from M3LungScreenLib.lungs import segment_lungs
from M3LungScreenLib.midplane import Mirror, roll_of
from M3LungScreenLib.working_copy import WorkingCopy


@pytest.fixture(scope="module")
def a_patient() -> CTVolume:
    return simulate_patient("healthy", 5, slice_count=30, slice_thickness_mm=8.0, matrix=128).volume


def rolled(volume: CTVolume, degrees: float) -> CTVolume:
    """The patient turned about the feet–head axis; positive with the left side lower."""
    options = {"axes": (1, 2), "reshape": False, "order": 1, "cval": -1024}
    return CTVolume.from_array(ndimage.rotate(volume.hu, -degrees, **options), volume.spacing_mm)


def an_ellipse(degrees: float, shape: tuple[int, int] = (120, 120)) -> np.ndarray:
    row, column = np.indices(shape) - 59.5
    turn = np.radians(degrees)
    along = column * np.cos(turn) + row * np.sin(turn)
    across = row * np.cos(turn) - column * np.sin(turn)
    return ((along / 50) ** 2 + (across / 35) ** 2 < 1)[None]


def a_copy(body: np.ndarray) -> WorkingCopy:
    hu = np.where(body, 40, -1000).astype(np.int16)
    return WorkingCopy.of(CTVolume.from_array(hu, (2.0, 2.0, 5.0)))


@pytest.mark.parametrize("degrees", [-40, -15, 10, 30])
def test_the_roll_of_a_trunk_is_its_long_axis(degrees):
    body = an_ellipse(degrees)
    assert np.degrees(roll_of(body, a_copy(body))) == pytest.approx(degrees, abs=1)


@pytest.mark.parametrize("degrees", [0, 4, 80])
def test_what_may_be_chance_is_no_roll(degrees):
    body = an_ellipse(degrees)
    assert roll_of(body, a_copy(body)) == 0


@pytest.mark.parametrize("degrees", [-20, 0, 35])
def test_the_mirror_of_one_half_is_the_other(degrees):
    body = an_ellipse(degrees)
    row, column = np.indices(body.shape[1:]) - 59.5
    turn = np.radians(degrees)
    left = body[0] & (column * np.cos(turn) + row * np.sin(turn) > 0)
    mirrored = Mirror.of(body, (59.5, 60.0), a_copy(body))(left)
    assert np.count_nonzero(mirrored ^ (body[0] & ~left)) < 0.06 * np.count_nonzero(left)


@pytest.mark.parametrize("degrees", [-25, 15])
def test_a_rolled_patient_has_the_lungs_of_a_straight_one(a_patient, degrees):
    straight, turned = (segment_lungs(each) for each in (a_patient, rolled(a_patient, degrees)))
    for side in (1, 2):
        expected = np.count_nonzero(straight == side)
        assert np.count_nonzero(turned == side) == pytest.approx(expected, rel=0.05)
