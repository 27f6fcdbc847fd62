"""The lung mask on phantoms whose lungs are known, and on real scans."""

import os
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from M3LungScreenLib.ct import CTVolume
from M3LungScreenLib.lung_zones import peripheral, vertical_zones
from M3LungScreenLib.lungs import LEFT, RIGHT, segment_lungs
from M3LungScreenLib.preprocessing import find_crops
from M3LungScreenLib.settings import PreprocessingSettings

SPACING_MM = (2.0, 2.0, 5.0)
AIR, FAT, SOFT, LUNG, GAS = -1000, -100, 40, -850, -1000
DATA = os.environ.get("M3LUNGSCREEN_DATA")
needs_data = pytest.mark.skipif(not DATA, reason="M3LUNGSCREEN_DATA names no folder of real CT")


class Phantom:
    """An elliptic body with two ellipsoid lungs; `truth` 1 right, 2 left."""

    def __init__(self, slices: int = 44, size: int = 190) -> None:
        self.k, self.y, self.x = np.indices((slices, size, size), np.float32)
        self.y -= size / 2
        self.x -= size / 2
        self.hu = np.full(self.k.shape, AIR, np.float32)
        self.hu[(self.x / 80) ** 2 + (self.y / 55) ** 2 < 1] = SOFT
        self.truth = np.zeros(self.k.shape, np.uint8)
        for side, middle in ((RIGHT, -36), (LEFT, 36)):
            inside = self.ellipsoid(slices / 2, 0, middle, slices * 0.45, 40, 28)
            self.truth[inside] = side
        self.hu[self.truth > 0] = LUNG
        self.hu += np.random.default_rng(0).normal(0, 15, self.hu.shape)

    def ellipsoid(self, k, y, x, dk, dy, dx):
        return (((self.k - k) / dk) ** 2 + ((self.y - y) / dy) ** 2 + ((self.x - x) / dx) ** 2) < 1

    def lungs(self) -> np.ndarray:
        return segment_lungs(CTVolume.from_array(np.rint(self.hu).astype(np.int16), SPACING_MM))


def dice(one, other):
    return 2 * np.count_nonzero(one & other) / (np.count_nonzero(one) + np.count_nonzero(other))


@pytest.fixture
def phantom():
    return Phantom()


def test_two_lungs_are_found_and_told_apart(phantom):
    found = phantom.lungs()
    for side in (RIGHT, LEFT):
        assert dice(found == side, phantom.truth == side) > 0.97


def test_one_slice_is_segmented_as_well(phantom):
    phantom.hu, phantom.truth = phantom.hu[22:23], phantom.truth[22:23]
    assert dice(phantom.lungs() > 0, phantom.truth > 0) > 0.95


def test_lungs_that_touch_in_front_are_told_apart(phantom):
    phantom.hu[(abs(phantom.x) < 12) & (abs(phantom.y + 12) < 3) & (abs(phantom.k - 22) < 6)] = LUNG
    found = phantom.lungs()
    assert dice(found == RIGHT, phantom.truth == RIGHT) > 0.95
    assert dice(found == LEFT, phantom.truth == LEFT) > 0.95


def test_vessels_and_a_nodule_at_the_pleura_are_inside(phantom):
    vessel = phantom.ellipsoid(22, 5, -36, 9, 3, 3)
    nodule = phantom.ellipsoid(25, 0, 62, 2, 5, 5) & (phantom.truth > 0)
    phantom.hu[vessel | nodule] = SOFT
    found = phantom.lungs()
    assert (found[vessel] == RIGHT).mean() > 0.97
    # Where the lung bulges most a closing cuts the nodule's outermost cap.
    assert (found[nodule] == LEFT).mean() > 0.6


def test_a_consolidated_lobe_stays_in_the_lung(phantom):
    lobe = (phantom.truth == RIGHT) & (phantom.k > 24)
    phantom.hu[lobe] = 30
    found = phantom.lungs()
    assert (found[lobe] == RIGHT).mean() > 0.8


def test_a_white_lung_is_filled_after_the_other(phantom):
    white = phantom.truth == LEFT
    phantom.hu[white] = 30
    found = phantom.lungs()
    above_the_dome = white & (phantom.k > 16)
    assert (found[above_the_dome] == LEFT).mean() > 0.8
    assert dice(found == RIGHT, phantom.truth == RIGHT) > 0.95


def test_ground_glass_is_lung(phantom):
    glass = phantom.ellipsoid(22, 10, -50, 8, 20, 14) & (phantom.truth > 0)
    phantom.hu[glass] = -500
    assert (phantom.lungs()[glass] > 0).mean() > 0.98


def test_a_pneumothorax_belongs_to_the_lung(phantom):
    free_air = (phantom.truth == RIGHT) & (phantom.y < -18)
    phantom.hu[free_air] = GAS
    assert (phantom.lungs()[free_air] == RIGHT).mean() > 0.95


