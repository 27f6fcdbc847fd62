"""The coded terms of the segments: those of the library's classes, as Slicer's terminology."""

from __future__ import annotations

from typing import Any

from ..library import MODULE_FOLDER

TERMINOLOGY_FILE = MODULE_FOLDER / "Resources" / "Terminologies" / "M3LungScreen.term.json"
CONTEXT = "Segmentation category and type - M3LungScreen"
# Slicer's own list, which has the lung.
REGION_CONTEXT = "Anatomic codes - DICOM master list"


def load_terminology(logic: Any) -> None:
    """Make Slicer know the terms; `logic` is that of its Terminologies module."""
    logic.LoadTerminologyFromFile(str(TERMINOLOGY_FILE))


def entry_of(key: str) -> str:
    """Slicer's entry for a class: context, category, type, modifier; the same of the region."""
    from M3LungScreenLib.classes import CATEGORY, LUNG, class_by_key

    category, disease, region = (
        f"{each.scheme}^{each.value}^{each.meaning}"
        for each in (CATEGORY, class_by_key(key).code, LUNG)
    )
    return "~".join([CONTEXT, category, disease, "^^", REGION_CONTEXT, region, "^^"])
