"""The simulated chest: replayable, in HU, with lesions where each disease has them."""

from functools import lru_cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from M3LungScreenLib.simulation.fields import deposit, noise_field, tube_points
from M3LungScreenLib.simulation.lesion_shapes import Grid, corners, fill_of
from M3LungScreenLib.simulation.lesions import LesionRecord, apply_lesions, draw_lesions
from M3LungScreenLib.simulation.lung_frame import LungFrame
from M3LungScreenLib.simulation.patient import render_patient, simulate_patient

SMALL = {"matrix": 96, "slice_count": 32}
ILL = ("covid19", "h1n1", "cap")
SEEDS = range(20)


@lru_cache(maxsize=8)
def a_patient(class_key, seed=3):
    return simulate_patient(class_key, seed, **SMALL)


@lru_cache(maxsize=64)
def a_truth(class_key, seed):
    """Lesions in one and the same pair of lungs."""
    healthy = a_patient("healthy")
    spacing = healthy.volume.spacing_mm
    rng = np.random.default_rng(seed)
    records = draw_lesions(class_key, healthy.lungs, spacing, rng, severity=0.08)
    return apply_lesions(healthy.volume.hu, healthy.lungs, spacing, records)[1]


def side_share(truth):
    """The share of the lesions that lies in the lung that has more."""
    lungs = a_patient("healthy").lungs
    right, left = ((truth > 0) & (lungs == 1)).sum(), ((truth > 0) & (lungs == 2)).sum()
    return max(right, left) / max(1, right + left)


@pytest.mark.parametrize("class_key", ["healthy", *ILL])
def test_same_seed_gives_the_same_voxels(class_key):
    again = simulate_patient(class_key, 3, **SMALL)
    np.testing.assert_array_equal(a_patient(class_key).volume.hu, again.volume.hu)
    np.testing.assert_array_equal(a_patient(class_key).truth, again.truth)
    assert again.record == a_patient(class_key).record


def test_a_record_is_replayed_to_the_same_patient():
    patient = a_patient("covid19")
    again = render_patient(patient.record)
    np.testing.assert_array_equal(again.volume.hu, patient.volume.hu)
    np.testing.assert_array_equal(again.truth, patient.truth)


@pytest.mark.parametrize("class_key", ILL)
def test_an_ill_patient_without_lesions_is_the_healthy_one_of_that_seed(class_key):
    bare = a_patient(class_key).without_lesions()
    np.testing.assert_array_equal(bare.volume.hu, a_patient("healthy").volume.hu)
    np.testing.assert_array_equal(bare.lungs, a_patient("healthy").lungs)
    assert not bare.truth.any()


@pytest.mark.parametrize(("class_key", "index"), [("covid19", 1), ("h1n1", 2), ("cap", 3)])
def test_truth_has_the_index_of_the_class_and_stays_in_the_lungs(class_key, index):
    patient = a_patient(class_key)
    assert set(np.unique(patient.truth)) == {0, index}
    assert not (patient.truth[patient.lungs == 0]).any()


def test_a_healthy_patient_has_no_lesion():
    assert not a_patient("healthy").truth.any()
    assert a_patient("healthy").record.lesions == ()


@pytest.mark.parametrize("class_key", ILL)
def test_what_the_truth_marks_has_become_denser(class_key):
    ill, healthy = a_patient(class_key), a_patient("healthy")
    added = ill.volume.hu.astype(int) - healthy.volume.hu
    lung_like = healthy.volume.hu < -700
    assert np.median(added[(ill.truth > 0) & lung_like]) > 80
    far = ndimage.binary_dilation(ill.truth > 0, iterations=6)
    assert np.abs(added[~far & (ill.lungs == 0)]).mean() < 1


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_tissues_have_their_hu(seed):
    patient = a_patient("healthy", seed)
    hu, lungs = patient.volume.hu.astype(int), patient.lungs
    body = hu > -300
    assert -930 < np.median(hu[lungs > 0]) < -700
    assert -1024 <= np.median(hu[:, 0, :]) < -900 or np.median(hu[:, 0, :]) == -2000
    shares = [((low < hu) & (hu < high))[body].mean() for low, high in ((-180, -40), (0, 120))]
    assert min(shares) > 0.04
    assert 0.01 < (hu[body] > 250).mean() < 0.3
    assert hu.min() >= -2000
    assert hu.max() <= 3071


def test_lungs_have_a_human_volume_and_two_sides():
    for seed in (1, 2, 3):
        patient = a_patient("healthy", seed)
        litres = (patient.lungs > 0).sum() * np.prod(patient.volume.spacing_mm) / 1e6
        right, left = (np.argwhere(patient.lungs == side)[:, 2].mean() for side in (1, 2))
        assert 1.5 < litres < 9
        assert right < left


