"""Random augmentation of training images: drawn as records, then applied."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

CENTERS_HU = (-700.0, -500.0)


@dataclass(frozen=True)
class Augmentation:
    """One draw: angles in degrees, shifts in half widths of the image, intensities in HU.

    `density` scales the density of aerated lung (inspiration), `sharpen` is the gain of a sharp
    kernel, `grain_px` the grain of the noise, `streak_px` the length of horizontal noise streaks
    (few photons pass through both arms). `bend` is the spread, in half widths, of a smooth
    deformation: it adds chest shapes to the few real ones. `slope` is the logarithmic density
    gradient from the middle of the lung to its back: positive from gravity in a supine patient,
    negative in a prone one.
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
    slope: float = 0.0


NONE = Augmentation(False, 0, (1, 1), (0, 0), -600, 0, 1, 0, 0, 0, 0, 0)
# Control points of a bend across and down; it is interpolated between them.
BEND_POINTS = 6
# A sharp kernel amplifies detail finer than this sigma; noise of finer grain is white.
SHARPENED_PX, FINEST_GRAIN_PX = 0.8, 0.3


def draw(seed: int, epoch: int, sample: int, kind: str = "full") -> Augmentation:
    """The draw for one sample in one epoch; the same numbers give the same draw.

    'flips' draws only what the paper describes: a flip and the window center.
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
        density=float(np.exp(rng.normal(0.04, 0.17))),
        noise_hu=float(rng.uniform(0, 60) * (rng.random() < 0.6)),
        grain_px=float(rng.uniform(0, 0.9)),
        blur_px=0.0 if is_sharp else float(rng.uniform(0.4, 1.6) * (rng.random() < 0.4)),
        sharpen=float(rng.uniform(0.3, 1.2)) if is_sharp else 0.0,
        noise_seed=int(rng.integers(2**31)),
        bend=float(rng.uniform(0, 0.04) * (rng.random() < 0.7)),
        streak_px=int(rng.integers(3, 25) * (rng.random() < 0.3)),
        slope=float(rng.normal(0.04, 0.1)),
    )


def apply(hu: Tensor, drawn: list[Augmentation], window_width_hu: float) -> Tensor:
    """HU `[B, S, S]` to network input `[B, 3, S, S]` in [0, 1], each with its own draw."""
    seen = _degrade(place(hu.float() + 1024, drawn) - 1024, drawn)
    lowest = _each([each.center_hu for each in drawn], hu) - window_width_hu / 2
    windowed = ((seen - lowest) / window_width_hu).clamp(0, 1)
    return windowed[:, None].expand(-1, 3, -1, -1)


def place(images: Tensor, drawn: list[Augmentation]) -> Tensor:
    """Flip, rotate, scale, shift and bend images or masks `[B, S, S]`; padded with 0."""
    matrices = torch.stack([_matrix(each) for each in drawn]).to(images.device)
    grid = F.affine_grid(matrices, [len(images), 1, *images.shape[1:]], align_corners=False)
    grid = grid + _bends(drawn, images)
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


def _bends(drawn: list[Augmentation], images: Tensor) -> Tensor:
    """Smooth displacements `[B, rows, columns, 2]` in half widths."""
    points = [
        each.bend * np.random.default_rng(each.noise_seed).standard_normal((2, *2 * [BEND_POINTS]))
        for each in drawn
    ]
    fields = torch.from_numpy(np.array(points, np.float32)).to(images.device)
    shape = list(images.shape[1:])
    smooth = F.interpolate(fields, shape, mode="bicubic", align_corners=True)
    return smooth.permute(0, 2, 3, 1)


def _degrade(hu: Tensor, drawn: list[Augmentation]) -> Tensor:
    """Inspiration, kernel, noise and calibration as of other scans: HU `[B, S, S]`."""
    # The air content of the lung changes; tissue denser than half stays.
    tissue = (hu + 1000).clamp_min(0)
    down = torch.linspace(-1, 1, hu.shape[1], device=hu.device)[:, None]
    slope = torch.exp(_each([each.slope for each in drawn], hu) * down)
    density = _each([each.density for each in drawn], hu) * slope
    hu = hu + (density - 1) * tissue * ((500 - tissue) / 300).clamp(0, 1)
    other = [i for i, each in enumerate(drawn) if each.sharpen > 0 or each.blur_px > 0]
    if other:
        hu[other] = _other_kernel(hu[other], [drawn[i] for i in other])
    noisy = [i for i, each in enumerate(drawn) if each.noise_hu > 0]
    if noisy:
        hu[noisy] += _noise(hu[noisy], [drawn[i] for i in noisy])
    return hu + _each([each.offset_hu for each in drawn], hu)


def _other_kernel(hu: Tensor, drawn: list[Augmentation]) -> Tensor:
    """Blur, or sharpen by unsharp masking."""
    blurred = _blurred(hu, [each.blur_px if each.blur_px > 0 else SHARPENED_PX for each in drawn])
    gain = _each([each.sharpen if each.blur_px == 0 else -1.0 for each in drawn], hu)
    return hu + gain * (hu - blurred)


def _noise(hu: Tensor, drawn: list[Augmentation]) -> Tensor:
    """Noise in HU with the grain and streaks of each draw."""
    seeds = [torch.Generator(hu.device).manual_seed(each.noise_seed) for each in drawn]
    white = [torch.randn(hu.shape[1:], generator=seed, device=hu.device) for seed in seeds]
    grains = [each.grain_px if each.grain_px >= FINEST_GRAIN_PX else 0.0 for each in drawn]
    noise = _blurred(torch.stack(white), grains)
    reaches = _each([each.streak_px // 2 for each in drawn], hu)[:, 0]
    if (longest := max(each.streak_px for each in drawn) // 2) > 0:
        row = (_steps(longest, hu) <= reaches) / (2 * reaches + 1)
        noise = F.conv2d(noise[None], row[:, None, None], groups=len(hu), padding=(0, longest))[0]
    return noise / noise.std(dim=(1, 2), keepdim=True) * _each([d.noise_hu for d in drawn], hu)


def _blurred(images: Tensor, sigmas_px: list[float]) -> Tensor:
    """Gaussian blur of `[B, S, S]`, each with its own sigma; 0 leaves an image unchanged."""
    reach, count = 3, len(images)
    widths = _each(sigmas_px, images)[:, 0].clamp_min(1e-3)
    kernels = torch.exp(-((_steps(reach, images) / widths) ** 2) / 2)
    kernels = kernels / kernels.sum(dim=1, keepdim=True)  # B, 7
    padded = F.pad(images[None], 4 * (reach,), mode="replicate")
    across = F.conv2d(padded, kernels[:, None, None], groups=count)
    return F.conv2d(across, kernels[:, None, :, None], groups=count)[0]


def _steps(reach: int, like: Tensor) -> Tensor:
    """Distance of each kernel tap from the middle: 3 2 1 0 1 2 3."""
    return torch.arange(-reach, reach + 1, dtype=torch.float32, device=like.device).abs()


def _each(values: Sequence[float], like: Tensor) -> Tensor:
    """One value per image, to broadcast with `[B, S, S]`."""
    return torch.tensor(values, dtype=torch.float32, device=like.device).view(-1, 1, 1)
