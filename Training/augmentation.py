"""What is random about a training image: drawn as records, applied as arithmetic."""

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

CENTERS_HU = (-700.0, -500.0)


@dataclass(frozen=True)
class Augmentation:
    """One draw. Angles in degrees, shifts in half widths of the image, HU in HU.

    `density` is how much denser the air in the lung is than in the scan (inspiration),
    `sharpen` the gain of a sharp kernel, `grain_px` the size of the noise's grain.
    `streak_px` is how long the noise is across the image: few photons pass both arms.
    `bend` is the spread, in half widths, by which a chest's shape is changed smoothly:
    there are fewer real chests to learn from than shapes of chests.
    """

    flip: bool
    angle: float
    scale: tuple[float, float]
    shift: tuple[float, float]
    center_hu: float
    offset_hu: float
    density: float
    noise_hu: float
    grain_px: float
    blur_px: float
    sharpen: float
    noise_seed: int
    bend: float = 0.0
    streak_px: int = 0


NONE = Augmentation(False, 0, (1, 1), (0, 0), -600, 0, 1, 0, 0, 0, 0, 0)
# A bend is drawn at so many points across and down, and smooth between them.
BEND_POINTS = 6


def draw(seed: int, epoch: int, sample: int, kind: str = "full") -> Augmentation:
    """The draw of one sample in one epoch; the same numbers give the same draw.

    'flips' draws only what the paper names: a flip and the window's center.
    """
    rng = np.random.default_rng((seed, epoch, sample))
    if kind == "flips":
        flip, center = bool(rng.random() < 0.5), float(rng.uniform(*CENTERS_HU))
        return replace(NONE, flip=flip, center_hu=center)
    scale, stretch = rng.uniform(0.88, 1.12), rng.uniform(0.94, 1.06)
    is_sharp = rng.random() < 0.3
    return Augmentation(
        flip=bool(rng.random() < 0.5),
        angle=float(rng.uniform(-12, 12)),
        scale=(float(scale * stretch), float(scale / stretch)),
        shift=(float(rng.uniform(-0.05, 0.05)), float(rng.uniform(-0.05, 0.05))),
        center_hu=float(rng.uniform(*CENTERS_HU)),
        offset_hu=float(rng.normal(0, 12)),
        density=float(np.exp(rng.normal(0, 0.12))),
        noise_hu=float(rng.uniform(0, 60) * (rng.random() < 0.6)),
        grain_px=float(rng.uniform(0, 0.9)),
        blur_px=0.0 if is_sharp else float(rng.uniform(0.4, 1.6) * (rng.random() < 0.4)),
        sharpen=float(rng.uniform(0.3, 1.2)) if is_sharp else 0.0,
        noise_seed=int(rng.integers(2**31)),
        bend=float(rng.uniform(0, 0.04) * (rng.random() < 0.7)),
        streak_px=int(rng.integers(3, 25) * (rng.random() < 0.3)),
    )


def apply(hu: Tensor, drawn: list[Augmentation], window_width_hu: float) -> Tensor:
    """HU `[B, S, S]` to network input `[B, 3, S, S]` in [0, 1], each by its own draw."""
    moved = place(hu.float() + 1024, drawn) - 1024
    seen = [_degrade(image, each) for image, each in zip(moved, drawn, strict=True)]
    centers = torch.tensor([each.center_hu for each in drawn], device=hu.device).view(-1, 1, 1)
    lowest = centers - window_width_hu / 2
    windowed = ((torch.stack(seen) - lowest) / window_width_hu).clamp(0, 1)
    return windowed[:, None].expand(-1, 3, -1, -1)


def place(images: Tensor, drawn: list[Augmentation]) -> Tensor:
    """Flip, turn, scale, shift and bend images or masks `[B, S, S]`; 0 comes in at the edges."""
    matrices = torch.stack([_matrix(each) for each in drawn]).to(images.device)
    grid = F.affine_grid(matrices, [len(images), 1, *images.shape[1:]], align_corners=False)
    grid = grid + _bends(drawn, images.shape[1:]).to(images.device)
    return F.grid_sample(images.float()[:, None], grid, align_corners=False)[:, 0]


def _matrix(drawn: Augmentation) -> Tensor:
    angle = np.deg2rad(drawn.angle)
    mirror = -1 if drawn.flip else 1
    cosine, sine = np.cos(angle), np.sin(angle)
    across, down = drawn.scale
    rows = [
        [mirror * cosine / across, -sine / across, drawn.shift[0]],
        [mirror * sine / down, cosine / down, drawn.shift[1]],
    ]
    return torch.tensor(rows, dtype=torch.float32)


def _bends(drawn: list[Augmentation], shape: torch.Size) -> Tensor:
    """Displacements `[B, rows, columns, 2]` in half widths, smooth across the image."""
    fields = []
    for each in drawn:
        points = np.random.default_rng(each.noise_seed).standard_normal((2, *2 * [BEND_POINTS]))
        fields.append(torch.from_numpy(each.bend * points).float())
    smooth = F.interpolate(torch.stack(fields), list(shape), mode="bicubic", align_corners=True)
    return smooth.permute(0, 2, 3, 1)


def _degrade(hu: Tensor, drawn: Augmentation) -> Tensor:
    """Inspiration, kernel, noise and calibration of another scan."""
    if drawn.density != 1:
        # The air's share of the lung changes; what is denser than half stays.
        tissue = (hu + 1000).clamp_min(0)
        hu = hu + (drawn.density - 1) * tissue * ((500 - tissue) / 300).clamp(0, 1)
    if drawn.sharpen > 0:
        hu = hu + drawn.sharpen * (hu - _blurred(hu, 0.8))
    if drawn.blur_px > 0:
        hu = _blurred(hu, drawn.blur_px)
    if drawn.noise_hu > 0:
        hu = hu + drawn.noise_hu * _grain(hu, drawn)
    return hu + drawn.offset_hu


def _grain(hu: Tensor, drawn: Augmentation) -> Tensor:
    generator = torch.Generator(hu.device).manual_seed(drawn.noise_seed)
    noise = torch.randn(hu.shape, generator=generator, device=hu.device)
    if drawn.grain_px >= 0.3:
        noise = _blurred(noise, drawn.grain_px)
    if drawn.streak_px > 0:
        reach = drawn.streak_px // 2
        noise = F.avg_pool2d(noise[None], (1, 2 * reach + 1), stride=1, padding=(0, reach))[0]
    return noise / noise.std()


def _blurred(image: Tensor, sigma_px: float) -> Tensor:
    """A Gaussian blur of `[S, S]`."""
    reach = torch.arange(-3, 4, dtype=torch.float32, device=image.device)
    kernel = torch.exp(-((reach / sigma_px) ** 2) / 2)
    kernel = kernel / kernel.sum()
    padded = F.pad(image[None, None], (3, 3, 3, 3), mode="replicate")
    return F.conv2d(F.conv2d(padded, kernel.view(1, 1, 1, -1)), kernel.view(1, 1, -1, 1))[0, 0]