@settings(max_examples=5, deadline=None)
@given(
    slice_count=st.integers(24, 60),
    thickness=st.floats(1, 10),
    seed=st.integers(0, 1000),
)
def test_slices_are_as_many_and_as_thick_as_asked(slice_count, thickness, seed):
    patient = simulate_patient(
        "healthy", seed, slice_count=slice_count, slice_thickness_mm=thickness, matrix=64
    )
    assert patient.volume.hu.shape == (slice_count, 64, 64)
    assert patient.volume.spacing_mm[2] == pytest.approx(thickness)
    assert patient.lungs.any()


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_drawn_scans_have_24_to_495_slices_of_1_to_10_mm(seed):
    from M3LungScreenLib.simulation.anatomy_record import draw_anatomy
    from M3LungScreenLib.simulation.patient import _slices
    from M3LungScreenLib.simulation.scanner import draw_scanner

    rng = np.random.default_rng(seed)
    count, thickness = _slices(draw_anatomy(rng), draw_scanner(rng), None, None)
    assert 24 <= count <= 495
    assert 1 <= thickness <= 10


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"slice_count": 23}, "23 slices"),
        ({"slice_thickness_mm": 11.0}, "11 mm"),
        ({"matrix": 32}, "matrix of 32"),
    ],
)
def test_what_it_cannot_make_it_names(values, says):
    with pytest.raises(ValueError, match=says):
        simulate_patient("healthy", 0, **values)


def test_covid_is_bilateral_where_cap_is_one_sided():
    covid = np.array([side_share(a_truth("covid19", seed)) for seed in SEEDS])
    cap = np.array([side_share(a_truth("cap", seed)) for seed in SEEDS])
    assert (covid < 0.97).mean() > 0.7
    assert (cap > 0.97).mean() > 0.7


def test_covid_lies_nearer_to_the_pleura_and_lower_than_h1n1():
    healthy = a_patient("healthy")
    frame = LungFrame.of(healthy.lungs, healthy.volume.spacing_mm)
    axes = [
        step * np.arange(n)
        for step, n in zip(healthy.volume.spacing_mm[::-1], healthy.lungs.shape, strict=True)
    ]
    depth = frame.depth_at(axes)
    depths = {key: [np.median(depth[a_truth(key, s) > 0]) for s in SEEDS] for key in ILL}
    lungs = np.median(depth[healthy.lungs > 0])
    assert np.mean(depths["covid19"]) < 0.8 * lungs
    assert np.mean(depths["covid19"]) < np.mean(depths["h1n1"])
    heights = [np.argwhere(a_truth("covid19", s) > 0)[:, 0].mean() for s in SEEDS]
    assert np.mean(heights) < np.argwhere(healthy.lungs > 0)[:, 0].mean()


@pytest.mark.parametrize("class_key", ILL)
@pytest.mark.parametrize("severity", [0.01, 0.1, 0.4])
def test_lesions_cover_about_the_share_asked_for(class_key, severity):
    lungs, spacing = a_patient("healthy").lungs, a_patient("healthy").volume.spacing_mm
    shares = []
    for seed in range(4):
        records = draw_lesions(class_key, lungs, spacing, np.random.default_rng(seed), severity)
        truth = apply_lesions(np.full(lungs.shape, -850, np.int16), lungs, spacing, records)[1]
        shares.append((truth > 0).sum() / (lungs > 0).sum())
    assert 0.4 * severity < np.mean(shares) < 1.8 * severity


def a_lesion(**values):
    usual = {"fill": 0.3, "soft": 0.2, "warp": 0.0, "texture": 0.0, "seed": 1}
    place = {"center_mm": (20.0, 40.0, 40.0), "axis": (1.0, 0.0, 0.0), "radii_mm": (15.0, 20.0)}
    return LesionRecord(1, "patch", 1, **(place | usual | values))


def a_block_of_lung():
    lungs = np.zeros((41, 81, 81), np.uint8)
    lungs[2:-2, 5:-5, 5:-5] = 1
    return np.where(lungs, -850, 40).astype(np.int16), lungs


def test_ground_glass_has_the_hu_of_its_fill():
    hu, lungs = a_block_of_lung()
    out, truth = apply_lesions(hu, lungs, (1, 1, 1), [a_lesion()])
    assert out[20, 40, 40] == pytest.approx(40 - 0.7 * 890, abs=3)
    assert truth[20, 40, 40] == 1
    assert truth[20, 40, 70] == 0
    assert out[20, 40, 75] == -850


def test_vessels_stay_visible_through_ground_glass():
    hu, lungs = a_block_of_lung()
    hu[20, 40, 10:70] = 40
    out, _ = apply_lesions(hu, lungs, (1, 1, 1), [a_lesion()])
    assert out[20, 40, 40] == 40
    assert out[20, 40, 40] - out[20, 43, 40] > 500


def test_known_airways_stay_open_in_a_consolidation():
    hu, lungs = a_block_of_lung()
    airways = np.zeros(hu.shape, np.float32)
    airways[:, 40, 40] = 1
    out, _ = apply_lesions(hu, lungs, (1, 1, 1), [a_lesion(fill=0.97)], airways)
    assert out[20, 40, 40] == -850
    assert out[20, 44, 40] > -50


