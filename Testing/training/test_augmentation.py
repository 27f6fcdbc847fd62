"""What is random about a training image is a record that can be replayed."""

from dataclasses import replace

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from Training.learning.augmentation import NONE, apply, draw, place


@given(st.integers(0, 2**31), st.integers(0, 200), st.integers(0, 10**6))
def test_a_draw_is_the_same_each_time_and_another_in_the_next_epoch(seed, epoch, sample):
    drawn = draw(seed, epoch, sample)
    assert drawn == draw(seed, epoch, sample)
    assert drawn != draw(seed, epoch + 1, sample)
    assert drawn != draw(seed, epoch, sample + 1)
    assert -700 <= drawn.center_hu <= -500


def test_a_replayed_draw_gives_the_same_pixels_noise_included():
    hu = torch.from_numpy(np.random.default_rng(0).integers(-1000, 200, (4, 32, 32)))
    drawn = [draw(1, 0, sample) for sample in range(4)]
    assert any(each.noise_hu > 0 for each in drawn)
    assert torch.equal(apply(hu, drawn, 1200), apply(hu, drawn, 1200))


def test_without_a_draw_the_image_is_the_window_alone():
    hu = torch.tensor([[[-1200.0, -600.0], [-300.0, 0.0]]])
    image = apply(hu, [NONE], 1200)
    expected = torch.tensor([[0.0, 0.5], [0.75, 1.0]])
    assert torch.allclose(image[0], expected.expand(3, 2, 2), atol=1e-6)


def test_a_flip_mirrors_columns_of_image_and_mask_alike():
    drawn = next(d for s in range(20) if (d := draw(1, 0, s, "flips")).flip)
    mask = torch.zeros(1, 8, 8)
    mask[0, 2, 1] = 1
    assert torch.allclose(place(mask, [drawn]), mask.flip(2), atol=1e-6)


def test_flips_alone_leave_geometry_and_noise_as_they_are():
    drawn = draw(1, 0, 5, "flips")
    assert (drawn.angle, drawn.scale, drawn.noise_hu, drawn.blur_px) == (0, (1, 1), 0, 0)


def test_a_bend_moves_image_and_mask_alike_and_folds_nothing():
    mask = torch.zeros(1, 64, 64)
    mask[0, 20:30, 30:44] = 1
    drawn = [replace(NONE, bend=0.04, noise_seed=7)]
    moved = place(mask, drawn)
    shown = apply(mask * 1000 - 1024, drawn, 1200)[0, 0]
    level = ((moved[0] * 1000 - 1024 + 1200) / 1200).clamp(0, 1)
    assert not torch.equal(moved, mask)
    assert torch.allclose(shown, level, atol=1e-5)
    assert 0.7 < float(moved.sum() / mask.sum()) < 1.4


def test_streaks_lie_across_the_image_with_the_noise_that_was_asked():
    air = torch.full((1, 128, 128), -600.0)
    drawn = [replace(NONE, noise_hu=30, streak_px=11, noise_seed=3)]
    noise = (apply(air, drawn, 1200)[0, 0] - 0.5) * 1200
    assert abs(float(noise[8:-8, 8:-8].std()) - 30) < 3
    across, down = (float(noise.diff(dim=axis)[8:-8, 8:-8].std()) for axis in (1, 0))
    assert across < down / 2


def test_a_slope_makes_lung_denser_at_the_back_and_leaves_tissue_as_it_is():
    lung, tissue = torch.full((1, 9, 4), -800.0), torch.full((1, 9, 4), 30.0)
    drawn = [replace(NONE, center_hu=-400, slope=0.2)]
    seen = apply(lung, drawn, 1200)[0, 0, :, 0] * 1200 - 1000
    share_of_tissue = torch.tensor([200 * np.exp(-0.2), 200, 200 * np.exp(0.2)]) - 1000
    assert torch.allclose(seen[[0, 4, 8]], share_of_tissue.float(), atol=0.5)
    flat = [replace(NONE, center_hu=-400)]
    assert torch.allclose(apply(tissue, drawn, 1200), apply(tissue, flat, 1200), atol=1e-5)
