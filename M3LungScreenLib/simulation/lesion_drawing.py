"""Draws the lesions of a patient of each class, following the radiology literature.

COVID-19: bilateral, peripheral, lower and posterior ground glass with or without
consolidation, crazy paving, halo and reversed halo. H1N1: consolidation along the
central bronchi, small centrilobular nodules, ground glass. CAP: one lobe or segment
consolidated up to the fissure with air bronchograms, some ground glass around it,
tree-in-bud, sometimes an effusion.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from M3LungScreenLib.classes import class_by_key
from M3LungScreenLib.simulation.lesion_record import Kind, LesionRecord, Vector
from M3LungScreenLib.simulation.lesion_shapes import Grid, corners, fill_of
from M3LungScreenLib.simulation.lung_frame import LungFrame

SEVERITY = (0.005, 0.5)  # share of the lungs
MOST_LESIONS = 40


def draw_severity(rng: np.random.Generator) -> float:
    """The share of the lungs to cover; mild cases are more frequent."""
    return float(np.exp(rng.uniform(*np.log(SEVERITY))))


def draw(
    class_key: str, frame: LungFrame, rng: np.random.Generator, severity: float
) -> tuple[LesionRecord, ...]:
    """Draws lesions until about `severity` (a share of the lungs) is covered."""
    plan = _PLANS[class_key](frame, rng, severity)
    covered = np.zeros(frame.side.shape, bool)
    lungs = max(1, int(np.count_nonzero(frame.side)))
    voxel = float(np.prod(frame.step_mm))
    records: list[LesionRecord] = []
    for _ in range(MOST_LESIONS):
        missing = severity - np.count_nonzero(covered) / lungs
        if records and missing < 0.12 * severity:
            break
        new = plan(missing * lungs * voxel)
        for record in new:
            _cover(covered, record, frame)
        records += new
    return tuple(records)


def _cover(covered: np.ndarray, record: LesionRecord, frame: LungFrame) -> None:
    whole = Grid(np.array(frame.origin_mm), np.array(frame.step_mm), frame.side.shape)
    found = whole.around(*corners(record, frame))
    if found:
        box, grid = found
        outline = fill_of(record, frame, grid)[1]
        covered[box] |= (outline > 0.5) & (frame.side[box] == record.side)


Plan = Callable[[float], list[LesionRecord]]


def _covid19(frame: LungFrame, rng: np.random.Generator, severity: float) -> Plan:
    sides = _sides(frame, rng, both=0.92 if severity > 0.02 else 0.7)
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
    center = _pick(frame, rng, side, weight)
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
    depth = float(frame.depth_at(_at(center))[0, 0, 0])
    if depth < 18 and rng.uniform() < 0.7 and pattern != "reversed_halo":
        thick = float(np.clip(radius * rng.uniform(0.5, 1.1), 6, 38))
        wide = float(np.clip(np.sqrt(volume / (2.0 * thick)), thick * 0.7, 75))
        return _record(
            1, "pleural", side, center, _inward(frame, center), (thick, wide), rng, **common
        )
    stretch = float(rng.uniform(1.0, 1.7))
    radii = (radius * stretch, radius / np.sqrt(stretch))
    return _record(1, "patch", side, center, _direction(rng), radii, rng, **common)


def _h1n1(frame: LungFrame, rng: np.random.Generator, severity: float) -> Plan:
    sides = _sides(frame, rng, both=0.8)
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
    target = _pick(frame, rng, side, np.exp(-np.maximum(0, 22 - frame.depth) / 8))
    way = target - hilum
    far = max(float(np.linalg.norm(way)), 1.0)
    way = way / far
    start = hilum + way * rng.uniform(0.1, 0.45) * far
    length = float(np.clip(rng.uniform(0.4, 0.75) * far, 12, 80))
    width = float(np.clip(np.sqrt(volume / (2.2 * length)), 4.5, 24))
    dense = rng.uniform() < 0.6
    fill = float(rng.uniform(0.3, 0.55)) if dense else float(rng.uniform(0.18, 0.42))
    return _record(
        2, "tube", side, start, way, (length, width), rng,
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
    center = _pick(frame, rng, side, 0.1 + np.clip(frame.depth / 35, 0, 1))
    radius = float(np.clip((volume / 3.6) ** (1 / 3), 7, 55))
    stretch = float(rng.uniform(1.0, 1.6))
    return _record(
        2, "patch", side, center, _direction(rng), (radius * stretch, radius / stretch**0.5), rng,
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
    center = _pick(frame, rng, side, np.clip((frame.depth - 6) / 10, 0, 1))
    size = float(rng.uniform(14, 40))
    count = int(rng.integers(8, 26) * (1 + 2 * min(severity * 4, 1)))
    fill = float(rng.uniform(0.3, 0.75))
    return _record(
        2, "nodules", side, center, _direction(rng), (size, size), rng, fill=fill, count=count
    )


def _cap(frame: LungFrame, rng: np.random.Generator, severity: float) -> Plan:
    broncho = rng.uniform() < 0.4  # bronchopneumonia: patches and tree-in-bud instead of a lobe
    both = 0.6 if broncho else 0.12 if severity < 0.2 else 0.35
    sides = _sides(frame, rng, both)
    effusion = rng.uniform() < 0.15 + 0.5 * severity
    buds = int(rng.integers(1, 4)) * (rng.uniform() < 0.4)
    if broncho:
        buds = int(rng.integers(3, 16)) * (rng.uniform() < 0.75)
    lobes = {side: _lobe(side, rng) for side in sides}
    calls = 0

    def bud_cluster(side: int, lobe: str) -> LesionRecord:
        if broncho:
            side = int(rng.choice(sides))
            lobe = _lobe(side, rng)
        return _bud_cluster(frame, rng, side, lobe)

    def plan(missing_mm3: float) -> list[LesionRecord]:
        nonlocal calls
        calls += 1
        side = sides[0] if calls < 3 or len(sides) == 1 else int(rng.choice(sides))
        lobe = lobes[side] if calls < 5 or rng.uniform() < 0.6 else _lobe(side, rng)
        share = rng.uniform(0.2, 0.6) if broncho else rng.uniform(0.75, 1.1)
        make = _broncho_patch if broncho else _segment
        made = [make(frame, rng, side, lobe, missing_mm3 * float(share))]
        if calls == 1 and effusion:
            thick = float(rng.uniform(8, 26))
            made.append(
                _record(3, "effusion", side, (0, 0, 0), (1, 0, 0), (thick, 0), rng, fill=1.0)
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
    target = _pick(frame, rng, side, np.exp(-frame.depth / 3) * _in_lobe(frame, side, lobe))
    way = frame.hila_mm[side] - target
    far = max(float(np.linalg.norm(way)), 25.0)
    angle = float(rng.uniform(0.35, 0.75))
    length = float(np.clip((volume / (2.1 * (1 - np.cos(angle)))) ** (1 / 3), 16, far))
    angle = float(np.arccos(np.clip(1 - volume / (2.1 * length**3), 0.1, 0.97)))
    apex = target + way / np.linalg.norm(way) * length
    return _record(
        3, "cone", side, apex, -way / np.linalg.norm(way), (length * 1.25, length), rng,
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
    center = _pick(frame, rng, side, _in_lobe(frame, side, lobe))
    radius = float(np.clip((volume / 4) ** (1 / 3), 4.5, 40))
    return _record(
        3, "patch", side, center, _direction(rng), (radius * 1.2, radius), rng,
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
    center = _pick(frame, rng, side, near)
    outward = tuple(-np.array(_inward(frame, center)))
    count, size = int(rng.integers(5, 16)), float(rng.uniform(10, 26))
    fill = float(rng.uniform(0.6, 0.95))
    return _record(
        3, "tree_in_bud", side, center, outward, (size, size), rng, fill=fill, count=count
    )


def _healthy(frame: LungFrame, rng: np.random.Generator, severity: float) -> Plan:
    raise ValueError("a healthy patient has no lesions to draw")


_PLANS = {"healthy": _healthy, "covid19": _covid19, "h1n1": _h1n1, "cap": _cap}


def _record(
    class_index: int,
    kind: Kind,
    side: int,
    center: ArrayLike,
    axis: ArrayLike,
    radii: tuple[float, float],
    rng: np.random.Generator,
    **values: Any,
) -> LesionRecord:
    seed = int(rng.integers(2**31))
    return LesionRecord(
        class_index,
        kind,
        side,
        _vector(center),
        _vector(axis),
        radii,
        seed=seed,
        **values,
    )


def _sides(frame: LungFrame, rng: np.random.Generator, both: float) -> list[int]:
    present = [int(side) for side in rng.permutation(sorted(frame.bounds_mm))]
    return present if rng.uniform() < both else present[:1]


def _lobe(side: int, rng: np.random.Generator) -> str:
    if side == 2:
        return str(rng.choice(["lower", "upper"], p=[0.6, 0.4]))
    return str(rng.choice(["lower", "middle", "upper"], p=[0.5, 0.2, 0.3]))


def _pick(frame: LungFrame, rng: np.random.Generator, side: int, weight: np.ndarray) -> np.ndarray:
    points, chances = frame.points(side, np.broadcast_to(weight, frame.side.shape))
    jitter = rng.uniform(-0.5, 0.5, 3) * frame.step_mm
    return points[rng.choice(len(points), p=chances)] + jitter


def _at(center: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return center[:1], center[1:2], center[2:]


def _inward(frame: LungFrame, center: np.ndarray) -> Vector:
    """The direction into the lung from the nearest costal surface."""
    slope = []
    for axis in range(3):
        step = np.zeros(3)
        step[axis] = 6.0
        ahead, behind = frame.depth_at(_at(center + step)), frame.depth_at(_at(center - step))
        slope.append(float(ahead[0, 0, 0] - behind[0, 0, 0]))
    norm = float(np.linalg.norm(slope))
    return _vector(np.array(slope) / norm) if norm > 0 else (0.0, -1.0, 0.0)


def _direction(rng: np.random.Generator) -> np.ndarray:
    vector = rng.standard_normal(3)
    return vector / np.linalg.norm(vector)


def _vector(values: ArrayLike) -> Vector:
    z, y, x = (float(v) for v in np.asarray(values))
    return z, y, x


def class_index(class_key: str) -> int:
    """The label of the class in truth masks."""
    return class_by_key(class_key).index
