"""The patient-level network (Section III-C, Figure 6) and the variants of Table IV.

Patients of a batch are padded to one N with a mask. A padded row is zeroed after
every layer with a bias, so it affects neither the Gram matrix nor the weights.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from M3LungScreenLib.settings import Correlation, PatientNetworkSettings

CLASS_COUNT = 4
# The sum in Eq. 2 can be close to zero, with either sign.
SMALLEST_SUM = 1e-3
# Avoids division by zero for constant features.
SMALLEST_SPREAD = 1e-3


class PatientOutput(NamedTuple):
    logits: Tensor  # B, 4
    weights: Tensor  # B, N: each slice's share, 0 where padded


class PatientNetwork(nn.Module):
    """Maps the slice features of B patients to four logits and a weight for each slice."""

    feature_mean: Tensor
    feature_std: Tensor

    def __init__(self, settings: PatientNetworkSettings) -> None:
        super().__init__()
        self.settings = settings
        size = settings.feature_size
        if settings.standardised:
            # Set from the training patients; these defaults leave features unchanged.
            self.register_buffer("feature_mean", torch.zeros(size))
            self.register_buffer("feature_std", torch.ones(size))
        if settings.variant == "max_pooling":
            self.classifier = nn.Linear(size, CLASS_COUNT)
            return
        layers = settings.refinement_layers if settings.variant == "multi_scale_ra" else 0
        self.refinement = nn.ModuleList(Refinement(settings) for _ in range(layers))
        self.aggregation = Aggregation(size, settings.correlation)
        self.reduction = nn.Linear(sum(self.scales) * size, size)
        self.classifier = nn.Linear(size, CLASS_COUNT)

    @property
    def scales(self) -> tuple[int, ...]:
        """S; (3,) in the single-scale variant of Table IV."""
        return (3,) if self.settings.variant == "single_scale_a" else self.settings.scales

    def standardise(self, rows: Tensor) -> None:
        """Sets mean and spread of the features from `rows` R, D: all slices of the training set."""
        self.feature_mean.copy_(rows.mean(dim=0))
        self.feature_std.copy_(rows.std(dim=0).clamp_min(SMALLEST_SPREAD))

    def forward(self, features: Tensor, mask: Tensor | None = None) -> PatientOutput:
        """`features` B, N, D with slices in order; `mask` B, N is True at real slices.

        Real slices come first in each row; None if all are real.
        """
        if self.settings.standardised:
            features = (features - self.feature_mean) / self.feature_std
        if mask is None:
            mask = torch.ones(features.shape[:2], dtype=torch.bool, device=features.device)
        if self.settings.variant == "max_pooling":
            return self._max_pooled(features, mask)
        aggregated, weights = [], torch.zeros_like(features[..., 0])
        counts = mask.sum(dim=1)
        for scale in self.scales:
            for part in range(scale):
                inside = in_part(counts, features.shape[1], part, scale)  # B, N
                f, share = self._head(features, inside)  # B, D;  B, N
                aggregated.append(f)
                weights = weights + share * (inside.sum(dim=1) / counts)[:, None]
        f = self.reduction(torch.cat(aggregated, dim=1))  # B, Σs·D → B, D
        return PatientOutput(self.classifier(f), weights / len(self.scales))

    def _head(self, features: Tensor, inside: Tensor) -> tuple[Tensor, Tensor]:
        """Refine and aggregate one part; `inside` B, N marks its slices."""
        f = features * inside[..., None]  # B, N, D
        for layer in self.refinement:
            f = layer(f, inside)
        return self.aggregation(f, inside)

    def _max_pooled(self, features: Tensor, mask: Tensor) -> PatientOutput:
        hidden = features.masked_fill(~mask[..., None], -torch.inf)
        f, where = hidden.max(dim=1)  # B, D
        won = torch.zeros_like(features[..., 0]).scatter_add_(1, where, torch.ones_like(f))
        return PatientOutput(self.classifier(f), won / features.shape[2])


class Refinement(nn.Module):
    """Refinement layer: Eq. 1 to 3 with a skip connection."""

    def __init__(self, settings: PatientNetworkSettings) -> None:
        super().__init__()
        self.heads, self.head_size = settings.heads, settings.head_size
        self.correlation = settings.correlation
        inner = self.heads * self.head_size
        self.f1, self.f2, self.f3 = (nn.Linear(settings.feature_size, inner) for _ in range(3))
        self.f4 = nn.Linear(inner, settings.feature_size)

    def forward(self, features: Tensor, inside: Tensor) -> Tensor:
        f1, f2, f3 = (self._split(f(features), inside) for f in (self.f1, self.f2, self.f3))
        mix = self._across_slices if self.correlation == "slices" else self._across_features
        refined = mix(f1, f2, f3, inside)  # B, h, N, D'
        joined = refined.transpose(1, 2).flatten(2)  # B, N, h·D'
        return (features + self.f4(joined)) * inside[..., None]  # Eq. 3 and the skip

    def _split(self, f: Tensor, inside: Tensor) -> Tensor:
        """Splits the heads, and zeroes rows outside the part, where the bias would count."""
        f = (f * inside[..., None]).unflatten(2, (self.heads, self.head_size))
        return f.transpose(1, 2)  # B, h, N, D'

    def _across_features(self, f1: Tensor, f2: Tensor, f3: Tensor, inside: Tensor) -> Tensor:
        with torch.autocast(f1.device.type, enabled=False):  # sums over N overflow half precision
            gram = f1.float().transpose(2, 3) @ f2.float()  # B, h, D', D'
            slices = inside.sum(dim=1).clamp_min(1)[:, None, None, None]
            h = normalized(gram, self.correlation, slices)  # Eq. 2
        return f3 @ h.to(f3.dtype)  # B, h, N, D'

    def _across_slices(self, f1: Tensor, f2: Tensor, f3: Tensor, inside: Tensor) -> Tensor:
        keys = inside[:, None, None, :] | ~inside.any(dim=1)[:, None, None, None]
        return F.scaled_dot_product_attention(f1, f2, f3, attn_mask=keys)


class Aggregation(nn.Module):
    """Aggregates N × D to 1 × D: a learnable k replaces f1; one head, no output layer."""

    def __init__(self, size: int, correlation: Correlation) -> None:
        super().__init__()
        self.correlation = correlation
        self.k = nn.Parameter(torch.randn(1, size) / size**0.5)
        self.f2, self.f3 = nn.Linear(size, size), nn.Linear(size, size)

    def forward(self, features: Tensor, inside: Tensor) -> tuple[Tensor, Tensor]:
        scores = (self.f2(features) @ self.k.T).squeeze(2).float()  # B, N
        if self.correlation == "signed_sum":
            weights = signed_share(scores * inside)
        else:
            scores = scores / features.shape[2] ** 0.5
            lowest = torch.finfo(scores.dtype).min
            weights = scores.masked_fill(~inside, lowest).softmax(dim=1) * inside  # B, N
        return (weights[:, None].to(features.dtype) @ self.f3(features)).squeeze(1), weights


def normalized(gram: Tensor, correlation: Correlation, slices: Tensor) -> Tensor:
    """Eq. 2 over j (the last axis): divided by the signed sum as printed, or softmax.

    Softmax scales by 1/sqrt(n), n the number of slices each entry sums over.
    """
    if correlation == "signed_sum":
        return signed_share(gram)
    return (gram / slices.sqrt()).softmax(dim=-1)


def signed_share(values: Tensor) -> Tensor:
    """Values divided by their sum along the last axis, which is kept away from zero."""
    total = values.sum(dim=-1, keepdim=True)
    sign = torch.where(total < 0, -1.0, 1.0)
    return values / (sign * total.abs().clamp_min(SMALLEST_SUM))


def in_part(counts: Tensor, length: int, part: int, scale: int) -> Tensor:
    """B, N: the slices of run `part` of `scale` nearly equal runs of each patient's slices.

    Boundaries are floor(n · part / scale), so a patient with fewer slices than
    `scale` has empty runs.
    """
    place = torch.arange(length, device=counts.device)[None]
    start = torch.div(counts * part, scale, rounding_mode="floor")[:, None]
    end = torch.div(counts * (part + 1), scale, rounding_mode="floor")[:, None]
    return (place >= start) & (place < end)
