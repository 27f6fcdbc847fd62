"""Figures of Section IV-B from true and predicted classes, and of location maps.

Classes are indices in the order of classes.py. What a missing class makes impossible is
NaN here; `Training.evaluation` writes it as null with its reason.
"""

import numpy as np
from scipy.stats import mannwhitneyu

HEALTHY = 0


def patient_errors(truth: np.ndarray, called: np.ndarray) -> dict[str, float]:
    """Accuracy and the paper's three errors from class indices `[patients]`.

    `false_positive_error` counts healthy called ill, of the healthy;
    `false_negative_error` and `false_disease_prediction_error` ill called healthy, and
    ill with the wrong disease, both of all the ill. NaN where there is none to count.
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
    """The share of class `index` that is called so; NaN where it is missing."""
    return _share(called[truth == index] == index)


def specificity(truth: np.ndarray, called: np.ndarray, index: int) -> float:
    """The share of the rest that is not called class `index`; NaN where there is no rest."""
    return _share(called[truth != index] != index)


def auc(truth: np.ndarray, scores: np.ndarray) -> float:
    """Area under the ROC curve of `scores` for the bool `truth`; NaN where one side is missing."""
    if truth.all() or not truth.any():
        return float("nan")
    # scikit-learn's roc_auc_score gives the same, but a machine that only trains may lack it.
    pairs = np.count_nonzero(truth) * np.count_nonzero(~truth)
    return float(mannwhitneyu(scores[truth], scores[~truth]).statistic / pairs)


def reliability_bins(
    truth: np.ndarray, probabilities: np.ndarray, bins: int = 15
) -> list[dict[str, float]]:
    """Cases by top probability in `bins` equal intervals (low, high]; empty ones left out.

    Each has `low`, `high`, `count`, `confidence` (mean top probability) and `accuracy`
    (Guo et al., On Calibration of Modern Neural Networks, 2017, Section 2).
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
    """Overlap of two bool masks of one shape; NaN where both are empty."""
    # scikit-learn's f1_score is the same and takes seconds for a volume.
    voxels = int(truth.sum()) + int(found.sum())
    return 2 * int((truth & found).sum()) / voxels if voxels else float("nan")


def pointing_game(truth: np.ndarray, location: np.ndarray) -> float:
    """The share of slices with lesion whose highest map value lies in the lesion.

    `truth` bool and `location` `[slice, row, column]`; of equal maxima the first counts
    (Zhang et al., Top-down Neural Attention by Excitation Backprop, 2016). NaN without lesion.
    """
    with_lesion = np.flatnonzero(truth.any(axis=(1, 2)))
    hits = [truth[k].flat[location[k].argmax()] for k in with_lesion]
    return _share(np.array(hits, bool))


def _share(hits: np.ndarray) -> float:
    return float(hits.mean()) if len(hits) else float("nan")
