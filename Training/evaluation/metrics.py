"""Metrics of Section IV-B for classes and for location maps.

Classes are indices in the order of classes.py. A metric that a missing class makes undefined is
NaN here; `Training.evaluation` writes it as null with its reason.
"""

import numpy as np
from scipy.stats import mannwhitneyu

HEALTHY = 0


def patient_errors(truth: np.ndarray, called: np.ndarray) -> dict[str, float]:
    """Accuracy and the paper's three errors from class indices `[patients]`.

    `false_positive_error` is the share of healthy patients predicted to have a disease;
    `false_negative_error` and `false_disease_prediction_error` are the shares of patients with
    disease predicted healthy, and with the wrong disease. NaN without such patients.
    """
    ill = truth > 0
    wrong_disease = (called > 0) & (called != truth)
    return {
        "accuracy": _share(called == truth),
        "false_positive_error": _share(called[~ill] > 0),
        "false_negative_error": _share(called[ill] == HEALTHY),
        "false_disease_prediction_error": _share(wrong_disease[ill]),
    }


def sensitivity(truth: np.ndarray, called: np.ndarray, index: int) -> float:
    """The share of class `index` that is predicted correctly; NaN if it is missing."""
    return _share(called[truth == index] == index)


def specificity(truth: np.ndarray, called: np.ndarray, index: int) -> float:
    """The share of the other classes not predicted as `index`; NaN if there are none."""
    return _share(called[truth != index] != index)


def auc(truth: np.ndarray, scores: np.ndarray) -> float:
    """Area under the ROC curve of `scores` for the bool `truth`; NaN if a side is missing."""
    if truth.all() or not truth.any():
        return float("nan")
    # scikit-learn's roc_auc_score gives the same, but a machine that only trains may lack it.
    pairs = np.count_nonzero(truth) * np.count_nonzero(~truth)
    return float(mannwhitneyu(scores[truth], scores[~truth]).statistic / pairs)


def reliability_bins(
    truth: np.ndarray, probabilities: np.ndarray, bins: int = 15
) -> list[dict[str, float]]:
    """Cases by top probability in `bins` equal intervals (low, high], without empty ones.

    Each has `low`, `high`, `count`, `confidence` (mean top probability) and `accuracy` (Guo et al.,
    On Calibration of Modern Neural Networks, 2017, Section 2).
    """
    top, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == truth
    place = np.clip(np.ceil(top * bins).astype(int) - 1, 0, bins - 1)
    return [
        {
            "low": each / bins,
            "high": (each + 1) / bins,
            "count": int((place == each).sum()),
            "confidence": float(top[place == each].mean()),
            "accuracy": float(right[place == each].mean()),
        }
        for each in np.unique(place)
    ]


def expected_calibration_error(
    truth: np.ndarray, probabilities: np.ndarray, bins: int = 15
) -> float:
    """Mean distance of confidence and accuracy over the bins, by cases; NaN without cases."""
    if not len(truth):
        return float("nan")
    # torchmetrics has the ECE but not the bins of the reliability diagram, which are needed anyway.
    gaps = [
        each["count"] * abs(each["confidence"] - each["accuracy"])
        for each in reliability_bins(truth, probabilities, bins)
    ]
    return float(sum(gaps) / len(truth))


def dice(truth: np.ndarray, found: np.ndarray) -> float:
    """Dice coefficient of two bool masks of one shape; NaN if both are empty."""
    # scikit-learn's f1_score is equal, but takes seconds for a volume.
    voxels = int(truth.sum()) + int(found.sum())
    return 2 * int((truth & found).sum()) / voxels if voxels else float("nan")


def pointing_game(truth: np.ndarray, location: np.ndarray) -> float:
    """The share of slices with lesion whose map maximum lies in the lesion.

    `truth` bool and `location` `[slice, row, column]`; of several maxima the first counts (Zhang et
    al., Top-down Neural Attention by Excitation Backprop, 2016). NaN without lesion.
    """
    with_lesion = np.flatnonzero(truth.any(axis=(1, 2)))
    hits = [truth[k].flat[location[k].argmax()] for k in with_lesion]
    return _share(np.array(hits, bool))


def _share(hits: np.ndarray) -> float:
    return float(hits.mean()) if len(hits) else float("nan")
