"""The patient level of a screening: the network's verdict, and Eq. 5 beside it."""

import numpy as np

from M3LungScreenLib.assessment import calibrated, count_slices, decide, spread_over_windows
from M3LungScreenLib.chest import Chest
from M3LungScreenLib.classes import CLASS_KEYS
from M3LungScreenLib.events import Provisional
from M3LungScreenLib.result import ClassProbabilities, PatientResult
from M3LungScreenLib.screening_run import Run
from M3LungScreenLib.slice_averaging import ScreenedSlice, with_neighbours
from M3LungScreenLib.suitability import DOUBTFUL


def assess_patient(
    screened: dict[int, ScreenedSlice], chest: Chest, run: Run
) -> tuple[PatientResult, dict[int, float]]:
    """The patient's result, and each slice's attention weight by axial index.

    `screened` are slices already averaged `with_neighbours`.
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


def provisional(screened: dict[int, ScreenedSlice], chest: Chest, run: Run) -> Provisional:
    """The verdict from the slices screened so far, not yet averaged with their neighbors."""
    sigma = run.neighbour_sigma(chest)
    averaged = with_neighbours(screened, chest.volume.slice_count, sigma)
    patient, _ = assess_patient(averaged, chest, run)
    by_key = {key: getattr(patient.probabilities, key) for key in CLASS_KEYS}
    return Provisional(patient.predicted, patient.verdict, by_key, len(screened))
