"""CAP: one lobe or segment consolidated up to the fissure, with air bronchograms.

Some ground glass around it, tree-in-bud, sometimes an effusion.
"""

from collections.abc import Callable

import numpy as np

from M3LungScreenLib.classes import class_by_key
from M3LungScreenLib.simulation.lesion_placing import (
    draw_center,
    draw_direction,
    draw_lobe,
    draw_sides,
    inward,
    record_of,
)
from M3LungScreenLib.simulation.lesion_record import LesionRecord
from M3LungScreenLib.simulation.lung_frame import LungFrame

CLASS_INDEX = class_by_key("cap").index


def plan_lesions(
    frame: LungFrame, rng: np.random.Generator, severity: float
) -> Callable[[float], list[LesionRecord]]:
    """Returns a function that draws the next lesions, given the volume to cover in mm³."""
    broncho = rng.uniform() < 0.4  # bronchopneumonia: patches and tree-in-bud instead of a lobe
    both = 0.6 if broncho else 0.12 if severity < 0.2 else 0.35
    sides = draw_sides(frame, rng, both)
    effusion = rng.uniform() < 0.15 + 0.5 * severity
    buds = int(rng.integers(1, 4)) * (rng.uniform() < 0.4)
    if broncho:
        buds = int(rng.integers(3, 16)) * (rng.uniform() < 0.75)
    lobes = {side: draw_lobe(side, rng) for side in sides}
    calls = 0

    def bud_cluster(side: int, lobe: str) -> LesionRecord:
        if broncho:
            side = int(rng.choice(sides))
            lobe = draw_lobe(side, rng)
        return _bud_cluster(frame, rng, side, lobe)

    def plan(missing_mm3: float) -> list[LesionRecord]:
        nonlocal calls
        calls += 1
        side = sides[0] if calls < 3 or len(sides) == 1 else int(rng.choice(sides))
        lobe = lobes[side] if calls < 5 or rng.uniform() < 0.6 else draw_lobe(side, rng)
        share = rng.uniform(0.2, 0.6) if broncho else rng.uniform(0.75, 1.1)
        make = _broncho_patch if broncho else _segment
        made = [make(frame, rng, side, lobe, missing_mm3 * float(share))]
        if calls == 1 and effusion:
            thick = float(rng.uniform(8, 26))
            made.append(
                record_of(
                    CLASS_INDEX, "effusion", side, (0, 0, 0), (1, 0, 0), (thick, 0), rng, fill=1.0
                )
            )
        if calls == 1:
            made += [bud_cluster(side, lobe) for _ in range(buds)]
        return made

    return plan


def _in_lobe(frame: LungFrame, side: int, lobe: str) -> np.ndarray:
    return np.clip(frame.lobe_at(side, lobe, frame.axes) / 8, 0, 1)


def _segment(
    frame: LungFrame, rng: np.random.Generator, side: int, lobe: str, volume: float
) -> LesionRecord:
    """A cone from the bronchus to the pleura, bounded by the fissure."""
    target = draw_center(frame, rng, side, np.exp(-frame.depth / 3) * _in_lobe(frame, side, lobe))
    way = frame.hila_mm[side] - target
    far = max(float(np.linalg.norm(way)), 25.0)
    angle = float(rng.uniform(0.35, 0.75))
    length = float(np.clip((volume / (2.1 * (1 - np.cos(angle)))) ** (1 / 3), 16, far))
    angle = float(np.arccos(np.clip(1 - volume / (2.1 * length**3), 0.1, 0.97)))
    apex = target + way / np.linalg.norm(way) * length
    return record_of(
        CLASS_INDEX, "cone", side, apex, -way / np.linalg.norm(way), (length * 1.25, length), rng,
        half_angle=angle,
        lobe=lobe,
        fill=float(rng.uniform(0.25, 0.6)),
        core_fill=float(rng.uniform(0.93, 0.98)),
        core_level=float(rng.uniform(0.05, 0.4)),
        soft=float(rng.uniform(0.12, 0.3)),
        warp=float(rng.uniform(0.12, 0.3)),
        texture=float(rng.uniform(0.05, 0.2)),
        bronchograms=int(rng.integers(2, 8)) if length > 28 else 0,
    )  # fmt: skip


def _broncho_patch(
    frame: LungFrame, rng: np.random.Generator, side: int, lobe: str, volume: float
) -> LesionRecord:
    center = draw_center(frame, rng, side, _in_lobe(frame, side, lobe))
    radius = float(np.clip((volume / 4) ** (1 / 3), 4.5, 40))
    return record_of(
        CLASS_INDEX, "patch", side, center, draw_direction(rng), (radius * 1.2, radius), rng,
        lobe=lobe,
        fill=float(rng.uniform(0.25, 0.55)),
        core_fill=float(rng.uniform(0.85, 0.97)),
        core_level=float(rng.uniform(0.0, 0.4)),
        soft=float(rng.uniform(0.15, 0.35)),
        warp=float(rng.uniform(0.25, 0.5)),
        bronchograms=0,
    )  # fmt: skip


def _bud_cluster(frame: LungFrame, rng: np.random.Generator, side: int, lobe: str) -> LesionRecord:
    near = np.exp(-(((frame.depth - 12) / 8) ** 2)) * _in_lobe(frame, side, lobe)
    center = draw_center(frame, rng, side, near)
    outward = tuple(-np.array(inward(frame, center)))
    count, size = int(rng.integers(5, 16)), float(rng.uniform(10, 26))
    fill = float(rng.uniform(0.6, 0.95))
    return record_of(
        CLASS_INDEX, "tree_in_bud", side, center, outward, (size, size), rng, fill=fill, count=count
    )
