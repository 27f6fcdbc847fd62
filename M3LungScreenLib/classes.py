"""The four classes: order, keys, names and colors.

Indices 0 to 3 (Healthy, COVID-19, H1N1, CAP) are used in every probability vector and as
values of the label map.
"""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class PatientClass:
    """One of the four answers of the screening.

    `key` is the name in result.json, `name` the one in data sets and figures,
    `verdict` the wording for clinicians, `color` an sRGB hex value of the
    colour-blind-safe palette of Okabe and Ito, `code` the finding in DICOM and in Slicer.
    """

    index: int
    key: str
    name: str
    verdict: str
    color: str
    code: "Code"


@dataclass(frozen=True)
class Code:
    """A coded concept: `scheme` is a DICOM coding scheme designator, SCT for SNOMED CT."""

    value: str
    scheme: str
    meaning: str


CATEGORY: Final = Code("64572001", "SCT", "Disease")
LUNG: Final = Code("39607008", "SCT", "Lung")
CLASSES: Final = (
    PatientClass(
        0,
        "healthy",
        "Healthy",
        "no pneumonia pattern found",
        "#009E73",
        Code("17621005", "SCT", "Normal"),
    ),
    PatientClass(
        1,
        "covid19",
        "COVID-19",
        "pattern of COVID-19 pneumonia",
        "#D55E00",
        Code("840539006", "SCT", "COVID-19"),
    ),
    PatientClass(
        2,
        "h1n1",
        "H1N1",
        "pattern of H1N1 influenza pneumonia",
        "#56B4E9",
        Code("442696006", "SCT", "Influenza caused by Influenza A virus subtype H1N1"),
    ),
    PatientClass(
        3,
        "cap",
        "CAP",
        "pattern of community-acquired pneumonia",
        "#CC79A7",
        Code("385093006", "SCT", "Community acquired pneumonia"),
    ),
)
CLASS_KEYS: Final = tuple(each.key for each in CLASSES)
INDETERMINATE: Final = "indeterminate"


def class_by_key(key: str) -> PatientClass:
    """The class whose result.json key is `key`; KeyError names the four."""
    for each in CLASSES:
        if each.key == key:
            return each
    raise KeyError(f"{key!r} is none of {', '.join(CLASS_KEYS)}")
