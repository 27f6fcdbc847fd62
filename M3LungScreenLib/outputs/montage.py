"""Draws montage.png, the paper's Figure 11: every fifth slice above its map, then the patient."""

import math

from PIL import Image, ImageDraw, ImageFont

from M3LungScreenLib.classes import CLASSES, class_by_key
from M3LungScreenLib.outputs.pictures import View, ct_picture, map_picture, view_of, write_label
from M3LungScreenLib.outputs.wording import percent
from M3LungScreenLib.result import ClassProbabilities, Result, SliceResult

STEP = 5
SHEET_WIDTH, SHEET_ASPECT = 2000, 1.5  # pixels; width over height
TILE_WIDTHS = (200, 360)
GAP = 6
PAPER, INK, RAIL = "#16181b", "#f2f2f2", "#3a3f45"


def shown_slices(result: Result) -> list[int]:
    """Axial indices, feet to head: every fifth informative slice.

    In a preview, all screened slices.
    """
    by_k = [result.slice_of(k) for k in range(result.volume.slice_count)]
    informative = [k for k, each in enumerate(by_k) if each.informative]
    screened = [k for k in informative if by_k[k].screened]
    return informative[::STEP] if screened == informative else screened


def draw_montage(result: Result) -> Image.Image:
    """The whole sheet, RGB: feet to head in reading order, then the four probabilities."""
    slices = shown_slices(result)
    columns = _columns(len(slices) + 1, view_of(result, 100))
    low, high = TILE_WIDTHS
    view = view_of(result, min(high, max(low, SHEET_WIDTH // columns)))
    cells = [_cell(result, k, view) for k in slices] + [_patient_cell(result, view)]
    return _sheet(cells, columns)


def likeliest(result: Result) -> ClassProbabilities | None:
    """The patient's probabilities, or those of the only slice."""
    if result.patient:
        return result.patient.probabilities
    return next((each.probabilities for each in result.slices if each.probabilities), None)


def _columns(count: int, view: View) -> int:
    width, height = view.size
    ideal = math.sqrt(count * SHEET_ASPECT * 2 * height / width)
    near = range(max(1, math.floor(0.8 * ideal)), math.ceil(1.3 * ideal) + 1)
    return min(near, key=lambda columns: (-count % columns, abs(columns - ideal)))


def _sheet(cells: list[Image.Image], columns: int) -> Image.Image:
    width, height = cells[0].size
    rows = math.ceil(len(cells) / columns)
    sheet = Image.new("RGB", (columns * (width + GAP) + GAP, rows * (height + GAP) + GAP), PAPER)
    for place, cell in enumerate(cells):
        row, column = divmod(place, columns)
        sheet.paste(cell, (GAP + column * (width + GAP), GAP + row * (height + GAP)))
    return sheet


def _cell(result: Result, k: int, view: View) -> Image.Image:
    """CT above, map below; the plain CT again if the slice is classified as Healthy."""
    one = result.slice_of(k)
    width, height = view.size
    cell = Image.new("RGB", (width, 2 * height))
    cell.paste(ct_picture(result, k, view), (0, 0))
    cell.paste(slice_map(result, k, view), (0, height))
    text, color = class_of(one)
    size = max(12, width // 16)
    write_label(cell, (0, 0), text, color, size)
    write_label(cell, (0, 2 * height - size - 2 * (size // 3) - 1), str(one.index), None, size)
    return cell


def slice_map(result: Result, k: int, view: View, outline: bool = False) -> Image.Image:
    """The map over the slice, or the plain CT if the slice is classified as Healthy."""
    if result.slice_of(k).predicted == "healthy":
        return ct_picture(result, k, view)
    return map_picture(result, k, view, outline)


def class_of(one: SliceResult) -> tuple[str, str]:
    """Name and color of what a slice is called."""
    if one.predicted is None:
        return "not screened", "#9a9a9a"
    called = class_by_key(one.predicted)
    return called.name, called.color


def _patient_cell(result: Result, view: View) -> Image.Image:
    width, height = view.size
    cell = Image.new("RGB", (width, 2 * height), PAPER)
    draw = ImageDraw.Draw(cell)
    size, left = max(14, width // 13), width // 14
    head = "Patient" if result.patient else "This slice"
    draw.text((left, size), head, INK, ImageFont.load_default(round(size * 1.3)))
    probabilities = likeliest(result)
    for each in CLASSES:
        share = getattr(probabilities, each.key) if probabilities else 0.0
        top = round(size * (3.5 + 3 * each.index))
        _bar(draw, (left, top, width - left), size, (each.name, each.color), share)
    return cell


def _bar(
    draw: ImageDraw.ImageDraw,
    place: tuple[int, int, int],
    size: int,
    called: tuple[str, str],
    share: float,
) -> None:
    left, top, right = place
    font = ImageFont.load_default(size)
    draw.text((left, top), called[0], INK, font)
    # Pillow's font has no space that does not break.
    words = percent(share).replace("\N{NO-BREAK SPACE}", " ")
    draw.text((right, top), words, INK, font, anchor="ra")
    low, high = top + round(size * 1.35), top + round(size * 1.85)
    draw.rectangle((left, low, right, high), fill=RAIL)
    if share * (right - left) >= 1:
        draw.rectangle((left, low, left + share * (right - left), high), fill=called[1])
