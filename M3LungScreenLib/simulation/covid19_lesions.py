"""COVID-19: bilateral, peripheral, lower and posterior ground glass.

With or without consolidation, crazy paving, halo and reversed halo.
"""

from collections.abc import Callable

import numpy as np

from M3LungScreenLib.classes import class_by_key
from M3LungScreenLib.simulation.lesion_placing import (
    depth_mm,
    draw_center,
    draw_direction,
    draw_sides,
    inward,
    record_of,
)
from M3LungScreenLib.simulation.lesion_record import LesionRecord
from M3LungScreenLib.simulation.lung_frame import LungFrame

CLASS_INDEX = class_by_key("covid19").index


def plan_lesions(
    frame: LungFrame, rng: np.random.Generator, severity: float
) -> Callable[[float], list[LesionRecord]]:
    """Returns a function that draws the next lesions, given the volume to cover in mm³."""
    sides = draw_sides(frame, rng, both=0.92 if severity > 0.02 else 0.7)
    stage = rng.uniform()  # early: pure ground glass; late: consolidation, bands
    pattern_rates = rng.dirichlet([6, 2.2 if severity > 0.05 else 0.8, 1, 0.6])
    reach = rng.uniform(7, 16)
    count = float(rng.uniform(3, 9))
    turn = int(rng.integers(2))

    def weight(side: int) -> np.ndarray:
        height, back = frame.height_and_back(side, frame.axes)
        low = (1.25 - np.clip(height, 0, 1)) ** 1.5
        return np.exp(-frame.depth / reach) * low * (0.15 + np.clip(back, 0, 1)) ** 1.3

    def plan(missing_mm3: float) -> list[LesionRecord]:
        nonlocal turn
        turn += 1
        side = sides[turn % len(sides)] if turn < 4 else int(rng.choice(sides))
        volume = missing_mm3 * float(np.clip(rng.lognormal(-np.log(count) + 0.4, 0.7), 0.03, 1))
        return [_covid_lesion(frame, rng, side, weight(side), volume, stage, pattern_rates)]

    return plan


def _covid_lesion(
    frame: LungFrame,
    rng: np.random.Generator,
    side: int,
    weight: np.ndarray,
    volume: float,
    stage: float,
    rates: np.ndarray,
) -> LesionRecord:
    center = draw_center(frame, rng, side, weight)
    radius = float(np.clip((volume / 3.2) ** (1 / 3), 5, 60))
    pattern = str(rng.choice(["plain", "crazy_paving", "halo", "reversed_halo"], p=rates))
    if pattern == "reversed_halo" and not 9 < radius < 26:
        pattern = "plain"
    solid = pattern != "plain" or rng.uniform() < 0.15 + 0.5 * stage
    common = {
        "fill": float(rng.uniform(0.15, 0.5)),
        "core_fill": float(rng.uniform(0.8, 0.97)) if solid else 0.0,
        "core_level": float(rng.uniform(0.3, 0.95)) if pattern != "halo" else 0.45,
        "soft": float(rng.uniform(0.22, 0.5)),
        "warp": float(rng.uniform(0.2, 0.42)),
        "texture": float(rng.uniform(0.08, 0.28)),
        "pattern": "cloudy" if pattern == "plain" and rng.uniform() < 0.4 else pattern,
    }
    if pattern == "crazy_paving":
        common |= {"core_fill": 0.0}
    depth = depth_mm(frame, center)
    if depth < 18 and rng.uniform() < 0.7 and pattern != "reversed_halo":
        thick = float(np.clip(radius * rng.uniform(0.5, 1.1), 6, 38))
        wide = float(np.clip(np.sqrt(volume / (2.0 * thick)), thick * 0.7, 75))
        return record_of(
            CLASS_INDEX,
            "pleural",
            side,
            center,
            inward(frame, center),
            (thick, wide),
            rng,
            **common,
        )
    stretch = float(rng.uniform(1.0, 1.7))
    radii = (radius * stretch, radius / np.sqrt(stretch))
    return record_of(CLASS_INDEX, "patch", side, center, draw_direction(rng), radii, rng, **common)
