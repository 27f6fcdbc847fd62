"""metrics.json: every figure with its interval, or null with its reason."""

import math
from dataclasses import asdict
from typing import Any

import numpy as np
from sklearn.metrics import confusion_matrix

from M3LungScreenLib.bundle import Bundle
from M3LungScreenLib.classes import CLASSES, INDETERMINATE
from Training.evaluation.bootstrap import RESAMPLES, Figure, Statistic, figure, paired_p
from Training.evaluation.metrics import (
    auc,
    expected_calibration_error,
    patient_errors,
    reliability_bins,
    sensitivity,
    specificity,
)
from Training.evaluation.screened import ScreenedCase

ERRORS = {
    "accuracy": "no patient",
    "false_positive_error": "no Healthy patient",
    "false_negative_error": "no ill patient",
    "false_disease_prediction_error": "no ill patient",
}
MAPS = ("dice", "pixel_auc", "pointing_game")


def summarise(cases: list[ScreenedCase], bundle: Bundle, split: str | None) -> dict[str, Any]:
    """All figures of `cases` as plain values."""
    used = [each for each in cases if each.refusal is None]
    truth = np.array([each.truth for each in used], int)
    return {
        "model": {"name": bundle.name, "version": bundle.version, "sha256": bundle.sha256},
        "split": split,
        "resamples": RESAMPLES,
        "cases": {
            "used": len(used),
            "of_each_class": {e.key: int((truth == e.index).sum()) for e in CLASSES},
            "refused": {each.case_id: each.refusal for each in cases if each.refusal},
            "notes": {each.case_id: list(each.notes) for each in used if each.notes},
        },
        "patient": _patients(truth, scores_of(used), _of(used, "predicted")),
        "count_of_slices": _patients(truth, counts_of(used), _of(used, "counted")),
        "network_against_count": _comparison(used, truth),
        "indeterminate": _indeterminate(used, truth),
        "calibration": _calibration(used, truth),
        "slice": _slices(used),
        "maps": _maps(used),
    }


def scores_of(used: list[ScreenedCase]) -> np.ndarray:
    """The patient-level network's probabilities, `[patients, 4]`."""
    return np.array([each.probabilities for each in used]).reshape(-1, 4)


def counts_of(used: list[ScreenedCase]) -> np.ndarray:
    """Eq. 5's scores, `[patients, 4]`."""
    return np.array([each.slice_counts for each in used]).reshape(-1, 4)


def slice_truth(case: ScreenedCase) -> np.ndarray:
    """Class index of each annotated slice: the patient's where it has a lesion, else Healthy."""
    return case.truth * np.array(case.slice_labels, int)


def annotated(used: list[ScreenedCase]) -> list[ScreenedCase]:
    return [each for each in used if each.slice_labels is not None]


def _of(used: list[ScreenedCase], name: str) -> np.ndarray:
    return np.array([getattr(each, name) for each in used], int)


def _patients(truth: np.ndarray, scores: np.ndarray, called: np.ndarray) -> dict[str, Any]:
    def error(name: str) -> Statistic:
        return lambda who: patient_errors(truth[who], called[who])[name]

    count, ill = len(truth), int((truth > 0).sum())
    group = dict.fromkeys(ERRORS, ill) | {"accuracy": count, "false_positive_error": count - ill}
    return {
        **{name: _plain(error(name), count, why, group[name]) for name, why in ERRORS.items()},
        "of_each_class": {e.key: _class_figures(truth, scores, called, e.index) for e in CLASSES},
        "confusion": _confusion(truth, called),
    }


def _confusion(truth: np.ndarray, called: np.ndarray) -> list[list[int]]:
    """Patients by true class (rows) and predicted class (columns)."""
    # scikit-learn refuses empty input.
    empty = np.zeros((len(CLASSES), len(CLASSES)), int)
    found = confusion_matrix(truth, called, labels=range(len(CLASSES))) if len(truth) else empty
    return [list(map(int, row)) for row in found]


