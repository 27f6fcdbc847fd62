"""Draws slices in the lung window, with the lesion map in warm colors and lesions outlined.

Report, montage, evaluation and Slicer's panel all draw with these functions.

LPS axial arrays are already in radiological orientation: front up, the patient's right on
the left of the picture.
"""

import base64
import io
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFont, ImageOps
from scipy import ndimage

from M3LungScreenLib.preprocessing import crop_stages
from M3LungScreenLib.result import Result
from M3LungScreenLib.settings import PreprocessingSettings

WINDOW_CENTER_HU, WINDOW_WIDTH_HU = -600, 1200
MARGIN_MM = 12.0
LOWEST_SHOWN = 0.2  # the map is never exactly 0; lower values would tint the whole lung
STRONGEST_TINT = 0.5  # keeps the CT visible where the map is 1
WARM = np.array([[120, 0, 0], [210, 20, 10], [250, 90, 10], [255, 165, 20], [255, 225, 60]])
OUTLINE = (0, 235, 255)
STAGES_IN_A_ROW, STAGE_PIXELS, STAGE_MARGIN = 3, 128, 2


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
    return Image.fromarray(lung_window(np.asarray(sized))).convert("RGB")


def lung_window(hu: np.ndarray) -> np.ndarray:
    """HU of any shape as gray levels, uint8."""
    shade = (hu - WINDOW_CENTER_HU) / WINDOW_WIDTH_HU + 0.5
    return np.asarray(np.clip(shade, 0, 1) * 255).astype(np.uint8)


def map_picture(result: Result, k: int, view: View, outline: bool = False) -> Image.Image:
    """The slice under its location map, optionally with the lesions outlined."""
    location = view.cut(result.arrays.lesion_location_map[k])
    sized = np.asarray(Image.fromarray(location).resize(view.size, Image.Resampling.BILINEAR))
    tint = np.clip((sized - LOWEST_SHOWN) / (1 - LOWEST_SHOWN), 0, 1)[..., None]
    weight = STRONGEST_TINT * np.sqrt(tint)
    ct = np.asarray(ct_picture(result, k, view), np.float32)
    mixed = ct * (1 - weight) + warm_colors(tint[..., 0]) * weight
    picture = Image.fromarray(mixed.astype(np.uint8))
    return outlined(picture, result.arrays.lesions[k] > 0, view) if outline else picture


def outlined(picture: Image.Image, mask: np.ndarray, view: View) -> Image.Image:
    """`picture` of `view` with the outline of `mask`, bool `[row, column]` of the whole slice."""
    small = Image.fromarray(view.cut(mask).astype(np.uint8) * 255)
    large = np.asarray(small.resize(view.size, Image.Resampling.BILINEAR)) > 127
    pixels = np.array(picture)
    pixels[ndimage.binary_dilation(large, iterations=2) & ~large] = OUTLINE
    return Image.fromarray(pixels)


def crop_stages_picture(hu: np.ndarray, settings: PreprocessingSettings) -> Image.Image:
    """The six stages of the lung crop (Figure 4) of a slice `[row, column]` in HU, grayscale.

    Two rows of three squares of STAGE_PIXELS; no stage is distorted.
    """
    sheet = Image.new("L", (STAGES_IN_A_ROW * STAGE_PIXELS, 2 * STAGE_PIXELS))
    inside = STAGE_PIXELS - 2 * STAGE_MARGIN
    for place, stage in enumerate(crop_stages(hu, settings).values()):
        gray = stage.astype(np.uint8) * 255 if stage.dtype == bool else lung_window(stage)
        square = ImageOps.pad(Image.fromarray(gray), (inside, inside), Image.Resampling.NEAREST)
        row, column = divmod(place, STAGES_IN_A_ROW)
        left, top = column * STAGE_PIXELS + STAGE_MARGIN, row * STAGE_PIXELS + STAGE_MARGIN
        sheet.paste(square, (left, top))
    return sheet


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
