import numpy as np
import pytest
import torch
from PIL import Image
from skimage import data
from torch.nn import functional as F

from M3LungScreenLib.errors import ModelRefused
from M3LungScreenLib.networks.backbones import (
    EfficientNetLite0,
    ResNet50,
    imagenet_weights,
    load_by_order,
    make_backbone,
    widened,
)

ESPRESSO, CATS = 967, {281, 282, 285}


@pytest.fixture(scope="module")
def lite0_weights():
    return imagenet_weights("efficientnet_lite0")


def classified(picture, weights):
    """The likeliest ImageNet class, through the head that the backbone leaves out."""
    backbone = EfficientNetLite0(0, weights).eval()
    image = Image.fromarray(picture)
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    square = image.crop((left, top, left + side, top + side)).resize((224, 224))
    x = torch.tensor(np.asarray(square) / 255, dtype=torch.float32).permute(2, 0, 1)[None]
    with torch.inference_mode():
        y = backbone.last_block(backbone.first_blocks((x - 0.498) / 0.502))
        y = F.conv2d(y, weights["_conv_head.weight"])
        statistics = [weights[f"_bn1.{each}"] for each in ("running_mean", "running_var", "weight")]
        y = F.relu6(F.batch_norm(y, *statistics, weights["_bn1.bias"], eps=1e-3)).mean((2, 3))
        return int(F.linear(y, weights["_fc.weight"], weights["_fc.bias"]).argmax())


def test_the_imagenet_weights_are_in_their_places(lite0_weights):
    assert classified(data.coffee(), lite0_weights) == ESPRESSO
    assert classified(data.chelsea(), lite0_weights) in CATS


@pytest.mark.parametrize("name", ["resnet50", "efficientnet_lite0"])
def test_a_backbone_is_cut_at_stride_16_and_ends_at_32(name):
    backbone = make_backbone(name, extra=4)
    with torch.inference_mode():
        x = backbone.first_blocks(torch.rand(1, 3, 96, 64))
        y = backbone.last_block(torch.cat([x, torch.rand(1, 4, 6, 4)], dim=1))
    assert x.shape == (1, backbone.first_channels, 6, 4)
    assert y.shape == (1, backbone.last_channels, 3, 2)


def test_new_channels_start_without_a_say():
    plain = torch.nn.Conv2d(5, 7, 1, stride=2, bias=False)
    wide = widened(plain, 3)
    x = torch.rand(2, 8, 6, 6)
    assert torch.allclose(wide(x), plain(x[:, :5]))
    assert wide.weight.shape == (7, 8, 1, 1)


def test_resnet_keeps_the_names_of_torchvision():
    from torchvision.models import resnet50

    with torch.device("meta"):
        mine, theirs = ResNet50(0).state_dict(), resnet50().state_dict()
    assert set(theirs) - set(mine) == {"fc.weight", "fc.bias"}
    assert all(mine[name].shape == theirs[name].shape for name in mine)


def test_weights_of_another_network_are_refused():
    network = torch.nn.Linear(3, 2)
    with pytest.raises(ModelRefused, match="another network"):
        load_by_order(network, {"a": torch.zeros(4, 3), "b": torch.zeros(2)})


def test_an_unknown_backbone_names_those_that_are_known():
    with pytest.raises(ModelRefused, match="resnet50, efficientnet_lite0"):
        make_backbone("vgg", 0)


def test_weights_from_a_file_are_read(tmp_path):
    torch.save({"weight": torch.ones(2)}, tmp_path / "weights.pth")
    assert imagenet_weights("resnet50", tmp_path / "weights.pth")["weight"].tolist() == [1, 1]