def _class_figures(
    truth: np.ndarray, scores: np.ndarray, called: np.ndarray, index: int
) -> dict[str, Any]:
    count, name, is_one = len(truth), CLASSES[index].name, truth == index
    ones, rest = int(is_one.sum()), int((~is_one).sum())
    return {
        "sensitivity": _plain(
            lambda who: sensitivity(truth[who], called[who], index),
            count,
            f"no {name} patient",
            ones,
        ),
        "specificity": _plain(
            lambda who: specificity(truth[who], called[who], index),
            count,
            f"no patient other than {name}",
            rest,
        ),
        "auc": _plain(
            lambda who: auc(is_one[who], scores[who, index]),
            count,
            _one_sided(is_one, name),
            min(ones, rest),
        ),
    }


def _one_sided(is_one: np.ndarray, name: str, what: str = "patient") -> str:
    return f"no {what} other than {name}" if is_one.any() else f"no {name} {what}"


def _comparison(used: list[ScreenedCase], truth: np.ndarray) -> dict[str, Any]:
    """Paired p-values of the network's errors against those of the count of slices."""
    network, count = _of(used, "predicted"), _of(used, "counted")

    def difference(name: str) -> Statistic:
        return lambda who: (
            patient_errors(truth[who], network[who])[name]
            - patient_errors(truth[who], count[who])[name]
        )

    return {f"p_{name}": asdict(paired_p(difference(name), len(used))) for name in ERRORS}


def _indeterminate(used: list[ScreenedCase], truth: np.ndarray) -> dict[str, Any]:
    decided = np.array([each.verdict != INDETERMINATE for each in used], bool)
    right = _of(used, "predicted") == truth
    return {
        "coverage": _plain(lambda who: float(decided[who].mean()), len(used), "no patient"),
        "accuracy_of_decided": _plain(
            lambda who: _mean(right[who][decided[who]]), len(used), "no patient with a verdict"
        ),
    }


def _calibration(used: list[ScreenedCase], truth: np.ndarray) -> dict[str, Any]:
    p = scores_of(used)
    return {
        "ece": _plain(
            lambda who: expected_calibration_error(truth[who], p[who]), len(used), "no patient"
        ),
        "bins": reliability_bins(truth, p) if used else [],
    }


def _slices(used: list[ScreenedCase]) -> dict[str, Any]:
    """AUC over annotated slices; patients are resampled with all their slices."""
    having = annotated(used)
    truths = [slice_truth(each) for each in having]
    scores = [np.array(each.slices) for each in having]
    lesions = [np.array(each.slice_labels) > 0 for each in having]
    p_lesion = [np.array(each.p_lesion) for each in having]
    whole = np.concatenate(truths) if truths else np.zeros(0, int)

    def class_auc(index: int) -> Figure:
        why = _one_sided(whole == index, CLASSES[index].name, "annotated slice")
        return figure(
            lambda who: auc(_join(truths, who) == index, _join(scores, who)[:, index]),
            len(having),
            why,
        )

    lesion = figure(
        lambda who: auc(_join(lesions, who), _join(p_lesion, who)),
        len(having),
        "the annotated slices all have a lesion, or none has",
    )
    return {
        "patients": len(having),
        "slices": len(whole),
        "auc": {each.key: asdict(class_auc(each.index)) for each in CLASSES},
        "lesion_auc": asdict(lesion),
    }


def _maps(used: list[ScreenedCase]) -> dict[str, Any]:
    return {
        each.key: _class_maps([case for case in used if case.map and case.truth == each.index])
        for each in CLASSES[1:]
    }


def _class_maps(cases: list[ScreenedCase]) -> dict[str, Any]:
    made: dict[str, Any] = {"patients": len(cases)}
    for name in MAPS:
        values = [getattr(each.map, name) for each in cases]
        known = np.array([each for each in values if each is not None])
        made[name] = _plain(
            lambda who, known=known: _mean(known[who]),  # type: ignore[misc]
            len(known),
            "no truth mask contains a lesion",
        )
    return made


def _join(parts: list[np.ndarray], who: np.ndarray) -> np.ndarray:
    return np.concatenate([parts[each] for each in who])


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if len(values) else math.nan


def _plain(
    statistic: Statistic, patients: int, missing: str, smallest: int | None = None
) -> dict[str, Any]:
    return asdict(figure(statistic, patients, missing, smallest))
