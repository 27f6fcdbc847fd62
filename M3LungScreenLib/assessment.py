"""From network outputs to a verdict: Eq. 4, Eq. 5, calibration and 'indeterminate'."""

import math
from dataclasses import dataclass

import numpy as np
from scipy.special import expit, logit, softmax

from M3LungScreenLib.classes import CLASS_KEYS, CLASSES, INDETERMINATE
from M3LungScreenLib.settings import AssessmentSettings

HEALTHY = 0


@dataclass(frozen=True)
class Nonparametric:
    """Eq. 5: the class by counting slices, the healthy fraction N0/N, and the counts by class."""

    predicted: str
    healthy_fraction: float
    counts: dict[str, int]


@dataclass(frozen=True)
class Verdict:
    """`verdict` is `predicted`, or 'indeterminate' for the `reasons` given."""

    predicted: str
    verdict: str
    reasons: tuple[str, ...]
    agreement: bool


def slice_probabilities(p_lesion: np.ndarray, class_probabilities: np.ndarray) -> np.ndarray:
    """Eq. 4: four probabilities `[N, 4]` from P_lesion `[N]` and P_multi-class `[N, 4]`."""
    p = p_lesion[:, None] * class_probabilities
    p[:, HEALTHY] += 1.0 - p_lesion
    return p


def calibrated_p_lesion(p_lesion: np.ndarray, settings: AssessmentSettings) -> np.ndarray:
    """P(lesion) of any shape after Platt scaling of the lesion head's logits."""
    logits = settings.lesion_logit_scale * logit(np.asarray(p_lesion, np.float64))
    return np.asarray(expit(logits + settings.lesion_logit_offset))


def count_slices(probabilities: np.ndarray, healthy_fraction_threshold: float) -> Nonparametric:
    """Eq. 5 over the slices' Eq. 4 probabilities `[N, 4]`, N at least 1.

    Healthy only if N0/N is strictly above the threshold; a tie between diseases goes to
    the first. A slice with several equal maxima counts for each of them (δ as in the paper).
    """
    is_top = probabilities == probabilities.max(axis=1, keepdims=True)
    counts = is_top.sum(axis=0)
    healthy_fraction = float(counts[HEALTHY] / len(probabilities))
    disease = 1 + int(counts[1:].argmax())
    predicted = HEALTHY if healthy_fraction > healthy_fraction_threshold else disease
    by_key = {key: int(count) for key, count in zip(CLASS_KEYS, counts, strict=True)}
    return Nonparametric(CLASS_KEYS[predicted], healthy_fraction, by_key)


def calibrated(logits: np.ndarray, temperature: float) -> np.ndarray:
    """Softmax of `logits / temperature` over the last axis (temperature scaling)."""
    return np.asarray(softmax(np.asarray(logits, np.float64) / temperature, axis=-1))


def spread_over_windows(probabilities: np.ndarray) -> float:
    """How much the display windows disagree, from Eq. 4 of N slices in W windows `[N, W, 4]`.

    The largest difference, for any class, between two windows' means over the slices.
    """
    spread = np.ptp(probabilities.mean(axis=0), axis=0).max()
    return min(1.0, float(spread))  # float32 may sum to a hair over 1


def decide(
    probabilities: np.ndarray,
    counted: Nonparametric,
    settings: AssessmentSettings,
    spread: float = 0.0,
    doubts: tuple[str, ...] = (),
) -> Verdict:
    """The patient's verdict from four calibrated probabilities and Eq. 5 beside them.

    `spread` is `spread_over_windows`; `doubts` are reasons why this input allows no verdict.
    """
    top = int(probabilities.argmax())
    predicted = CLASS_KEYS[top]
    agreement = counted.predicted == predicted
    reasons = (
        *doubts,
        *_doubts(float(probabilities[top]), predicted, counted, settings),
        *_doubt_of_windows(spread, settings.maximum_spread_over_windows),
    )
    return Verdict(predicted, INDETERMINATE if reasons else predicted, reasons, agreement)


def _doubts(
    top_probability: float, predicted: str, counted: Nonparametric, settings: AssessmentSettings
) -> tuple[str, ...]:
    names = {each.key: each.name for each in CLASSES}
    if top_probability < settings.minimum_top_probability:
        return (
            f"{names[predicted]} is most likely ({_floor(top_probability)} %), below the "
            f"{_ceil(settings.minimum_top_probability)} % this model needs for a verdict.",
        )
    minimum = settings.minimum_top_probability_on_disagreement
    if counted.predicted != predicted and top_probability < minimum:
        return (
            f"The patient-level network says {names[predicted]} ({_floor(top_probability)} %), but "
            f"the count of slices says {names[counted.predicted]}. When the two disagree, this "
            f"model needs {_ceil(minimum)} % for a verdict.",
        )
    return ()


def _doubt_of_windows(spread: float, maximum: float | None) -> tuple[str, ...]:
    if maximum is None or spread <= maximum:
        return ()
    return (
        f"The result depends on the display window: it varies by {_ceil(spread)} points "
        f"(limit {_floor(maximum)}).",
    )


def _floor(share: float) -> str:
    """Percent, rounded down: a value below a limit never reads like the limit."""
    return f"{math.floor(round(1000 * share, 6)) / 10:.1f}"


def _ceil(share: float) -> str:
    return f"{math.ceil(round(1000 * share, 6)) / 10:.1f}"
