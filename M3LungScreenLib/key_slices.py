"""Which slices to show first, in report, pictures and Slicer alike."""

from collections.abc import Mapping, Sequence
from typing import Any

# Neighbors look alike, so the slices shown are at least a tenth of the screened slices apart.
APART = 0.1


def most_telling_slices(content: Mapping[str, Any], count: int = 1) -> list[int]:
    """`index` of up to `count` screened slices, the most informative first.

    `content` is the content of result.json (`patient` and `slices`). If the most likely class is
    a disease, slices rank by their probability of that disease times the involved fraction of
    their lung; if it is Healthy, by P(lesion). Two slices are at least APART of the screened
    slices apart. Empty if no slice was screened.
    """
    screened = [each for each in content["slices"] if each["probabilities"]]
    predicted = _likeliest(content["patient"], screened)
    gap = max(1, round(APART * len(screened)))
    chosen: list[int] = []
    for each in sorted(screened, key=lambda one: _telling(one, predicted), reverse=True):
        if len(chosen) < count and all(abs(each["index"] - other) >= gap for other in chosen):
            chosen.append(each["index"])
    return chosen


def _likeliest(
    patient: Mapping[str, Any] | None, screened: Sequence[Mapping[str, Any]]
) -> str | None:
    """The key of the most likely class of the patient or single slice."""
    if patient:
        return str(patient["predicted"])
    return next((str(each["predicted"]) for each in screened), None)


def _telling(one: Mapping[str, Any], predicted: str | None) -> tuple[float, float, float]:
    """The sort key of a slice; of equal slices, the lower one in the body comes first."""
    downwards = -float(one["position_mm"][2])
    if predicted in (None, "healthy"):
        return float(one["p_lesion"]), 0.0, downwards
    p = float(one["probabilities"][predicted])
    return p * float(one["involvement"] or 0.0), p, downwards
