"""Assembles the Result from what a screening computed."""

from dataclasses import dataclass, replace

import numpy as np

from M3LungScreenLib.bundle import Bundle
from M3LungScreenLib.chest import Chest
from M3LungScreenLib.classes import CLASS_KEYS
from M3LungScreenLib.ct import CTVolume
from M3LungScreenLib.involvement import (
    Involvement,
    lung_volumes_ml,
    slice_involvement,
)
from M3LungScreenLib.provenance import Stopwatch, package_versions
from M3LungScreenLib.result import (
    Arrays,
    ClassProbabilities,
    InputSummary,
    ModelSummary,
    PatientResult,
    Result,
    ScreeningWarning,
    SliceResult,
    Timing,
)
from M3LungScreenLib.screening_run import Run
from M3LungScreenLib.settings import to_dict
from M3LungScreenLib.slice_averaging import ScreenedSlice


@dataclass(frozen=True)
class Findings:
    """What the networks and the lesion maps say; slices by axial index."""

    screened: dict[int, ScreenedSlice]
    patient: PatientResult | None
    weights: dict[int, float]  # of each slice in the patient's verdict
    arrays: Arrays
    involvement: Involvement


def assemble(chest: Chest, found: Findings, run: Run, clock: Stopwatch) -> Result:
    """The Result of a screening whose steps `clock` has timed."""
    volume = chest.volume
    return Result(
        input=_input_summary(volume),
        model=_model_summary(run.bundle),
        settings={
            "detail": run.detail,
            "window_centers_hu": list(run.settings.window_centers_hu),
            "slices_screened": len(found.screened),
            "slices_informative": len(chest.informative),
            "model": to_dict(run.bundle.settings),
        },
        patient=found.patient,
        slices=_slice_results(chest, found),
        involvement=found.involvement,
        lung_volume_ml=lung_volumes_ml(chest.lungs, volume.spacing_mm),
        warnings=_warnings(chest, len(found.screened), run),
        timing_s=Timing(**clock.seconds, total=clock.total),
        peak_memory_mb=clock.peak_memory_mb,
        device=run.engine.device,
        engine=run.engine.summary,
        versions=package_versions(),
        volume=volume,
        arrays=found.arrays,
        attention={
            volume.stored_slice_index(k): each.attention.astype(np.float16)
            for k, each in found.screened.items()
        },
    )


def _slice_results(chest: Chest, found: Findings) -> tuple[SliceResult, ...]:
    shares = slice_involvement(found.arrays.lesions, found.arrays.lungs)
    made = [
        _slice_result(chest, k, found.screened.get(k), found.weights.get(k), float(shares[k]))
        for k in range(chest.volume.slice_count)
    ]
    return tuple(sorted(made, key=lambda each: each.index))


def _slice_result(
    chest: Chest, k: int, screened: ScreenedSlice | None, weight: float | None, involvement: float
) -> SliceResult:
    crop = chest.crops[k]
    bare = SliceResult(
        index=chest.volume.stored_slice_index(k),
        position_mm=chest.volume.slice_position_mm(k),
        informative=crop is not None,
        screened=screened is not None,
    )
    if crop is None:
        return bare
    place = (crop.row, crop.column, crop.rows, crop.columns)
    placed = replace(bare, crop=place, involvement=involvement)
    if screened is None:
        return placed
    return replace(
        placed,
        p_lesion=screened.p_lesion,
        probabilities=ClassProbabilities.of(screened.probabilities),
        predicted=CLASS_KEYS[int(screened.probabilities.argmax())],
        weight=weight,
    )


def _input_summary(volume: CTVolume) -> InputSummary:
    return InputSummary(
        kind=volume.kind,
        size=volume.stored.size,
        spacing_mm=volume.stored.spacing_mm,
        hu_range=(int(volume.hu.min()), int(volume.hu.max())),
        series_uid_sha256=volume.series_uid_sha256,
    )


def _model_summary(bundle: Bundle) -> ModelSummary:
    notes = tuple(str(each) for each in bundle.card.get("notes", ()))
    verified = bundle.card.get("verified_on_real_ct", {})
    unverified = tuple(key for key in CLASS_KEYS if not verified.get(key))
    return ModelSummary(bundle.name, bundle.version, bundle.sha256, notes, unverified)


def _warnings(chest: Chest, screened: int, run: Run) -> tuple[ScreeningWarning, ...]:
    found = tuple(ScreeningWarning(code, message) for code, message in chest.warnings)
    if run.detail == "full":
        return found
    return (*found, ScreeningWarning("preview", _about_preview(chest, screened, run)))


def _about_preview(chest: Chest, screened: int, run: Run) -> str:
    informative = len(chest.informative)
    windows = len(run.bundle.settings.preprocessing.window_centers_hu)
    # A preview of few slices screens them all, but never in all windows.
    between = (
        "Maps and involvement of the slices in between are copied from the nearest one. "
        if screened < informative
        else ""
    )
    return (
        f"This is a preview: it screened {screened} of {informative} slices with lung, in "
        f"{len(run.settings.window_centers_hu)} of {windows} display windows, and cannot tell "
        f"whether the windows disagree. {between}Screen with full detail before you rely on it."
    )
