"""Who is left out before anything is counted, and why (paper, section II-B, Figure 2)."""

from collections.abc import Iterable
from dataclasses import dataclass

from M3LungScreenLib.errors import UsageError
from Training.datasets.examination import Examined
from Training.datasets.index_file import HEALTHY, Case

UNFIT = "no chest CT that can be used"
NO_LESION = "ill, but no slice with a lesion"
SECOND = "second exam of a patient"
CONTROL = "no pneumonia, but not healthy"


@dataclass(frozen=True)
class Excluded:
    """One exam that was left out; `reason` is one of this file's, `detail` the case's own."""

    case: Case
    reason: str
    detail: str = ""


def exclude(
    examined: Iterable[Examined], controls: str = ""
) -> tuple[list[Examined], list[Excluded]]:
    """Those who count, and those who don't; the first exam that is fit counts for a patient.

    `controls` says why patients called Healthy are none; empty if they are. Raises
    UsageError where a patient has two classes.
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
    """Whether a case called Healthy has something else, as `controls` says."""
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
            f"{second.patient_class} in {second.path}. Rename one, or take it out.",
        )
