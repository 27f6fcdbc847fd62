"""H1N1: peribronchial consolidation, small centrilobular nodules and ground glass."""

from collections.abc import Callable

import numpy as np

from M3LungScreenLib.classes import class_by_key
from M3LungScreenLib.simulation.lesion_placing import (
    draw_center,
    draw_direction,
    draw_sides,
    record_of,
)
from M3LungScreenLib.simulation.lesion_record import LesionRecord
from M3LungScreenLib.simulation.lung_frame import LungFrame

CLASS_INDEX = class_by_key("h1n1").index


def plan_lesions(
    frame: LungFrame, rng: np.random.Generator, severity: float
) -> Callable[[float], list[LesionRecord]]:
    """Returns a function that draws the next lesions, given the volume to cover in mm³."""
    sides = draw_sides(frame, rng, both=0.8)
    nodular = rng.uniform()  # from pure consolidation to mostly nodules
    count = float(rng.uniform(3, 8))
    calls = 0

    def plan(missing_mm3: float) -> list[LesionRecord]:
        nonlocal calls
        calls += 1
        side = sides[calls % len(sides)]
        volume = missing_mm3 * float(np.clip(rng.lognormal(-np.log(count) + 0.5, 0.6), 0.05, 1))
        if calls <= 6 and rng.uniform() < 0.25 + 0.5 * nodular:
            return [_nodule_cluster(frame, rng, side, severity)]
        if rng.uniform() < min(0.7, 0.15 + 2 * severity):
            return [_haze(frame, rng, side, volume)]
        return [_peribronchial(frame, rng, side, volume)]

    return plan


def _peribronchial(
    frame: LungFrame, rng: np.random.Generator, side: int, volume: float
) -> LesionRecord:
    hilum = frame.hila_mm[side]
    target = draw_center(frame, rng, side, np.exp(-np.maximum(0, 22 - frame.depth) / 8))
    way = target - hilum
    far = max(float(np.linalg.norm(way)), 1.0)
    way = way / far
    start = hilum + way * rng.uniform(0.1, 0.45) * far
    length = float(np.clip(rng.uniform(0.4, 0.75) * far, 12, 80))
    width = float(np.clip(np.sqrt(volume / (2.2 * length)), 4.5, 24))
    dense = rng.uniform() < 0.6
    fill = float(rng.uniform(0.3, 0.55)) if dense else float(rng.uniform(0.18, 0.42))
    return record_of(
        CLASS_INDEX, "tube", side, start, way, (length, width), rng,
        fill=fill,
        core_fill=float(rng.uniform(0.8, 0.97)) if dense else 0.0,
        core_level=float(rng.uniform(0.15, 0.75)),
        soft=float(rng.uniform(0.2, 0.42)),
        warp=float(rng.uniform(0.35, 0.6)),
        texture=float(rng.uniform(0.15, 0.4)),
        bronchograms=int(dense and rng.integers(0, 3)),
        half_angle=0.3,
    )  # fmt: skip


def _haze(frame: LungFrame, rng: np.random.Generator, side: int, volume: float) -> LesionRecord:
    """Peribronchial ground glass that can reach the pleura."""
    center = draw_center(frame, rng, side, 0.1 + np.clip(frame.depth / 35, 0, 1))
    radius = float(np.clip((volume / 3.6) ** (1 / 3), 7, 55))
    stretch = float(rng.uniform(1.0, 1.6))
    radii = (radius * stretch, radius / stretch**0.5)
    return record_of(
        CLASS_INDEX, "patch", side, center, draw_direction(rng), radii, rng,
        fill=float(rng.uniform(0.15, 0.45)),
        core_fill=float(rng.choice([0.0, rng.uniform(0.6, 0.95)], p=[0.6, 0.4])),
        core_level=float(rng.uniform(0.4, 0.9)),
        soft=float(rng.uniform(0.25, 0.5)),
        warp=float(rng.uniform(0.25, 0.5)),
        texture=float(rng.uniform(0.1, 0.3)),
        pattern="cloudy" if rng.uniform() < 0.4 else "plain",
    )  # fmt: skip


def _nodule_cluster(
    frame: LungFrame, rng: np.random.Generator, side: int, severity: float
) -> LesionRecord:
    center = draw_center(frame, rng, side, np.clip((frame.depth - 6) / 10, 0, 1))
    size = float(rng.uniform(14, 40))
    count = int(rng.integers(8, 26) * (1 + 2 * min(severity * 4, 1)))
    fill = float(rng.uniform(0.3, 0.75))
    return record_of(
        CLASS_INDEX,
        "nodules",
        side,
        center,
        draw_direction(rng),
        (size, size),
        rng,
        fill=fill,
        count=count,
    )
