"""Draws slices in the lung window, with the lesion map in warm colors and lesions outlined.

LPS axial arrays are already in radiological orientation: front up, the patient's right on
the left of the picture.
"""

import base64
import io
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from scipy import ndimage

from M3LungScreenLib.result import Result

WINDOW_CENTER_HU, WINDOW_WIDTH_HU = -600, 1200
MARGIN_MM = 12.0
LOWEST_SHOWN = 0.2  # the map is never exactly 0; lower values would tint the whole lung
STRONGEST_TINT = 0.5  # keeps the CT visible where the map is 1
WARM = np.array([[120, 0, 0], [210, 20, 10], [250, 90, 10], [255, 165, 20], [255, 225, 60]])
OUTLINE = (0, 235, 255)


@dataclass(frozen=True)
class View:
    """The part of each slice that is shown, and the size of the picture (width, height)."""

    rows: slice
    columns: slice
    size: tuple[int, int]

    def cut(self, array: np.ndarray) -> np.ndarray:
        """The shown part of `[row, column]`."""
        return array[self.rows, self.columns]


def view_of(result: Result, width: int) -> View:
    """One view for all slices: all crops plus a margin, with square pixels in mm."""
    x_mm, y_mm, _ = result.volume.spacing_mm
    _, rows, columns = result.volume.hu.shape
    crops = [each.crop for each in result.slices if each.crop] or [(0, 0, rows, columns)]
    top, left = min(crop[0] for crop in crops), min(crop[1] for crop in crops)
    bottom = max(crop[0] + crop[2] for crop in crops)
    right = max(crop[1] + crop[3] for crop in crops)
    shown_rows = _widened(top, bottom, rows, MARGIN_MM / y_mm)
    shown_columns = _widened(left, right, columns, MARGIN_MM / x_mm)
    tall_mm = (shown_rows.stop - shown_rows.start) * y_mm
    wide_mm = (shown_columns.stop - shown_columns.start) * x_mm
    return View(shown_rows, shown_columns, (width, max(1, round(width * tall_mm / wide_mm))))


def ct_picture(result: Result, k: int, view: View) -> Image.Image:
    """Axial slice `k` in the lung window, RGB of `view.size`."""
    hu = view.cut(result.volume.hu[k]).astype(np.float32)
    sized = Image.fromarray(hu).resize(view.size, Image.Resampling.BICUBIC)
    shade = (np.asarray(sized) - WINDOW_CENTER_HU) / WINDOW_WIDTH_HU + 0.5
    grey = (np.clip(shade, 0, 1) * 255).astype(np.uint8)
    return Image.fromarray(grey).convert("RGB")


def map_picture(result: Result, k: int, view: View, outline: bool = False) -> Image.Image:
    """The slice under its location map, optionally with the lesions outlined."""
    location = view.cut(result.arrays.lesion_location_map[k])
    sized = np.asarray(Image.fromarray(location).resize(view.size, Image.Resampling.BILINEAR))
    tint = np.clip((sized - LOWEST_SHOWN) / (1 - LOWEST_SHOWN), 0, 1)[..., None]
    weight = STRONGEST_TINT * np.sqrt(tint)
    ct = np.asarray(ct_picture(result, k, view), np.float32)
    mixed = ct * (1 - weight) + warm_colors(tint[..., 0]) * weight
    if outline:
        mixed[outline_of(view.cut(result.arrays.lesions[k]) > 0, view)] = OUTLINE
    return Image.fromarray(mixed.astype(np.uint8))


def warm_colors(values: np.ndarray) -> np.ndarray:
    """Values in [0, 1] as RGB `[..., 3]`, dark red to light yellow."""
    stops = np.linspace(0, 1, len(WARM))
    return np.stack([np.interp(values, stops, WARM[:, each]) for each in range(3)], axis=-1)


def data_uri(picture: Image.Image, quality: int = 88) -> str:
    """The picture as a JPEG data URI."""
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=quality, optimize=True)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()


def write_label(
    picture: Image.Image, place: tuple[int, int], text: str, color: str | None, size: int
) -> None:
    """`text` on a dark background at `place` (x, y), after a square of `color` if given."""
    draw = ImageDraw.Draw(picture)
    font = ImageFont.load_default(size)
    x, y = place
    pad, chip = size // 3, size if color else 0
    wide = draw.textlength(text, font) + (2 if color else 1) * pad + chip + pad
    draw.rectangle((x, y, x + wide, y + size + 2 * pad), fill="#111111")
    if color:
        draw.rectangle((x + pad, y + pad, x + pad + chip - 1, y + pad + chip - 1), fill=color)
    start = x + pad + (chip + pad if color else 0)
    draw.text((start, y + pad + size / 2), text, "white", font, anchor="lm")


def _widened(low: int, high: int, limit: int, margin: float) -> slice:
    return slice(max(0, round(low - margin)), min(limit, round(high + margin)))


def outline_of(mask: np.ndarray, view: View) -> np.ndarray:
    """Pixels just outside `mask` (a cut `[row, column]`) once it is drawn at `view.size`."""
    small = Image.fromarray(mask.astype(np.uint8) * 255)
    large = np.asarray(small.resize(view.size, Image.Resampling.BILINEAR)) > 127
    return np.asarray(ndimage.binary_dilation(large, iterations=2) & ~large)
