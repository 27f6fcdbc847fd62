"""Whether the orientation in the header matches the image: back, head and left found by anatomy.

Three linear templates, learned from real and simulated chests (`Training.learn_orientation`),
are applied to coarse pictures of the slices. *Back* finds the axis and side where spine, ribs
and sternum fit best. *Level* estimates how high in the body a slice is, which must increase
from feet to head. *Left* recognizes heart, aorta, liver and stomach, and gives the opposite
answer for a mirrored image. Weak evidence is ignored.
"""

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from M3LungScreenLib.body_pictures import BodyPictures, bone_lines, coarse_copy, inside_body

Warned = tuple[tuple[str, str], ...]
# Slices along an axis of the array, and where in them the back lies.
View = tuple[int, str]
ROWS_END, ROWS_START, COLUMNS_END, COLUMNS_START = "row+", "row-", "column+", "column-"
AS_THE_HEADER_SAYS: View = (0, ROWS_END)

CODE = "orientation"
TEMPLATES = Path(__file__).with_name("orientation_templates.json")
# Without this much bone along any line (mean HU over 100) there is no spine to go by.
LEAST_BONE = 30.0
# Margins beyond the worst of 78 real scans and slices, each left out of the learning in turn:
# back, no scan and 1.6 for a wrong view of a slice (a pelvis); left -0.47 (a collapsed, opaque
# right lung); head -0.38 (an abdomen with the lungs' bases).
BACK_MARGIN, BACK_MARGIN_SINGLE = 1.5, 2.5
LEFT_MARGIN = 0.5
# Predicted level must rise by this share of the lungs' height, about as a line would.
HEAD_RISE, HEAD_CORRELATION = 0.4, 0.6
# Slices with less lung than this share of their grid are neck or belly.
LUNG_SHARE = 0.03
FEWEST_SLICES = 8
# Of the lungs' height, the levels between which the left's template changes.
LEVELS = (-0.5, 0.0, 0.5)


@dataclass(frozen=True)
class Templates:
    """Weights, each a vector: `back` of views, `level` (its last is the constant), `left`."""

    back: np.ndarray
    level: np.ndarray
    left: np.ndarray

    @classmethod
    @cache
    def shipped(cls) -> "Templates":
        stored = json.loads(TEMPLATES.read_text())["weights"]
        return cls(**{name: np.array(weights) for name, weights in stored.items()})


@dataclass(frozen=True)
class Evidence:
    """The view in which the back fits best, and what head and left say in it.

    `margin` is the score of `view` above the next best one. `head` is the rise of level over the
    volume, `left` the mean vote of the slices, -1 to 1; positive values agree with the header,
    None means there is no evidence.
    """

    view: View
    margin: float
    head: float | None = None
    left: float | None = None


def check_orientation(hu: np.ndarray) -> Warned:
    """Warn if `hu` `[slice, row, column]`, LPS axial by its header, has another orientation."""
    found = find_orientation(hu)
    message = _message(found, is_single=len(hu) == 1) if found else None
    return ((CODE, message),) if message else ()


def find_orientation(hu: np.ndarray, templates: Templates | None = None) -> Evidence | None:
    """Where back, head and left are in `hu`; None if no spine is visible."""
    templates = templates or Templates.shipped()
    coarse = coarse_copy(hu)
    if len(coarse) > 1 and max(bone_lines(coarse)) < LEAST_BONE:
        return None
    scores = {view: float((x @ templates.back).mean()) for view, x in views(coarse).items()}
    if AS_THE_HEADER_SAYS not in scores:
        return None
    best = max(scores, key=lambda view: scores[view])
    others = max(score for view, score in scores.items() if view != best)
    margin = scores[best] - others
    if best[0] != 0 or best[1] not in (ROWS_END, ROWS_START) or len(coarse) < FEWEST_SLICES:
        return Evidence(best, margin)
    upright = coarse if best == AS_THE_HEADER_SAYS else coarse[:, ::-1]
    pictures = BodyPictures.of(upright, inside_body(upright))
    if pictures is None:
        return Evidence(best, margin)
    return Evidence(best, margin, *_head_and_left(pictures, templates))


def views(coarse: np.ndarray) -> dict[View, np.ndarray]:
    """For each way in which the chest may lie, what the back's template looks at.

    `[slice, feature]`, for slices along the view's axis.
    """
    found: dict[View, np.ndarray] = {}
    bone = np.log(5 + np.array(bone_lines(coarse)))
    for axis in range(3) if len(coarse) >= FEWEST_SLICES else (0,):
        # Along the other axes every second slice is enough.
        slices = np.moveaxis(coarse, axis, 0)[:: 2 if axis else 1]
        inside = inside_body(slices)
        for turned, sides in (
            (False, (ROWS_END, ROWS_START)),
            (True, (COLUMNS_END, COLUMNS_START)),
        ):
            order = (0, 2, 1) if turned else (0, 1, 2)
            pictures = BodyPictures.of(slices.transpose(order), inside.transpose(order))
            if pictures is None:
                continue
            for side, grid in zip(sides, (pictures.grid, pictures.grid[:, :, ::-1]), strict=True):
                whole = np.tile([bone[axis], pictures.symmetry], (len(grid), 1))
                found[axis, side] = np.concatenate([symmetric(grid), whole], axis=1)
    return found


