import numpy as np
import pytest

from M3LungScreenLib.involvement import (
    lung_volumes_ml,
    measure_involvement,
    severity_points,
    slice_involvement,
)

SPACING_MM = (2.0, 2.0, 5.0)


@pytest.fixture
def two_lungs():
    """Nine slices; two boxes of 40 × 16 pixels, right at low columns."""
    lungs = np.zeros((9, 60, 60), np.uint8)
    lungs[:, 10:50, 8:24] = 1
    lungs[:, 10:50, 36:52] = 2
    return lungs


def measured(lungs, lesions, hu=-600):
    return measure_involvement(np.full(lungs.shape, hu, np.int16), lesions, lungs, SPACING_MM)


def test_no_lesion_is_zero_everywhere(two_lungs):
    found = measured(two_lungs, np.zeros_like(two_lungs))
    assert set(vars(found.total).values()) == {0.0}
    assert found.severity_score == 0


def test_a_lower_right_lesion_counts_in_its_lung_and_zone_alone(two_lungs):
    lesions = np.zeros_like(two_lungs)
    lesions[:3, 10:30, 8:24] = 1
    found = measured(two_lungs, lesions)
    assert found.right.fraction == pytest.approx(1 / 6)
    assert found.total.fraction == pytest.approx(1 / 12)
    assert (found.right.lower, found.right.middle, found.right.upper) == (0.5, 0, 0)
    assert found.left.fraction == 0
    assert found.severity_score == 3


def test_ground_glass_and_consolidation_add_up(two_lungs):
    lesions = (two_lungs > 0).astype(np.uint8)
    hu = np.full(two_lungs.shape, -600, np.int16)
    hu[:, 10:20] = 20
    total = measure_involvement(hu, lesions, two_lungs, SPACING_MM).total
    assert total.consolidation == pytest.approx(0.25)
    assert total.ground_glass + total.consolidation == pytest.approx(total.fraction)


def test_whole_lungs_of_lesion_score_24(two_lungs):
    found = measured(two_lungs, (two_lungs > 0).astype(np.uint8))
    assert found.severity_score == 24
    assert set(vars(found.left).values()) == {1.0, 0.0}  # all ground glass, no consolidation


def test_central_and_peripheral_voxels_weigh_up_to_the_fraction(two_lungs):
    random = np.random.default_rng(0)
    lesions = ((random.random(two_lungs.shape) < 0.3) & (two_lungs > 0)).astype(np.uint8)
    total = measured(two_lungs, lesions).total
    low, high = sorted((total.central, total.peripheral))
    assert low <= total.fraction <= high


@pytest.mark.parametrize(
    ("share", "points"),
    [(0, 0), (0.001, 1), (0.2499, 1), (0.25, 2), (0.5, 3), (0.7499, 3), (0.75, 4), (1, 4)],
)
def test_severity_points_by_share(share, points):
    assert severity_points(share) == points


def test_lung_volumes_in_millilitres(two_lungs):
    volumes = lung_volumes_ml(two_lungs, SPACING_MM)
    assert volumes.right == pytest.approx(9 * 40 * 16 * 20 / 1000)
    assert volumes.total == volumes.left + volumes.right


def test_a_slice_without_lung_has_no_involvement(two_lungs):
    two_lungs[0] = 0
    share = slice_involvement((two_lungs > 0).astype(np.uint8), two_lungs)
    assert share.tolist() == [0] + [1] * 8
