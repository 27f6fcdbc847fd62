"""Coded concepts of the DICOM objects: SNOMED CT and DCM where they exist, else a private scheme.

The codes of the four classes are in `classes.py`.
"""

from highdicom.sr import CodedConcept

from M3LungScreenLib.classes import INDETERMINATE, Code, class_by_key

PRIVATE_SCHEME = "99M3LUNGSCREEN"
RIGHT_LUNG = Code("3341006", "SCT", "Right lung")
LEFT_LUNG = Code("44029006", "SCT", "Left lung")
CT_OF_CHEST = Code("169069000", "SCT", "Computed tomography of chest")
VOLUME = Code("118565006", "SCT", "Volume")
INDETERMINATE_CODE = Code("82334004", "SCT", "Indeterminate")
RATIO = Code("1", "UCUM", "no units")
MILLILITER = Code("mL", "UCUM", "mL")


def concept(code: Code) -> CodedConcept:
    """The code as highdicom uses it."""
    return CodedConcept(code.value, code.scheme, code.meaning)


def private(value: str, meaning: str) -> CodedConcept:
    """A concept without a public code; `value` has at most 16 characters."""
    return CodedConcept(value, PRIVATE_SCHEME, meaning)


def class_concept(key: str) -> CodedConcept:
    """The finding for a class key or 'indeterminate'."""
    return concept(INDETERMINATE_CODE if key == INDETERMINATE else class_by_key(key).code)
