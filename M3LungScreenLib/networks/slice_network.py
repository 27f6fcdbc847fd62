"""The slice-level network (Section III-B, Figure 5) with the switches of Table V."""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from M3LungScreenLib.networks.backbones import State, make_backbone
from M3LungScreenLib.settings import Pooling, SliceNetworkSettings

CLASS_COUNT = 4
COORDINATE_CHANNELS = 3
WITHOUT_LESION, WITH_LESION = 0, 1
# The cube root has no finite gradient at 0.
SMALLEST_FEATURE = 1e-3


class SliceOutput(NamedTuple):
    """The network's outputs for B slices.

    `lesion_logits` and `map_logits` are None without multi-task learning;
    `map_logits` are those of the 'with lesion' map, before the sigmoid.
    """

    lesion_logits: Tensor | None  # B, 2: without, with lesion
    class_logits: Tensor  # B, 4
    map_logits: Tensor | None  # B, h, w
    features: Tensor  # B, D


class SliceNetwork(nn.Module):
    """Maps windowed CT slices to lesion and class logits, location map and features.

    `pretrained` is the state dict of the backbone's ImageNet weights. `feature_size`
    is D, the pooled features before and after the last block.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, settings: SliceNetworkSettings, pretrained: State | None = None) -> None:
        super().__init__()
        if settings.attention and not settings.multi_task:
            raise ValueError(
                "attention requires multi_task: its location map comes from the lesion head"
            )
        self.settings = settings
        extra = settings.attention + COORDINATE_CHANNELS * settings.coordinates
        self.backbone = make_backbone(settings.backbone, int(extra), pretrained)
        first, last = self.backbone.first_channels, self.backbone.last_channels
        self.feature_size = first + last
        self.lesion_head = LesionHead(first, settings) if settings.multi_task else None
        self.class_head = nn.Linear(last, CLASS_COUNT)
        statistics = torch.tensor([self.backbone.mean, self.backbone.std])
        self.register_buffer("mean", statistics[0].view(3, 1, 1), persistent=False)
        self.register_buffer("std", statistics[1].view(3, 1, 1), persistent=False)

    def forward(self, images: Tensor) -> SliceOutput:
        """`images` B, 3, S, S in [0, 1]; S a multiple of 32."""
        x = self.backbone.first_blocks((images - self.mean) / self.std)  # B, C, h, w
        # ResNet's X is rectified, a mobile backbone's is not: in the mean, negative values
        # would hide a small lesion.
        rectified = F.relu(x)
        pooled_x = pool(rectified, self.settings.pooling)  # B, C
        lesion_logits = map_logits = None
        fed = [x]
        if self.lesion_head is not None:
            lesion_logits, map_logits = self.lesion_head(rectified, pooled_x)
        if self.settings.attention and lesion_logits is not None and map_logits is not None:
            fed.append(own_view(lesion_logits, map_logits)[:, None])  # B, 1, h, w
        if self.settings.coordinates:
            fed.append(coordinate_maps(x))  # B, 3, h, w
        y = self.backbone.last_block(torch.cat(fed, dim=1))  # B, C', h/2, w/2
        pooled_y = pool(y, self.settings.pooling)  # B, C'
        features = torch.cat([pooled_x, pooled_y], dim=1)  # B, D
        return SliceOutput(lesion_logits, self.class_head(pooled_y), map_logits, features)


class LesionHead(nn.Module):
    """Classifies pooled X as lesion or no lesion; the same two prototypes give the map.

    The rows of the linear layer's weights are the prototypes 'without' and 'with
    lesion' (III-B.2). With the dot product and no affine, the mean of
    the map's logits is the difference of the slice's logits.
    """

    def __init__(self, channels: int, settings: SliceNetworkSettings) -> None:
        super().__init__()
        self.similarity = settings.similarity
        self.linear = nn.Linear(channels, 2)
        self.has_affine = settings.map_affine or settings.similarity != "dot"
        if self.has_affine:
            self.log_scale = nn.Parameter(torch.zeros(()))
            self.offset = nn.Parameter(torch.zeros(()))

    def forward(self, x: Tensor, pooled: Tensor) -> tuple[Tensor, Tensor]:
        logits = self.linear(pooled)  # B, 2
        similarity = self._similarity(x)  # B, 2, h, w
        difference = similarity[:, WITH_LESION] - similarity[:, WITHOUT_LESION]  # B, h, w
        if self.has_affine:
            difference = self.log_scale.exp() * difference + self.offset
        return logits, difference

    def _similarity(self, x: Tensor) -> Tensor:
        """Similarity of each point of X to each prototype: B, 2, h, w."""
        prototypes = self.linear.weight  # 2, C
        if self.similarity == "dot":
            return F.conv2d(x, prototypes[:, :, None, None], self.linear.bias)
        if self.similarity == "cosine":
            unit = F.normalize(prototypes, dim=1)
            return F.conv2d(F.normalize(x, dim=1), unit[:, :, None, None])
        squared = (prototypes**2).sum(dim=1)[:, None, None] + (x**2).sum(dim=1, keepdim=True)
        product = F.conv2d(x, prototypes[:, :, None, None])
        return -(squared - 2 * product).clamp_min(1e-12).sqrt()


def pool(x: Tensor, pooling: Pooling) -> Tensor:
    """B, C, h, w to B, C: the mean, or the generalised mean (power 3) of positive values."""
    if pooling == "mean":
        return x.mean(dim=(2, 3))
    with torch.autocast(x.device.type, enabled=False):  # cubes overflow half precision
        cubes = x.float().clamp_min(SMALLEST_FEATURE) ** 3
        return cubes.mean(dim=(2, 3)) ** (1 / 3)


def own_view(lesion_logits: Tensor, map_logits: Tensor) -> Tensor:
    """The map of the predicted lesion class, in [0, 1], B, h, w: the last block's extra input.

    For slices classified as free of lesions it shows 'without lesion', as in the
    paper's figures.
    """
    lesion_map = torch.sigmoid(map_logits)
    is_lesion = lesion_logits[:, WITH_LESION] > lesion_logits[:, WITHOUT_LESION]
    return torch.where(is_lesion[:, None, None], lesion_map, 1 - lesion_map)


def coordinate_maps(x: Tensor) -> Tensor:
    """x and y in [-1, 1] and their distance from the center (III-B.3): B, 3, h, w."""
    batch, _, height, width = x.shape
    rows = torch.linspace(-1, 1, height, device=x.device, dtype=x.dtype)
    columns = torch.linspace(-1, 1, width, device=x.device, dtype=x.dtype)
    y_map, x_map = torch.meshgrid(rows, columns, indexing="ij")
    maps = torch.stack([x_map, y_map, (x_map**2 + y_map**2).sqrt()])  # 3, h, w
    return maps.expand(batch, -1, -1, -1)
