"""The montage: which slices it shows, and how."""

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from M3LungScreenLib.outputs.folder import write
from M3LungScreenLib.outputs.montage import _columns, draw_montage, shown_slices
from M3LungScreenLib.outputs.pictures import view_of, warm_colors


def test_the_montage_shows_every_fifth_informative_slice(make_result):
    result = make_result()
    informative = [k for k in range(30) if result.slice_of(k).informative]
    assert shown_slices(result) == informative[::5]
    sheet = draw_montage(result)
    width, height = view_of(result, 360).size
    assert sheet.width % (width + 6) == 6
    assert (sheet.width // (width + 6)) * (sheet.height // (2 * height + 6)) >= 6


def test_a_preview_shows_what_was_screened(make_result):
    result = make_result(screened=lambda k: k % 7 == 0)
    assert shown_slices(result) == [7, 14, 21]


def test_a_flipped_volume_gives_the_same_pictures_but_for_the_numbers(make_result):
    straight, flipped = make_result(), make_result(direction=(1, 0, 0, 0, 1, 0, 0, 0, -1))
    assert shown_slices(straight) == shown_slices(flipped)
    one, other = (np.asarray(draw_montage(each), int) for each in (straight, flipped))
    assert (one != other).any(axis=-1).mean() < 0.01


def test_only_a_slice_not_called_healthy_wears_warm_colours(make_result):
    def colored(called):
        sheet = np.asarray(draw_montage(make_result(called)).convert("HSV"), int)
        red = (sheet[..., 0] < 45) & (sheet[..., 1] > 150)
        return int(red.sum())

    assert colored("covid19") > 20 * colored("healthy") + 2000


@pytest.mark.parametrize("count", [1, 2, 6, 13, 25, 100])
def test_a_sheet_is_neither_a_ribbon_nor_a_tower(make_result, count):
    view = view_of(make_result(), 200)
    columns = _columns(count, view)
    rows = -(-count // columns)
    assert columns * rows - count < columns
    if count > 5:
        assert 0.7 < columns * view.size[0] / (rows * 2 * view.size[1]) < 3


def test_pixels_of_the_montage_are_square_millimetres(make_result):
    wide = view_of(make_result(spacing_mm=(10.0, 5.0, 9.0)), 300).size
    tall = view_of(make_result(spacing_mm=(5.0, 10.0, 9.0)), 300).size
    assert tall[1] / wide[1] == pytest.approx(4, rel=0.15)


def test_the_scale_of_the_map_grows_brighter_and_stays_warm():
    colors = warm_colors(np.linspace(0, 1, 11))
    assert (np.diff(colors @ [0.2126, 0.7152, 0.0722]) > 0).all()
    assert (colors[:, 0] > colors[:, 2]).all()


def test_the_font_has_every_sign_that_is_written(make_result, monkeypatch):
    written = []
    draw_text = ImageDraw.ImageDraw.text

    def text(self, place, words, *others, **named):
        written.append(words)
        draw_text(self, place, words, *others, **named)

    monkeypatch.setattr(ImageDraw.ImageDraw, "text", text)
    draw_montage(make_result("covid19", 0.9999))
    assert "> 99.9 %" in written
    font = ImageFont.load_default(30)
    missing = bytes(font.getmask("\N{NO-BREAK SPACE}"))  # a box
    assert all(bytes(font.getmask(sign)) != missing for sign in set("".join(written)))


def test_the_montage_on_disk_opens(make_result, tmp_path):
    write(make_result(), tmp_path / "out")
    with Image.open(tmp_path / "out" / "montage.png") as sheet:
        sheet.load()
        assert sheet.mode == "RGB"
