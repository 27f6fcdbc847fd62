"""Lung crop and display windows (Section III-A), and maps back in the CT's own pixels."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

import numpy as np
from scipy import ndimage

from M3LungScreenLib.ct import CTVolume
from M3LungScreenLib.morphology import opened
from M3LungScreenLib.outside import OUTSIDE_HU
from M3LungScreenLib.settings import PreprocessingSettings

PAPER_MATRIX = 512
AIR_HU = -1000
# The paper's '1×8' opening is width × height. It removes everything thinner than 8 pixels
# from front to back, such as the table.
OPENING_ROWS = 8
# The second opening removes the noise left by the first.
CLEANING_PIXELS = 5
# A region below 0.1 % of the image is not lung.
SMALLEST_REGION_SHARE = 0.001
EIGHT_CONNECTED = np.ones((3, 3))
# Python runs between the steps of a slice: more threads would wait for it.
THREADS = 2


@dataclass(frozen=True)
class Crop:
    """A rectangle in a slice: first row and column, number of rows and columns."""

    row: int
    column: int
    rows: int
    columns: int

    @property
    def window(self) -> tuple[slice, slice]:
        """The crop as an index into a slice."""
        return (
            slice(self.row, self.row + self.rows),
            slice(self.column, self.column + self.columns),
        )


def find_crops(
    volume: CTVolume, lungs: np.ndarray, settings: PreprocessingSettings
) -> tuple[Crop | None, ...]:
    """The crop of every slice, None without lung; see `find_crop`."""
    with ThreadPoolExecutor(THREADS) as threads:
        return tuple(threads.map(partial(find_crop, settings=settings), volume.hu, lungs))


def find_crop(
    hu_slice: np.ndarray, lung_slice: np.ndarray, settings: PreprocessingSettings
) -> Crop | None:
    """The rectangle around the lungs with a margin (III-A.1), or None without lung.

    `hu_slice` int16 and `lung_slice` uint8, both `[row, column]`. The rectangle covers the
    whole lung mask, and the paper's 2D regions where they overlap it.
    """
    if not lung_slice.any():
        return None
    factor = coarsening(hu_slice.shape)
    small = np.s_[::factor, ::factor]
    lung = lung_slice[small] > 0
    regions, count = ndimage.label(air_regions(hu_slice[small], settings), EIGHT_CONNECTED)
    touched = np.bincount(regions[lung], minlength=count + 1) > 0
    touched[0] = False
    inside = touched[regions] | lung
    if factor == 1:
        return _rectangle(inside, settings)
    # A lung of a few pixels may lie between those that are looked at.
    rows, columns = (np.flatnonzero(lung_slice.any(axis=axis)) // factor for axis in (1, 0))
    inside[rows[[0, -1]][:, None], columns[[0, -1]]] = True
    return _enlarged(_rectangle(inside, settings), factor, hu_slice.shape)


def coarsening(shape: tuple[int, ...]) -> int:
    """How many pixels of a slice `(rows, columns)` are one where 512² are enough."""
    return max(1, round(max(shape) / PAPER_MATRIX))


def _enlarged(crop: Crop, factor: int, shape: tuple[int, ...]) -> Crop:
    """A crop of every `factor`th pixel in all of them, clipped to `shape`."""
    row, column = crop.row * factor, crop.column * factor
    rows, columns = crop.rows * factor, crop.columns * factor
    return Crop(row, column, min(rows, shape[0] - row), min(columns, shape[1] - column))


def air_regions(hu_slice: np.ndarray, settings: PreprocessingSettings) -> np.ndarray:
    """Steps 2 to 5 of III-A.1: bool `[row, column]`, air within the body."""
    body = hu_slice >= settings.threshold_hu
    air = np.zeros_like(body)
    if body.any():
        # Around the body all is background; one pixel of it is enough.
        filled = (np.flatnonzero(body.any(axis=axis)) for axis in (1, 0))
        around = tuple(slice(max(0, each[0] - 1), each[-1] + 2) for each in filled)
        air[around] = _inner_air(body[around], hu_slice.shape)[2]
    return air


def crop_stages(hu_slice: np.ndarray, settings: PreprocessingSettings) -> dict[str, np.ndarray]:
    """The six stages of Figure 4, by name, in order; the last is the HU inside the crop."""
    body = hu_slice >= settings.threshold_hu
    thick, regions, cleaned = _inner_air(body, hu_slice.shape)
    crop = _rectangle(cleaned, settings) if cleaned.any() else Crop(0, 0, *hu_slice.shape)
    return {
        "slice": hu_slice,
        "threshold": body,
        "opening": thick,
        "background removed": regions,
        "second opening": cleaned,
        "crop": hu_slice[crop.window],
    }


def crop_hu(hu_slice: np.ndarray, crop: Crop, size: int) -> np.ndarray:
    """HU inside the crop, resized to `[size, size]` int16 with antialiasing.

    Voxels outside the scanned image become air.
    """
    hu = hu_slice[crop.window]
    shown = np.where(hu <= OUTSIDE_HU, AIR_HU, hu)
    return np.rint(resized(shown, (size, size))).astype(np.int16)


def apply_windows(hu: np.ndarray, centers_hu: tuple[int, ...], width_hu: int) -> np.ndarray:
    """float32 `[window, …]` in [0, 1] from HU of any shape (III-A.2)."""
    lowest = np.array(centers_hu, np.float32).reshape(-1, *[1] * hu.ndim) - width_hu / 2
    return np.clip((hu - lowest) / np.float32(width_hu), 0, 1, dtype=np.float32)


def network_input(
    hu_slice: np.ndarray,
    crop: Crop,
    settings: PreprocessingSettings,
    centers_hu: tuple[int, ...] | None = None,
) -> np.ndarray:
    """The input of the slice-level network: float32 `[window, 3, S, S]` in [0, 1]."""
    hu = crop_hu(hu_slice, crop, settings.input_size)
    windows = apply_windows(hu, centers_hu or settings.window_centers_hu, settings.window_width_hu)
    return np.repeat(windows[:, None], 3, axis=1)


def paste(location_map: np.ndarray, crop: Crop, shape: tuple[int, int]) -> np.ndarray:
    """A map `[h, w]` of the crop, resized into its slice: float32 `shape`, 0 outside the crop."""
    whole = np.zeros(shape, np.float32)
    whole[crop.window] = resized(location_map, (crop.rows, crop.columns))
    return whole


def resized(image: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """`image` `[row, column]` on another grid of the same extent: float32, bilinear.

    What shrinks is smoothed first, by half a pixel for each factor above one.
    """
    factors = np.array(image.shape) / shape
    image = image.astype(np.float32)
    if factors.max() > 1:
        image = ndimage.gaussian_filter(image, np.maximum(0, (factors - 1) / 2), mode="nearest")
    for axis in np.argsort(-factors):  # what shrinks most first
        at = (np.arange(shape[axis]) + 0.5) * factors[axis] - 0.5
        image = interpolated(image, int(axis), at)
    return image


def interpolated(image: np.ndarray, axis: int, at: np.ndarray) -> np.ndarray:
    """`[row, column]` interpolated linearly along an axis, at the pixels `at`.

    The center of pixel n is at n; beyond the first and last pixel their values continue.
    """
    last = image.shape[axis] - 1
    at = np.clip(at, 0, last)
    low = np.minimum(at.astype(int), max(0, last - 1))
    share = np.expand_dims((at - low).astype(np.float32), 1 - axis)
    below, above = image.take(low, axis), image.take(np.minimum(low + 1, last), axis)
    return np.asarray(below + (above - below) * share)


def _inner_air(
    body: np.ndarray, shape: tuple[int, ...]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """`body` after the opening, the air regions in it, and these after the second opening.

    `body` bool `[row, column]` may be a part of a slice of `shape`, with all that is body.
    """
    scale = max(shape) / PAPER_MATRIX
    thick = opened(body, (max(2, round(OPENING_ROWS * scale)), 1))
    regions = _without_background(~thick, SMALLEST_REGION_SHARE * shape[0] * shape[1])
    side = max(2, round(CLEANING_PIXELS * scale))
    return thick, regions, opened(regions, (side, side))


def _without_background(air: np.ndarray, fewest_pixels: float) -> np.ndarray:
    """Air regions that do not touch the border and have enough pixels."""
    regions, _ = ndimage.label(air, EIGHT_CONNECTED)
    at_border = np.unique(np.concatenate([regions[[0, -1]].ravel(), regions[:, [0, -1]].ravel()]))
    is_kept = np.bincount(regions.ravel()) >= fewest_pixels
    is_kept[at_border] = is_kept[0] = False
    return is_kept[regions]


def _rectangle(inside: np.ndarray, settings: PreprocessingSettings) -> Crop:
    """The smallest rectangle around `inside` with the margin, clipped to the image."""
    margin = max(1, round(settings.margin_px * max(inside.shape) / PAPER_MATRIX))
    rows = np.flatnonzero(inside.any(axis=1))
    columns = np.flatnonzero(inside.any(axis=0))
    top, left = max(0, rows[0] - margin), max(0, columns[0] - margin)
    bottom = min(inside.shape[0], rows[-1] + 1 + margin)
    right = min(inside.shape[1], columns[-1] + 1 + margin)
    return Crop(int(top), int(left), int(bottom - top), int(right - left))
