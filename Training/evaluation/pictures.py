"""Location-map gallery (the paper's Figure 10) and sequence montages (Figures 11 and 12)."""

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from PIL import Image

from M3LungScreenLib.classes import CLASSES
from M3LungScreenLib.outputs.montage import draw_montage
from M3LungScreenLib.outputs.pictures import View, ct_picture, map_picture, outlined, view_of
from M3LungScreenLib.result import Result
from Training.atomic_files import kept_name
from Training.evaluation.screened import ScreenedCase

GROUPS = 4  # columns, as in the paper's Figure 10
TILE_WIDTH = 300
MONTAGE = "montage.png"
CAPTION = "Left: CT with the true lesion outlined, where known. Right: location map."


def keep_pictures(folder: Path, result: Result, mask: np.ndarray | None) -> None:
    """The case's montage and up to GROUPS tiles of its most telling slices in `folder`.

    A tile's name ends in the number of its slice, `SliceResult.index`.
    """
    folder.mkdir(exist_ok=True)
    draw_montage(result).save(folder / MONTAGE)
    view = view_of(result, TILE_WIDTH)
    for rank, k in enumerate(result.most_telling_slices(GROUPS)):
        index = result.slice_of(k).index
        tile(result, k, view, mask).save(folder / f"{rank}-{index}.png")


def tile(result: Result, k: int, view: View, mask: np.ndarray | None) -> Image.Image:
    """The slice on the left, with the truth outlined if known; its map on the right."""
    ct, mapped = ct_picture(result, k, view), map_picture(result, k, view)
    truth = ct if mask is None else outlined(ct, mask[k] > 0, view)
    return Image.fromarray(np.hstack([np.asarray(truth), np.asarray(mapped)]))


def gallery(cases: list[ScreenedCase], work: Path) -> Figure | None:
    """A row of up to GROUPS tiles per disease; None without any patient with disease.

    First every patient's most suspicious slice, then the second ones.
    """
    rows = {each.name: _tiles(cases, each.index, work) for each in CLASSES[1:]}
    rows = {name: tiles for name, tiles in rows.items() if tiles}
    if not rows:
        return None
    figure = Figure(figsize=(4 * GROUPS, 1.75 * len(rows) + 0.35), layout="constrained")
    figure.supxlabel(CAPTION, fontsize=10)
    axes = figure.subplots(len(rows), GROUPS, squeeze=False)
    for panels, (name, tiles) in zip(axes, rows.items(), strict=True):
        panels[0].set_ylabel(name, fontsize=12)
        for panel in panels:
            panel.set(xticks=[], yticks=[])
            panel.spines[:].set_visible(False)
        for panel, (title, path) in zip(panels, tiles, strict=False):
            panel.imshow(Image.open(path))
            panel.set_title(title, fontsize=8)
    return figure


def sheet(picture: Image.Image) -> Figure:
    """A picture as a figure of its own size, for SVG."""
    inches = (picture.width / 200, picture.height / 200)
    figure = Figure(figsize=inches)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_axis_off()
    axes.imshow(picture, aspect="auto", interpolation="none")
    return figure


def _tiles(cases: list[ScreenedCase], index: int, work: Path) -> list[tuple[str, Path]]:
    """Titles and pictures; slices are numbered as in report, montage and tables."""
    ill = [each for each in cases if each.refusal is None and each.truth == index]
    found = [
        (f"{each.case_id}, slice {path.stem.split('-')[1]}", path)
        for rank in range(GROUPS)
        for each in ill
        for path in (work / kept_name(each.case_id)).glob(f"{rank}-*.png")
    ]
    return found[:GROUPS]