def symmetric(grid: np.ndarray) -> np.ndarray:
    """What left and right have in common `[slice, feature]`."""
    both = grid + grid[..., ::-1]
    return both[..., : grid.shape[-1] // 2].reshape(len(grid), -1)


def antisymmetric(grid: np.ndarray) -> np.ndarray:
    """How left and right differ `[slice, feature]`; mirrored, it changes its sign."""
    difference = grid - grid[..., ::-1]
    return difference[..., : grid.shape[-1] // 2].reshape(len(grid), -1)


def levels(grid: np.ndarray, template: np.ndarray) -> np.ndarray:
    """How high in the lungs each slice seems to lie, -0.5 at their bases to 0.5 at their apices."""
    return np.asarray(symmetric(grid) @ template[:-1] + template[-1])


def left_features(pictures: BodyPictures, level: np.ndarray) -> np.ndarray:
    """What the left's template looks at `[slice, feature]`."""
    sides = [antisymmetric(pictures.grid), 2 * antisymmetric(pictures.spine_grid)]
    beside = np.concatenate(sides, axis=1)
    distance = np.abs(np.clip(level, LEVELS[0], LEVELS[-1])[:, None] - np.array(LEVELS))
    near = np.maximum(0, 1 - distance / (LEVELS[1] - LEVELS[0]))
    return (near[:, :, None] * beside[:, None, :]).reshape(len(beside), -1)


def with_lung(pictures: BodyPictures) -> np.ndarray:
    """Which slices show enough lung to tell head and left by."""
    return np.asarray(pictures.grid[:, 0].mean(axis=(1, 2)) > LUNG_SHARE)


def _head_and_left(
    pictures: BodyPictures, templates: Templates
) -> tuple[float | None, float | None]:
    counted = with_lung(pictures)
    if counted.sum() < FEWEST_SLICES:
        return None, None
    level = levels(pictures.grid, templates.level)
    votes = np.tanh(left_features(pictures, level)[counted] @ templates.left / 2)
    return _rise(level), float(votes.mean())


def _rise(level: np.ndarray) -> float | None:
    """From the lowest to the highest slice along a straight line, where one fits."""
    k = np.arange(len(level))
    slope = float(np.polyfit(k, level, 1)[0])
    fits = abs(np.corrcoef(k, level)[0, 1]) >= HEAD_CORRELATION
    return slope * (len(level) - 1) if fits else None


def _message(found: Evidence, is_single: bool) -> str | None:
    axis, side = found.view
    if found.margin < (BACK_MARGIN_SINGLE if is_single else BACK_MARGIN):
        return None
    if axis != 0:
        return _contradiction(
            "its axes are swapped: the slices that the header calls axial are "
            f"{'coronal' if side in (ROWS_END, ROWS_START) else 'sagittal'}"
        )
    if side in (COLUMNS_END, COLUMNS_START):
        where = "left" if side == COLUMNS_END else "right"
        return _contradiction(
            f"its rows and columns are swapped: the spine is where the header says {where}"
        )
    return _flips(found)


def _flips(found: Evidence) -> str | None:
    back = found.view != AS_THE_HEADER_SAYS
    head = found.head is not None and found.head <= -HEAD_RISE
    left = found.left is not None and found.left <= -LEFT_MARGIN
    wrong = {"front to back": back, "left to right": left, "head to feet": head}
    names = [name for name, is_wrong in wrong.items() if is_wrong]
    if not names:
        return None
    if len(names) == 2:
        [kept] = set(wrong) - set(names)
        axis = kept.replace(" to ", "–")
        return _contradiction(
            f"it is rotated by 180° about the {axis} axis ({' and '.join(names)})"
        )
    what = " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
    seen = {
        "front to back": ": the spine is where the header says front",
        "head to feet": ": the lung bases are where the header says head",
        "left to right": ": heart, aorta or liver are on the other side. Unless this patient has "
        "situs inversus, the header is wrong",
    }
    return _contradiction(f"it is flipped {what}{seen[names[0]] if len(names) == 1 else ''}")


def _contradiction(what: str) -> str:
    return (
        f"The image contradicts its header: {what}. Left and right, zones and lesion positions may "
        "be wrong, so there is no verdict. Load the original series, or correct the orientation in "
        "the file."
    )
