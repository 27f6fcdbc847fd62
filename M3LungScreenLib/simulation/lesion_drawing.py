"""Draws the lesions of a patient of each class, following the radiology literature."""

import numpy as np

from M3LungScreenLib.simulation import cap_lesions, covid19_lesions, h1n1_lesions
from M3LungScreenLib.simulation.lesion_record import LesionRecord
from M3LungScreenLib.simulation.lesion_shapes import Grid, corners, fill_of
from M3LungScreenLib.simulation.lung_frame import LungFrame

SEVERITY = (0.005, 0.5)  # share of the lungs
MOST_LESIONS = 40
# Each returns a function that draws the next lesions, given the volume still to cover in mm³.
PLANS = {
    "covid19": covid19_lesions.plan_lesions,
    "h1n1": h1n1_lesions.plan_lesions,
    "cap": cap_lesions.plan_lesions,
}


def draw_severity(rng: np.random.Generator) -> float:
    """The share of the lungs to cover; mild cases are more frequent."""
    return float(np.exp(rng.uniform(*np.log(SEVERITY))))


def draw(
    class_key: str, frame: LungFrame, rng: np.random.Generator, severity: float
) -> tuple[LesionRecord, ...]:
    """Draws lesions until about `severity` (a share of the lungs) is covered."""
    plan = PLANS[class_key](frame, rng, severity)
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
