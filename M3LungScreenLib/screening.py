"""The paper's Figure 3, read from top to bottom: a CT volume in, a result out."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal

import numpy as np

from M3LungScreenLib.assessment import (
    calibrated,
    calibrated_p_lesion,
    count_slices,
    decide,
    slice_probabilities,
    spread_over_windows,
)
from M3LungScreenLib.bundle import Bundle
from M3LungScreenLib.chest import Chest, prepare
from M3LungScreenLib.classes import CLASS_KEYS
from M3LungScreenLib.ct import CTVolume
from M3LungScreenLib.engines.fallback_engine import (
    GPU_MEMORY_RAN_OUT,
    lasting_engine,
)
from M3LungScreenLib.engines.interface import Engine
from M3LungScreenLib.errors import Cancelled
from M3LungScreenLib.events import Listener, Notice, Progress, Provisional, ignore
from M3LungScreenLib.involvement import lung_volumes_ml, measure_involvement, slice_involvement
from M3LungScreenLib.localization import label_map, location_volume
from M3LungScreenLib.neighbours import mean_over_neighbours
from M3LungScreenLib.preprocessing import network_input
from M3LungScreenLib.provenance import Stopwatch, package_versions, peak_memory_mb
from M3LungScreenLib.result import (
    Arrays,
    ClassProbabilities,
    InputSummary,
    ModelSummary,
    PatientResult,
    Result,
    SliceResult,
    Timing,
    Warning,
)
from M3LungScreenLib.schedule import batches, first_look, nearest_screened, remaining
from M3LungScreenLib.settings import ModelSettings, PreprocessingSettings, to_dict
from M3LungScreenLib.suitability import DOUBTFUL

Detail = Literal["full", "preview"]
SLICES_PER_BATCH = 8


@dataclass(frozen=True)
class ScreenedSlice:
    """One slice after the slice-level network, averaged over the windows."""

    p_lesion: float
    class_probabilities: np.ndarray  # [4]
    location_map: np.ndarray  # [h, w]
    features: np.ndarray  # [D]
    attention: np.ndarray  # [windows, h, w]: what fed the last block
    window_probabilities: np.ndarray  # [windows, 4]: Eq. 4 in each window

    @property
    def probabilities(self) -> np.ndarray:
        """Eq. 4, `[4]`."""
        p_lesion, classes = np.array([self.p_lesion]), self.class_probabilities[None]
        return slice_probabilities(p_lesion, classes)[0]


@dataclass(frozen=True)
class Run:
    """What every step of one screening needs."""

    bundle: Bundle
    engine: Engine
    settings: PreprocessingSettings
    progress: Listener
    cancelled: Callable[[], bool]

    def tell(self, step: str, done: int, total: int) -> None:
        """Progress; raises Cancelled where the user has stopped the run."""
        _tell(self.progress, self.cancelled, step, done, total)


def screen(
    volume: CTVolume,
    bundle: Bundle,
    *,
    device: str = "auto",
    detail: Detail = "full",
    progress: Listener = ignore,
    cancelled: Callable[[], bool] = lambda: False,
    engine: Engine | None = None,
) -> Result:
    """Screen a chest CT with a model bundle (Section IV-A, inference).

    `detail='preview'` screens the middle window and at most 24 slices spread over the
    lungs, and warns that its answer is provisional. `progress` hears events.Progress
    and, for volumes, one Provisional; `cancelled` is asked between batches. `engine`
    overrides the choice by `device`, where the CPU takes over from a GPU whose memory
    runs out, after a Notice.
    Raises InputRefused where this is no chest CT in HU, ModelRefused where the bundle does
    not fit, UsageError for a device that is not there, Cancelled.
    """
    clock = Stopwatch()
    with clock.step("preprocess"):
        tell = partial(_tell, progress, cancelled, "preprocess")
        chest = prepare(volume, bundle.settings.preprocessing, tell)
    with clock.step("slice_network"):
        settings = _preprocessing_for(detail, bundle.settings.preprocessing)
        engine = engine or _engine_for(bundle, device, progress)
        run = Run(bundle, engine, settings, progress, cancelled)
        screened = with_neighbours(screen_slices(chest, run, detail), chest, run)
    with clock.step("patient_network"):
        run.tell("patient_network", 0, 1)
        patient, weights = None, dict[int, float]()
        if volume.slice_count > 1:
            patient, weights = assess_patient(screened, chest, run)
        run.tell("patient_network", 1, 1)
    with clock.step("localization"):
        run.tell("localization", 0, 1)
        arrays = localize(chest, screened, patient, bundle.settings)
        involvement = measure_involvement(
            volume.hu, arrays.lesions, arrays.lungs, volume.spacing_mm
        )
        run.tell("localization", 1, 1)

    return Result(
        input=_input_summary(volume),
        model=_model_summary(bundle),
        settings={
            "detail": detail,
            "window_centers_hu": list(settings.window_centers_hu),
            "slices_screened": len(screened),
            "slices_informative": len(chest.informative),
            "model": to_dict(bundle.settings),
        },
        patient=patient,
        slices=_slice_results(chest, screened, weights, arrays),
        involvement=involvement,
        lung_volume_ml=lung_volumes_ml(chest.lungs, volume.spacing_mm),
        warnings=_warnings(chest, len(screened), run, detail),
        timing_s=Timing(**clock.seconds, total=clock.total),
        peak_memory_mb=peak_memory_mb(),
        device=run.engine.device,
        versions=package_versions(),
        volume=volume,
        arrays=arrays,
        attention={
            volume.stored_slice_index(k): each.attention.astype(np.float16)
            for k, each in screened.items()
        },
    )


def screen_slices(chest: Chest, run: Run, detail: Detail) -> dict[int, ScreenedSlice]:
    """Every informative slice (in a preview, a first look at 24) by axial index.

    The first look comes first and, of a volume, ends in a provisional verdict.
    """
    first = first_look(chest.informative)
    rest = [] if detail == "preview" else remaining(chest.informative, first)
    total = len(first) + len(rest)
    screened: dict[int, ScreenedSlice] = {}
    for slices in batches(first, SLICES_PER_BATCH) + batches(rest, SLICES_PER_BATCH):
        run.tell("slice_network", len(screened), total)
        screened |= _screen_batch(chest, slices, run)
        if len(screened) == len(first) and chest.volume.slice_count > 1:
            run.progress(_provisional(screened, chest, run))
    run.tell("slice_network", total, total)
    return screened


def assess_patient(
    screened: dict[int, ScreenedSlice], chest: Chest, run: Run
) -> tuple[PatientResult, dict[int, float]]:
    """The patient-level network and Eq. 5 beside it; also each slice's weight.

    `screened` are slices `with_neighbours`, be it for a provisional verdict or the final one.
    """
    order = sorted(screened)
    settings = run.bundle.settings.assessment
    scores = run.engine.run_patient(np.stack([screened[k].features for k in order]))
    of_part = settings.slab_temperature if chest.coverage.answer == "softened" else 1.0
    temperature = of_part * settings.temperature
    probabilities = calibrated(scores.logits, temperature)
    p = np.stack([screened[k].probabilities for k in order])
    counted = count_slices(p, settings.healthy_fraction_threshold)
    spread = spread_over_windows(np.stack([screened[k].window_probabilities for k in order]))
    doubts = tuple(message for code, message in chest.warnings if code in DOUBTFUL)
    verdict = decide(probabilities, counted, settings, spread, doubts)
    patient = PatientResult(
        probabilities=ClassProbabilities.of(probabilities),
        predicted=verdict.predicted,
        verdict=verdict.verdict,
        reasons=verdict.reasons,
        nonparametric=counted,
        agreement=verdict.agreement,
        spread_over_windows=spread,
        logits=tuple(map(float, scores.logits)),
        temperature=temperature,
    )
    weights = {k: float(weight) for k, weight in zip(order, scores.weights, strict=True)}
    return patient, weights


def with_neighbours(
    screened: dict[int, ScreenedSlice], chest: Chest, run: Run
) -> dict[int, ScreenedSlice]:
    """P(lesion) and the classes of each slice with a vote of those beside it."""
    order, sigma = sorted(screened), _neighbour_sigma(chest, run.bundle.settings)
    counted = np.isin(np.arange(chest.volume.slice_count), order)
    answers = np.zeros((len(counted), 5), np.float32)
    for k in order:
        answers[k] = screened[k].p_lesion, *screened[k].class_probabilities
    answers = mean_over_neighbours(answers, counted, sigma)
    return {
        k: replace(screened[k], p_lesion=float(answers[k, 0]), class_probabilities=answers[k, 1:])
        for k in order
    }


def localize(
    chest: Chest,
    screened: dict[int, ScreenedSlice],
    patient: PatientResult | None,
    settings: ModelSettings,
) -> Arrays:
    """Maps and labels in the volume's voxels; an unscreened slice borrows the nearest one's."""
    source = {k: screened[nearest_screened(k, list(screened))] for k in chest.informative}
    maps = {k: each.location_map for k, each in source.items()}
    crops = {k: crop for k, crop in enumerate(chest.crops) if crop is not None}
    location = location_volume(maps, crops, chest.lungs, _neighbour_sigma(chest, settings))
    p = np.zeros((chest.volume.slice_count, len(CLASS_KEYS)))
    for k, each in source.items():
        p[k] = each.probabilities
    of_patient = patient.probabilities.as_array() if patient else None
    threshold = settings.localization.threshold
    labels = label_map(location, chest.lungs, p, of_patient, threshold)
    return Arrays(location, labels, chest.lungs)


def _neighbour_sigma(chest: Chest, settings: ModelSettings) -> float:
    """In slices."""
    return settings.assessment.neighbour_sigma_mm / chest.volume.spacing_mm[2]


def _tell(
    progress: Listener, cancelled: Callable[[], bool], step: str, done: int, total: int
) -> None:
    if cancelled():
        raise Cancelled
    progress(Progress(step, done, total))


def _screen_batch(chest: Chest, slices: list[int], run: Run) -> dict[int, ScreenedSlice]:
    windows = len(run.settings.window_centers_hu)
    images = np.concatenate([_images(chest, k, run.settings) for k in slices])
    out = run.engine.run_slices(images)

    def averaged(array: np.ndarray) -> np.ndarray:
        return array.reshape(len(slices), windows, *array.shape[1:]).mean(axis=1)

    p_lesions = calibrated_p_lesion(out.p_lesion, run.bundle.settings.assessment)
    p_lesion, classes = averaged(p_lesions), averaged(out.class_probabilities)
    maps, features = averaged(out.location_map), averaged(out.features)
    # The row of the class that the network itself predicts, as the paper's figures show it.
    own = np.where(out.p_lesion[:, None, None] > 0.5, out.location_map, 1 - out.location_map)
    attention = own.reshape(len(slices), windows, *own.shape[1:])
    p = slice_probabilities(p_lesions, out.class_probabilities).reshape(len(slices), windows, 4)
    return {
        k: ScreenedSlice(float(p_lesion[i]), classes[i], maps[i], features[i], attention[i], p[i])
        for i, k in enumerate(slices)
    }


def _images(chest: Chest, k: int, settings: PreprocessingSettings) -> np.ndarray:
    crop = chest.crops[k]
    assert crop is not None  # only informative slices are scheduled
    return network_input(chest.volume.hu[k], crop, settings)


def _engine_for(bundle: Bundle, device: str, progress: Listener) -> Engine:
    def fall_back() -> None:
        progress(Notice(GPU_MEMORY_RAN_OUT))

    return lasting_engine(bundle, device, fall_back)


def _preprocessing_for(detail: Detail, settings: PreprocessingSettings) -> PreprocessingSettings:
    if detail == "full":
        return settings
    centers = sorted(settings.window_centers_hu)
    return replace(settings, window_centers_hu=(centers[len(centers) // 2],))


def _provisional(screened: dict[int, ScreenedSlice], chest: Chest, run: Run) -> Provisional:
    """What the result would say if these slices were all."""
    patient, _ = assess_patient(with_neighbours(screened, chest, run), chest, run)
    by_key = {key: getattr(patient.probabilities, key) for key in CLASS_KEYS}
    return Provisional(patient.predicted, patient.verdict, by_key, len(screened))


def _warnings(chest: Chest, screened: int, run: Run, detail: Detail) -> tuple[Warning, ...]:
    found = tuple(Warning(code, message) for code, message in chest.warnings)
    if detail == "full":
        return found
    return (*found, Warning("preview", _about_preview(chest, screened, run)))


def _about_preview(chest: Chest, screened: int, run: Run) -> str:
    informative = len(chest.informative)
    windows = len(run.bundle.settings.preprocessing.window_centers_hu)
    # Few slices are all screened; the windows never are.
    between = (
        "Maps and involvement between these slices are those of the nearest one. "
        if screened < informative
        else ""
    )
    return (
        f"This is a preview, and provisional: it looked at {screened} of {informative} slices with "
        f"lung in {len(run.settings.window_centers_hu)} of {windows} display windows, so that "
        f"windows that disagree go unnoticed. {between}Screen with full detail before you rely on "
        "it."
    )


def _slice_results(
    chest: Chest,
    screened: dict[int, ScreenedSlice],
    weights: dict[int, float],
    arrays: Arrays,
) -> tuple[SliceResult, ...]:
    shares = slice_involvement(arrays.lesions, arrays.lungs)
    made = [
        _slice_result(chest, k, screened.get(k), weights.get(k), float(shares[k]))
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
