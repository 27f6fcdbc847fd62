"""Cases excluded from a data set, and why (paper, Section II-B, Figure 2)."""

from collections.abc import Iterable
from dataclasses import dataclass

from M3LungScreenLib.errors import UsageError
from Training.datasets.examination import Examined
from Training.datasets.index_file import HEALTHY, Case

UNFIT = "not a usable chest CT"
NO_LESION = "pneumonia, but no slice with a lesion"
SECOND = "another exam of the same patient"
CONTROL = "no pneumonia, but not healthy"


@dataclass(frozen=True)
class Excluded:
    """One excluded exam; `reason` is one of this module's, `detail` is specific to the case."""

    case: Case
    reason: str
    detail: str = ""


def exclude(
    examined: Iterable[Examined], controls: str = ""
) -> tuple[list[Examined], list[Excluded]]:
    """Included and excluded cases; of each patient the first usable exam is included.

    `controls` says what Healthy patients have instead of pneumonia; empty if nothing. Raises
    UsageError for a patient with two classes.
    """
    kept: dict[str, Examined] = {}
    excluded = []
    for each in examined:
        reason, detail = _unfit(each, controls)
        if not reason and each.case.case_id in kept:
            _check_class(kept[each.case.case_id].case, each.case)
            reason, detail = SECOND, str(each.case.path)
        if reason:
            excluded.append(Excluded(each.case, reason, detail))
        else:
            kept[each.case.case_id] = each
    return list(kept.values()), excluded


def is_control(case: Case, controls: str) -> bool:
    """Whether a case is called Healthy, but has another disease, as `controls` says."""
    return case.patient_class == HEALTHY and bool(controls)


def _unfit(examined: Examined, controls: str) -> tuple[str, str]:
    case = examined.case
    if is_control(case, controls):
        return f"{CONTROL} ({controls})", ""
    if examined.refusal is not None:
        return UNFIT, examined.refusal
    if case.patient_class != HEALTHY and case.slice_labels and not any(case.slice_labels):
        return NO_LESION, ""
    return "", ""


def _check_class(first: Case, second: Case) -> None:
    if first.patient_class != second.patient_class:
        raise UsageError(
            "two_classes",
            f"{first.case_id} is {first.patient_class} in {first.path} and "
            f"{second.patient_class} in {second.path}. Rename one of them, or remove it.",
        )
