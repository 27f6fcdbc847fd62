from dataclasses import replace

import pytest
import torch

from M3LungScreenLib.networks.slice_network import (
    LesionHead,
    SliceNetwork,
    coordinate_maps,
    own_view,
    pool,
)
from M3LungScreenLib.settings import PRESETS, SliceNetworkSettings

PLAIN = SliceNetworkSettings(multi_task=False, attention=False, coordinates=False)
SMALL = PRESETS["compact"].slice_network
# ResNet-50 without its classifier, as torchvision counts it: 25,557,032 - 2,049,000.
RESNET50 = 23_508_032


def parameters(settings):
    with torch.device("meta"):
        return sum(each.numel() for each in SliceNetwork(settings).parameters())


def test_a_plain_resnet_has_its_published_count():
    assert parameters(PLAIN) == RESNET50 + 2048 * 4 + 4


def test_the_papers_network_adds_two_prototypes_and_four_channels():
    lesion_head = 2 * 1024 + 2
    widened = 4 * 512 + 4 * 2048  # the first 1 × 1 convolution and the shortcut of ResBlock4
    assert parameters(SliceNetworkSettings()) == RESNET50 + 8196 + lesion_head + widened


def test_the_papers_shapes_at_512():
    network = SliceNetwork(PRESETS["paper"].slice_network).eval()
    with torch.inference_mode():
        out = network(torch.rand(1, 3, 512, 512))
    assert out.lesion_logits.shape == (1, 2)
    assert out.class_logits.shape == (1, 4)
    assert out.map_logits.shape == (1, 32, 32)
    assert out.features.shape == (1, 3072) == (1, network.feature_size)


@pytest.mark.parametrize("multi_task", [False, True])
@pytest.mark.parametrize("attention", [False, True])
@pytest.mark.parametrize("coordinates", [False, True])
def test_every_switch_of_table_v(multi_task, attention, coordinates):
    settings = replace(SMALL, multi_task=multi_task, attention=attention, coordinates=coordinates)
    if attention and not multi_task:
        with pytest.raises(ValueError, match="multi_task"):
            SliceNetwork(settings)
        return
    out = SliceNetwork(settings).eval()(torch.rand(2, 3, 64, 64))
    assert out.class_logits.shape == (2, 4)
    assert (out.map_logits is None) == (out.lesion_logits is None) == (not multi_task)


def test_the_maps_logits_average_to_the_slices_own():
    head = LesionHead(9, SliceNetworkSettings(similarity="dot"))
    x = torch.randn(3, 9, 5, 6)
    logits, location = head(x, x.mean((2, 3)))
    assert torch.allclose(location.mean((1, 2)), logits[:, 1] - logits[:, 0], atol=1e-5)


@pytest.mark.parametrize("similarity", ["euclidean", "cosine"])
def test_a_point_on_the_lesion_prototype_is_hotter_than_one_on_the_other(similarity):
    head = LesionHead(4, SliceNetworkSettings(similarity=similarity))
    x = head.linear.weight.detach().T[None, :, None]  # 1, C, 1, 2: without, with lesion
    with torch.inference_mode():
        _, location = head(x, x.mean((2, 3)))
    assert location[0, 0, 1] > location[0, 0, 0]
    assert location[0, 0, 1] == pytest.approx(-location[0, 0, 0].item(), abs=1e-3)


def test_an_affine_of_its_own_moves_the_map_and_not_the_slice():
    head = LesionHead(4, SliceNetworkSettings(map_affine=True))
    x = torch.randn(1, 4, 3, 3)
    logits, before = head(x, x.mean((2, 3)))
    with torch.no_grad():
        head.offset += 2
    again, after = head(x, x.mean((2, 3)))
    assert torch.equal(again, logits)
    assert torch.allclose(after, before + 2)


def test_a_slice_called_free_of_lesions_shows_its_own_row():
    maps = torch.zeros(2, 1, 2) + torch.tensor([2.0, -1.0])
    view = own_view(torch.tensor([[0.0, 1.0], [1.0, 0.0]]), maps)
    assert torch.allclose(view[0], maps[0].sigmoid())
    assert torch.allclose(view[1], 1 - maps[1].sigmoid())


def test_coordinates_run_from_minus_one_to_one():
    x, y, distance = coordinate_maps(torch.zeros(1, 1, 3, 5))[0]
    assert x[0].tolist() == [-1, -0.5, 0, 0.5, 1]
    assert y[:, 0].tolist() == [-1, 0, 1]
    assert distance[0, 0].item() == pytest.approx(2**0.5)
    assert distance[1, 2] == 0


def test_a_small_lesion_does_not_drown_in_the_generalised_mean():
    x = torch.full((1, 1, 10, 10), 0.1)
    x[0, 0, 0, 0] = 4.0
    assert pool(x, "mean").item() == pytest.approx((99 * 0.1 + 4) / 100)
    cubes = (99 * 0.1**3 + 4**3) / 100
    assert pool(x, "generalised_mean").item() == pytest.approx(cubes ** (1 / 3), rel=1e-5)


def test_the_generalised_mean_of_nothing_has_a_finite_slope():
    x = torch.zeros(1, 2, 3, 3, requires_grad=True)
    pool(x, "generalised_mean").sum().backward()
    assert torch.isfinite(x.grad).all()
