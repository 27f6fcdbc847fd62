"""Figures of Section IV-B from true and predicted classes."""

import numpy as np


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
        "false_negative_error": _share(called[ill] == 0),
        "false_disease_prediction_error": _share(wrong_disease[ill]),
    }


def _share(hits: np.ndarray) -> float:
    return float(hits.mean()) if len(hits) else float("nan")
