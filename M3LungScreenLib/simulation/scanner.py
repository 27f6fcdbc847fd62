"""Simulates the scanner: kernel, noise, cardiac and respiratory motion."""

from dataclasses import dataclass

import numpy as np
from scipy import fft, ndimage

from M3LungScreenLib.simulation.anatomy import Chest

THICKNESSES_MM = (1.0, 1.25, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 10.0)
COMMON = (0.05, 0.08, 0.08, 0.13, 0.12, 0.12, 0.06, 0.22, 0.04, 0.04, 0.03, 0.03)


@dataclass(frozen=True)
class ScannerRecord:
    """One scan. `blur_px` and `sharpen` are the kernel, `noise_hu` the noise at the center.

    `pulsation_mm` and `breathing_mm` are the movements of heart and diaphragm during
    a slice. `padding` fills what lies outside the round field of view.
    """

    thickness_mm: float
    margin_below_mm: float
    margin_above_mm: float
    field_of_view: float
    shift_mm: tuple[float, float]
    blur_px: float
    sharpen: float
    noise_hu: float
    noise_cutoff: float
    pulsation_mm: float
    breathing_mm: float
    padding: int | None
    offset_hu: float
    seed: int


def draw_scanner(rng: np.random.Generator) -> ScannerRecord:
    """Draws a thoracic protocol, from thick low-dose slices to thin sharp ones."""
    thickness = float(rng.choice(THICKNESSES_MM, p=COMMON))
    sharp = rng.uniform() < 0.4
    noise = float(np.clip(rng.lognormal(np.log(34 if sharp else 14), 0.5), 4, 110))
    return ScannerRecord(
        thickness_mm=thickness,
        margin_below_mm=float(rng.uniform(0, 45)),
        margin_above_mm=float(rng.uniform(5, 45)),
        field_of_view=float(rng.uniform(1.0, 1.22)),
        shift_mm=(float(rng.normal(0, 8)), float(rng.normal(0, 5))),
        blur_px=float(rng.uniform(0.35, 0.5) if sharp else rng.uniform(0.5, 0.85)),
        sharpen=float(rng.uniform(0.4, 1.3)) if sharp else 0.0,
        noise_hu=noise / float(np.sqrt(max(thickness, 1) / 2)),
        noise_cutoff=float(rng.uniform(0.7, 1.0) if sharp else rng.uniform(0.4, 0.65)),
        pulsation_mm=float(rng.choice([0.0, rng.uniform(2, 8)], p=[0.45, 0.55])),
        breathing_mm=float(rng.choice([0.0, rng.uniform(3, 14)], p=[0.75, 0.25])),
        padding=-2000 if rng.uniform() < 0.12 else -1024 if rng.uniform() < 0.5 else None,
        offset_hu=float(rng.normal(0, 6)),
        seed=int(rng.integers(2**31)),
    )


def scan(hu: np.ndarray, chest: Chest, record: ScannerRecord, pixel_mm: float) -> np.ndarray:
    """The scanned image, int16, of `hu` float32 [slice, row, column]."""
    rng = np.random.default_rng(record.seed)
    hu = _breathe(hu, chest, record)
    hu = _pulsate(hu, chest, record, pixel_mm, rng)
    out = np.empty(hu.shape, np.int16)
    texture = _noise_filter(hu.shape[1:], record.noise_cutoff)
    outside = _outside(hu.shape[1:])
    for k, plane in enumerate(hu):
        seen = ndimage.gaussian_filter(plane, record.blur_px)
        if record.sharpen:
            seen += record.sharpen * (seen - ndimage.gaussian_filter(seen, 0.9))
        seen += _noise(rng, texture, plane.shape) * _noise_level(plane, record.noise_hu)
        seen = np.clip(np.rint(seen + record.offset_hu), -1024, 3071)
        if record.padding is not None:
            seen[outside] = record.padding
        out[k] = seen
    return out


def _noise_filter(shape: tuple[int, ...], cutoff: float) -> np.ndarray:
    """The noise spectrum of filtered back projection: a ramp times the kernel's roll-off."""
    fy, fx = fft.fftfreq(shape[0])[:, None], fft.rfftfreq(shape[1])[None]
    radius = np.hypot(fy, fx) / 0.5
    ramp = np.sqrt(radius) * np.exp(-((radius / cutoff) ** 2.5))
    return ramp.astype(np.float32)


def _noise(rng: np.random.Generator, texture: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    white = fft.rfft2(rng.standard_normal(shape, dtype=np.float32))
    noise = fft.irfft2(white * texture, s=shape).astype(np.float32)
    return noise / max(float(noise.std()), 1e-6)


def _noise_level(plane: np.ndarray, noise_hu: float) -> np.ndarray:
    """Noise is higher at the center of the body and between the shoulders."""
    small = np.clip(plane[::8, ::8] + 1000, 0, 1300)
    path = small.mean(1, keepdims=True) * 0.5 + small.mean(0, keepdims=True) * 0.5
    level = 0.45 + 0.9 * ndimage.gaussian_filter(path, 3) / 560
    large = ndimage.zoom(level, np.array(plane.shape) / level.shape, order=1)
    return (noise_hu * large).astype(np.float32)


def _outside(shape: tuple[int, ...]) -> np.ndarray:
    y, x = np.indices(shape)
    middle = (np.array(shape) - 1) / 2
    return np.hypot(y - middle[0], x - middle[1]) > max(shape) / 2


def _pulsate(
    hu: np.ndarray, chest: Chest, record: ScannerRecord, pixel_mm: float, rng: np.random.Generator
) -> np.ndarray:
    """Cardiac motion: double contours beside the heart."""
    if record.pulsation_mm == 0:
        return hu
    hu = hu.copy()
    for k in np.flatnonzero((chest.heart_mm > 0).any(axis=(1, 2))):
        near = np.exp(-((np.minimum(chest.heart_mm[k] + 6, 0) / 16) ** 2))
        near *= np.arange(hu.shape[2])[None] > hu.shape[2] * 0.42
        angle = rng.uniform(-0.6, 0.6)
        way = record.pulsation_mm / pixel_mm * rng.uniform(0.4, 1)
        shift = (way * np.sin(angle), way * np.cos(angle))
        moved = ndimage.shift(hu[k], shift, order=1, mode="nearest")
        hu[k] += 0.45 * near * (moved - hu[k])
    return hu


def _breathe(hu: np.ndarray, chest: Chest, record: ScannerRecord) -> np.ndarray:
    """Respiratory motion: slices near the diaphragm mix with their neighbors."""
    if record.breathing_mm == 0 or len(hu) < 3:
        return hu
    away = max(1, round(record.breathing_mm / record.thickness_mm))
    ahead = np.concatenate([hu[away:], np.repeat(hu[-1:], away, 0)])[: len(hu)]
    share = 0.4 * np.exp(-np.abs(chest.dome_mm) / 30)
    return hu + share * (ahead - hu)