@pytest.mark.parametrize("class_key", ILL)
def test_no_lesion_is_cut_by_the_box_it_is_computed_in(class_key):
    healthy = a_patient("healthy")
    lungs, spacing = healthy.lungs, healthy.volume.spacing_mm
    frame = LungFrame.of(lungs, spacing)
    whole = Grid(np.zeros(3), np.asarray(spacing)[::-1], lungs.shape)
    drawn = [
        record
        for seed in range(4)
        for record in draw_lesions(class_key, lungs, spacing, np.random.default_rng(seed))
        if record.kind != "effusion"
    ]
    assert len(drawn) > 5
    for record in drawn:
        box, grid = whole.around(*corners(record, frame))
        outline = fill_of(record, frame, grid)[1] * (lungs[box] == record.side)
        for axis, (side, pixels) in enumerate(zip(box, lungs.shape, strict=True)):
            if side.start > 0:
                assert outline.take(0, axis).max() < 0.01
            if side.stop < pixels:
                assert outline.take(-1, axis).max() < 0.01


def test_an_effusion_is_no_lesion():
    hu, lungs = a_block_of_lung()
    fluid = LesionRecord(3, "effusion", 1, (0, 0, 0), (1, 0, 0), (15, 0), 1.0, 4)
    out, truth = apply_lesions(hu, lungs, (1, 1, 1), [fluid])
    assert (out > hu).any()
    assert not truth.any()


def test_a_lesion_is_the_same_at_another_voxel_size():
    fine_hu, fine = a_block_of_lung()
    lesion = a_lesion(warp=0.3)
    truth = apply_lesions(fine_hu, fine, (1, 1, 1), [lesion])[1] > 0
    coarse = apply_lesions(fine_hu[::2, ::2, ::2], fine[::2, ::2, ::2], (2, 2, 2), [lesion])[1] > 0
    assert (truth[::2, ::2, ::2] == coarse).mean() > 0.99


@pytest.mark.parametrize("class_key", ILL)
@pytest.mark.parametrize("shape", [(1, 40, 50), (10, 40, 50), (3, 7, 9)])
def test_lesions_go_into_slabs_single_slices_and_tiny_lungs(class_key, shape):
    lungs = np.zeros(shape, np.uint8)
    lungs[:, 1:-1, 1 : shape[2] // 2 - 1] = 1
    lungs[:, 1:-1, shape[2] // 2 + 1 : -1] = 2
    hu = np.where(lungs > 0, -850, 40).astype(np.int16)
    records = draw_lesions(class_key, lungs, (4.0, 4.0, 10.0), np.random.default_rng(0))
    out, truth = apply_lesions(hu, lungs, (4.0, 4.0, 10.0), records)
    assert out.shape == truth.shape == shape
    assert not truth[lungs == 0].any()


def test_without_lungs_there_are_no_lesions():
    nothing = np.zeros((5, 20, 20), np.uint8)
    hu = np.full(nothing.shape, 40, np.int16)
    assert draw_lesions("cap", nothing, (1, 1, 1), np.random.default_rng(0)) == ()
    np.testing.assert_array_equal(apply_lesions(hu, nothing, (1, 1, 1), [a_lesion()])[0], hu)


def test_tubes_are_deposited_with_their_volume():
    starts, ends = np.array([[3.0, 10, 10]]), np.array([[13.0, 12, 15]])
    points, volumes = tube_points(starts, ends, np.array([1.5]), 0.5)
    share = deposit(points, volumes, (2.5, 1.2, 1.2), (10, 30, 30))
    expected = np.pi * 1.5**2 * np.linalg.norm(ends - starts)
    assert share.sum() * 2.5 * 1.2 * 1.2 == pytest.approx(expected, rel=0.05)


def test_noise_is_the_same_on_a_part_of_its_box():
    axes = tuple(np.arange(0, 40, 1.0) for _ in range(3))
    part = (axes[0][10:20], axes[1][5:30], axes[2])
    whole = noise_field(np.random.default_rng(1), axes, 7.0, (20, 20, 20), 30.0)
    cut = noise_field(np.random.default_rng(1), part, 7.0, (20, 20, 20), 30.0)
    np.testing.assert_allclose(whole[10:20, 5:30], cut, atol=1e-4)
    assert 0.5 < whole.std() < 1.6


@pytest.mark.parametrize("pixels", [[(3, 3)], [(2, 2), (4, 4)], [(1, 5), (2, 5), (3, 5)]])
def test_lesions_are_drawn_where_a_slice_has_only_a_line_of_lung(pixels):
    lungs = np.zeros((4, 8, 8), np.uint8)
    lungs[1:3, 1:7, 1:4], lungs[1:3, 1:7, 5:7] = 1, 2
    for row, column in pixels:
        lungs[3, row, column] = 1
    records = draw_lesions("covid19", lungs, (5, 5, 5), np.random.default_rng(1))
    assert records
