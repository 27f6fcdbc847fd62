"""MIDRC-RICORD: chest CT of patients tested positive (1A) and negative (1B) for COVID-19.

MIDRC-RICORD-1A/<patient>/<study>/<series>/1-001.dcm
MIDRC-RICORD-1a_annotations_labelgroup_all_2020-Dec-8.json   beside it: the readers' outlines
"""

import json
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from M3LungScreenLib.dicom.found import find_scans
from M3LungScreenLib.dicom.scan import Scan
from M3LungScreenLib.errors import UsageError
from Training.datasets.dataset import Dataset
from Training.datasets.index_file import Case
from Training.datasets.tcia import ct_cases

LICENCE = "CC BY-NC 4.0"
CITATION = "Tsai E. B. et al., MIDRC-RICORD Release {release}, TCIA ({year}), doi {doi}"
# 'Atelectasis' and what is 'noninfectious' are outlined, too, and are no pneumonia.
LESIONS = ("Infectious opacity", "Infectious TIB/micronodules", "Infectious cavity")
NO_PNEUMONIA = "Negative for pneumonia"


@dataclass(frozen=True)
class Outlines:
    """SOP instance UIDs of slices with a lesion by series, and studies read as without one."""

    slices: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    negative: set[str] = field(default_factory=set)


def positive_cases(folder: Path) -> Iterator[Case]:
    """Every CT study of release 1A: COVID-19, with slice labels where the outlines are there."""
    outlines = read_outlines(folder)
    for case in ct_cases(folder, "MIDRC-RICORD-1A", "COVID-19"):
        yield _labelled(case, outlines)


def negative_cases(folder: Path) -> Iterator[Case]:
    """Every CT study of release 1B, as controls."""
    return ct_cases(folder, "MIDRC-RICORD-1B", "Healthy")


def read_outlines(folder: Path) -> Outlines:
    """What the readers drew (MD.ai's export), from a file in `folder` or beside it; or nothing.

    UsageError where the file is damaged.
    """
    found = [path for each in (folder, folder.parent) for path in each.glob("*RICORD-1a*.json")]
    outlines = Outlines()
    if not found:
        return outlines
    told = _json_of(found[0])
    names = {each["id"]: each["name"] for group in told["labelGroups"] for each in group["labels"]}
    for each in (mark for part in told["datasets"] for mark in part["annotations"]):
        name = names.get(each["labelId"], "")
        if name in LESIONS and each.get("data"):
            outlines.slices[each["SeriesInstanceUID"]].add(each["SOPInstanceUID"])
        elif name == NO_PNEUMONIA:
            outlines.negative.add(each["StudyInstanceUID"])
    return outlines


def _json_of(path: Path) -> Any:
    try:
        return json.loads(path.read_text("utf-8"))
    except ValueError:
        raise UsageError("outlines", f"{path} is damaged. Fetch it again.") from None


def _labelled(case: Case, outlines: Outlines) -> Case:
    """The series that was outlined, not the longest one, with its labels from feet to head."""
    if not outlines.slices and not outlines.negative:
        return case
    found = [each for each in find_scans(case.path) if each.flaw is None]
    outlined = next((each for each in found if each.uid in outlines.slices), None)
    if outlined is not None:
        labels = _labels(outlined, outlines.slices[outlined.uid])
        return replace(case, path=outlined.first.path.parent, slice_labels=labels)
    if found and found[0].first.study_uid in outlines.negative:
        return replace(case, slice_labels=(0,) * len(found[0].frames))
    return case


def _labels(scan: Scan, marked: set[str]) -> tuple[int, ...]:
    return tuple(int(each.sop_uid in marked) for each in scan.from_feet)


RICORD_1A = Dataset(
    name="ricord-1a",
    licence=LICENCE,
    citation=CITATION.format(release="1A", year=2020, doi="10.7937/VTW4-X588"),
    cases=positive_cases,
    notes=(
        "patients have several exams; the first by name that is fit counts",
        "with the annotations' .json beside the images slices outlined as infectious are labelled "
        "1, the others 0, and exams read as negative for pneumonia are left out",
    ),
)
RICORD_1B = Dataset(
    name="ricord-1b",
    licence=LICENCE,
    citation=CITATION.format(release="1B", year=2021, doi="10.7937/31V8-4A40"),
    cases=negative_cases,
    controls="a negative test; opacities of other causes are among them",
)