def test_the_trachea_is_no_lung(phantom):
    trachea = (phantom.x**2 + (phantom.y - 0) ** 2 < 25) & (phantom.k > 24)
    phantom.hu[trachea] = GAS
    assert (phantom.lungs()[trachea] > 0).mean() < 0.1


def test_bowel_gas_beside_the_bases_is_no_lung(phantom):
    gas = phantom.ellipsoid(3, -28, 30, 1.6, 9, 14)
    phantom.hu[gas] = GAS
    assert (phantom.lungs()[gas] > 0).mean() < 0.05


def test_a_neck_with_a_trachea_alone_has_no_lungs():
    phantom = Phantom()
    phantom.hu[phantom.truth > 0] = SOFT
    phantom.hu[phantom.x**2 + phantom.y**2 < 30] = GAS
    assert not phantom.lungs().any()


def test_air_and_a_solid_body_have_no_lungs(phantom):
    phantom.hu[phantom.truth > 0] = SOFT
    assert not phantom.lungs().any()
    phantom.hu[:] = AIR
    assert not phantom.lungs().any()


def with_vessels_and_spine(phantom: Phantom) -> Phantom:
    """Vessels throughout the lungs, so that no height is like another, and a spine."""
    vessels = np.zeros_like(phantom.truth)
    for place in np.argwhere(phantom.truth > 0)[:: np.count_nonzero(phantom.truth) // 400]:
        k, y, x = place
        vessels[k, y - 1 : y + 2, x - 1 : x + 2] = 1
        vessels[min(k + 1, len(vessels) - 1), y : y + 3, x : x + 3] = 1
    phantom.hu[(vessels > 0) & (phantom.truth > 0)] = SOFT
    phantom.hu[phantom.x**2 + (phantom.y - 42) ** 2 < 100] = 300
    return phantom


CUTS = {
    "left": np.s_[:, :, :140],
    "right": np.s_[:, :, 45:],
    "front": np.s_[:, 70:, :],
    "back": np.s_[:, :118, :],
    "all around, without any air outside": np.s_[:, 66:122, 45:140],
    "one corner, with air outside in it": np.s_[:, 20:150, 0:140],
}


@pytest.mark.parametrize("side", CUTS)
def test_lung_that_reaches_the_border_of_the_image_is_lung(phantom, side):
    with_vessels_and_spine(phantom)
    phantom.hu, truth = phantom.hu[CUTS[side]], phantom.truth[CUTS[side]]
    found = phantom.lungs()
    assert np.count_nonzero(found) == pytest.approx(np.count_nonzero(truth), rel=0.1)
    assert dice(found > 0, truth > 0) > 0.95


def test_lung_that_reaches_the_edge_of_the_scanners_circle_is_lung(phantom):
    with_vessels_and_spine(phantom)
    beyond = phantom.x**2 + phantom.y**2 > 55**2
    phantom.hu[beyond] = -1024
    truth = phantom.truth * ~beyond
    assert np.count_nonzero(phantom.lungs()) == pytest.approx(np.count_nonzero(truth), rel=0.1)


@pytest.mark.parametrize("foam", [-980, -950, -900, -800])
def test_a_foam_filled_table_that_the_image_cuts_off_is_no_lung(phantom, foam):
    table = phantom.y > 60
    phantom.hu[table] = foam + np.random.default_rng(1).normal(0, 15, np.count_nonzero(table))
    phantom.hu[table & (phantom.y < 62)] = 100
    phantom.hu = phantom.hu[:, :180]
    assert dice(phantom.lungs() > 0, phantom.truth[:, :180] > 0) > 0.96


@pytest.mark.parametrize("folds", [False, True])
@pytest.mark.parametrize("thickness", [1, 2])
def test_gas_right_under_the_diaphragm_is_no_lung_even_in_thick_slices(thickness, folds):
    phantom = Phantom()
    body = (phantom.x / 80) ** 2 + (phantom.y / 55) ** 2 < 1
    phantom.hu[(phantom.k < 10) & body] = SOFT
    bubble = phantom.ellipsoid(6, -8, 36, 3.6, 14, 18)
    phantom.hu[bubble] = GAS
    if folds:  # of the colon, blurred
        phantom.hu[bubble & (phantom.x % 12 < 3)] = -700
    phantom.truth[:10] = 0
    thick = phantom.hu.reshape(-1, thickness, *phantom.hu.shape[1:]).mean(axis=1)
    spacing = (2.0, 2.0, 5.0 * thickness)
    found = segment_lungs(CTVolume.from_array(np.rint(thick).astype(np.int16), spacing))
    assert not found[: 10 // thickness].any()
    whole = (phantom.truth > 0).reshape(-1, thickness, *found.shape[1:]).mean(axis=1) > 0.5
    assert dice(found > 0, whole) > 0.95


def test_bowel_that_lies_wholly_below_the_lungs_is_no_lung(phantom):
    stool = np.random.default_rng(2).uniform(-900, -320, phantom.hu.shape)
    bowel = phantom.ellipsoid(2, -28, 30, 1.6, 12, 16)
    phantom.hu[:4] = np.where(phantom.truth[:4] > 0, SOFT, phantom.hu[:4])
    phantom.hu[bowel] = stool[bowel]
    assert not phantom.lungs()[:4].any()


TABLES = {
    "flat and thin": lambda p: (abs(p.y - 62) < 1.5) & (abs(p.x) < 85),
    "curved": lambda p: abs(p.y - 60 - p.x**2 / 400) < 1.5,
    "thick and hollow": lambda p: (abs(p.y - 70) < 9) & (abs(p.x) < 85) & ~(abs(p.y - 70) < 7),
    "two rails": lambda p: (abs(p.y - 66) < 4) & (abs(abs(p.x) - 45) < 6),
    "a pad": lambda p: (abs(p.y - 60) < 5) & (abs(p.x) < 70) & (p.hu < -500),
}


@pytest.mark.parametrize("table", TABLES)
def test_no_table_is_lung_nor_takes_any(phantom, table):
    shape = TABLES[table](phantom)
    phantom.hu[shape & (phantom.hu < -500)] = -820 if table == "a pad" else 100
    found = phantom.lungs()
    assert dice(found > 0, phantom.truth > 0) > 0.96


def test_the_gap_under_an_arm_is_no_lung(phantom):
    arm = (phantom.x + 86) ** 2 / 60 + phantom.y**2 / 500 < 1
    skin = (abs(phantom.x + 78) < 10) & (abs(abs(phantom.y) - 22) < 2)
    phantom.hu[(arm | skin) & (phantom.hu < -500)] = SOFT
    assert dice(phantom.lungs() > 0, phantom.truth > 0) > 0.96


def test_streaks_of_arms_do_not_break_the_lungs(phantom):
    phantom.hu += 120 * np.sin(phantom.y * 1.3) * (abs(phantom.y) < 20)
    assert dice(phantom.lungs() > 0, phantom.truth > 0) > 0.94


def test_no_lung_voxel_lies_outside_its_crop(phantom):
    volume = CTVolume.from_array(np.rint(phantom.hu).astype(np.int16), SPACING_MM)
    lungs = segment_lungs(volume)
    for lung, crop in zip(lungs, find_crops(volume, lungs, PreprocessingSettings()), strict=True):
        inside = np.count_nonzero(lung[crop.window]) if crop else 0
        assert inside == np.count_nonzero(lung)


def test_thirds_of_height_are_counted_for_each_lung_from_below():
    lungs = np.zeros((12, 4, 4), np.uint8)
    lungs[0:9, :, :2], lungs[3:12, :, 2:] = RIGHT, LEFT
    zones = vertical_zones(lungs)
    assert zones[:, 0, 0].tolist() == [1, 1, 1, 2, 2, 2, 3, 3, 3, 0, 0, 0]
    assert zones[:, 0, 3].tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3]


def test_the_peripheral_zone_lies_along_the_ribs_and_not_the_mediastinum(phantom):
    near = peripheral(phantom.truth, SPACING_MM)[22]
    middle = 95
    row = np.flatnonzero(phantom.truth[22, middle] == RIGHT)
    assert near[middle, row[0]]
    assert not near[middle, row[-1]]
    assert not near[phantom.truth[22] == 0].any()


@needs_data
def test_the_lungs_of_the_reference_volume_agree_with_its_label_map():
    folder = Path(DATA or "") / "volumes"
    volume, labels = (
        CTVolume.from_image(sitk.ReadImage(str(folder / name)))
        for name in ("ct-64.nrrd", "lm-64.nrrd")
    )
    assert dice(segment_lungs(volume) > 0, (labels.hu & 255) > 0) > 0.95


@needs_data
@pytest.mark.parametrize("name", ["lidc-0002", "lung-pet-ct-dx-A0002", "crlm-1006"])
def test_real_lungs_have_a_plausible_size_and_both_sides(name):
    path = Path(DATA or "") / "backgrounds" / f"{name}.nrrd"
    volume = CTVolume.from_image(sitk.ReadImage(str(path)))
    lungs = segment_lungs(volume)
    millilitres = [
        np.count_nonzero(lungs == side) * np.prod(volume.spacing_mm) / 1000 for side in (1, 2)
    ]
    assert all(800 < each < 4000 for each in millilitres)
    assert 0.6 < millilitres[0] / millilitres[1] < 1.7
