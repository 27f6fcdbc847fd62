"""Simulates a patient: draws anatomy, lesions and scanner from a seed, then renders them.

Anatomy and scanner depend only on the seed, lesions also on the class: one seed
gives the same body and noise for every class.
"""

from dataclasses import dataclass, replace

import numpy as np

from M3LungScreenLib.classes import CLASS_KEYS
from M3LungScreenLib.ct import CTVolume
from M3LungScreenLib.simulation.anatomy import Chest, render
from M3LungScreenLib.simulation.anatomy_record import AnatomyRecord, draw_anatomy
from M3LungScreenLib.simulation.fields import Axes
from M3LungScreenLib.simulation.lesions import LesionRecord, apply_lesions, draw_lesions
from M3LungScreenLib.simulation.scanner import ScannerRecord, draw_scanner, scan

SLICE_COUNTS = (24, 495)
THICKNESSES_MM = (1.0, 10.0)


@dataclass(frozen=True)
class PatientRecord:
    """All random parameters of a patient; `render_patient` renders them reproducibly."""

    class_key: str
    seed: int
    matrix: int
    slice_count: int
    anatomy: AnatomyRecord
    scanner: ScannerRecord
    lesions: tuple[LesionRecord, ...]


@dataclass(frozen=True)
class SimulatedPatient:
    """`volume`, its `truth` (uint8 class index) and `lungs` (1 right, 2 left) on `volume.hu`."""

    volume: CTVolume
    truth: np.ndarray
    lungs: np.ndarray
    record: PatientRecord

    def without_lesions(self) -> "SimulatedPatient":
        """The same body and noise without lesions."""
        return render_patient(replace(self.record, lesions=()))


def simulate_patient(
    class_key: str,
    seed: int,
    *,
    slice_count: int | None = None,
    slice_thickness_mm: float | None = None,
    matrix: int = 256,
    severity: float | None = None,
) -> SimulatedPatient:
    """A chest CT of `class_key` in LPS axial order with its truth.

    `slice_count` 24 to 495 and `slice_thickness_mm` 1 to 10, None to let
    scanner and body decide; `severity` as in `draw_lesions`. ValueError otherwise.
    """
    _check(class_key, slice_count, slice_thickness_mm, matrix)
    anatomy = draw_anatomy(np.random.default_rng((seed, 1)))
    scanner = draw_scanner(np.random.default_rng((seed, 2)))
    count, thickness = _slices(anatomy, scanner, slice_count, slice_thickness_mm)
    scanner = replace(scanner, thickness_mm=thickness)
    record = PatientRecord(class_key, seed, matrix, count, anatomy, scanner, ())
    axes = _axes(record)
    chest = render(anatomy, axes, thickness)
    rng = np.random.default_rng((seed, 3, CLASS_KEYS.index(class_key)))
    lesions = draw_lesions(class_key, chest.lungs, _spacing(record, axes), rng, severity)
    return _finish(replace(record, lesions=lesions), chest, axes)


def render_patient(record: PatientRecord) -> SimulatedPatient:
    """Renders a record; deterministic."""
    axes = _axes(record)
    return _finish(record, render(record.anatomy, axes, record.scanner.thickness_mm), axes)


def _finish(record: PatientRecord, chest: Chest, axes: Axes) -> SimulatedPatient:
    spacing = _spacing(record, axes)
    hu, truth = apply_lesions(chest.hu, chest.lungs, spacing, record.lesions, chest.airways)
    seen = scan(hu, chest, record.scanner, spacing[0])
    origin = tuple(float(axis[0]) for axis in axes[::-1])
    return SimulatedPatient(CTVolume.from_array(seen, spacing, origin), truth, chest.lungs, record)


def _check(class_key: str, count: int | None, thickness: float | None, matrix: int) -> None:
    if class_key not in CLASS_KEYS:
        raise ValueError(f"{class_key!r} is none of {', '.join(CLASS_KEYS)}")
    if count is not None and not SLICE_COUNTS[0] <= count <= SLICE_COUNTS[1]:
        raise ValueError(f"{count} slices; the simulator makes 24 to 495")
    if thickness is not None and not THICKNESSES_MM[0] <= thickness <= THICKNESSES_MM[1]:
        raise ValueError(f"slices of {thickness:g} mm; the simulator makes 1 to 10 mm")
    if matrix < 64:
        raise ValueError(f"a matrix of {matrix}; the simulator needs at least 64")


def _slices(
    anatomy: AnatomyRecord, scanner: ScannerRecord, count: int | None, thickness: float | None
) -> tuple[int, float]:
    length = anatomy.lung_height + scanner.margin_below_mm + scanner.margin_above_mm
    if thickness is None:
        thickness = scanner.thickness_mm
        if count is not None:
            thickness = float(np.clip(round(length / count * 4) / 4, *THICKNESSES_MM))
    if count is None:
        count = int(np.clip(np.ceil(length / thickness), *SLICE_COUNTS))
    return count, thickness


def _axes(record: PatientRecord) -> Axes:
    """z, y, x of the voxel centers in body coordinates."""
    body, scanner = record.anatomy, record.scanner
    length = body.lung_height + scanner.margin_below_mm + scanner.margin_above_mm
    middle = -scanner.margin_below_mm + length / 2
    z = (
        middle
        + (np.arange(record.slice_count) - (record.slice_count - 1) / 2) * scanner.thickness_mm
    )
    view = 2 * (body.half_width + body.wall + 0.55 * body.fat + 8) * scanner.field_of_view
    grid = (np.arange(record.matrix) - (record.matrix - 1) / 2) * (view / record.matrix)
    return z, grid + scanner.shift_mm[1] + 14, grid + scanner.shift_mm[0]


def _spacing(record: PatientRecord, axes: Axes) -> tuple[float, float, float]:
    pixel = float(axes[2][1] - axes[2][0])
    return pixel, pixel, record.scanner.thickness_mm
