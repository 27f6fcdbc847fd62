"""The files of a CT in Slicer's DICOM database, and new objects beside them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import slicer

INSTANCES = "DICOM.instanceUIDs"  # set by Slicer on volumes that it loaded from the database
INSTANCE_UID = "0008,0018"


def database() -> Any:
    """Slicer's DICOM database; None while it is not open."""
    found = getattr(slicer, "dicomDatabase", None)
    return found if found is not None and found.isOpen else None


def instances_of(volume: Any) -> list[str]:
    """The instance UIDs of the images that a volume was loaded from; [] for other volumes."""
    return (volume.GetAttribute(INSTANCES) or "").split() if volume is not None else []


def files_of(volume: Any) -> list[Path]:
    """The files of `instances_of` that are there."""
    if database() is None:
        return []
    named = [database().fileForInstance(uid) for uid in instances_of(volume)]
    return [Path(each) for each in named if each and Path(each).is_file()]


def add_to_database(folder: Path) -> bool:
    """Copy the DICOM files of `folder` into the database; whether all are there afterwards."""
    from DICOMLib import DICOMUtils

    DICOMUtils.importDicom(str(folder), database(), copyFiles=True)
    uids = [database().fileValue(str(each), INSTANCE_UID) for each in folder.iterdir()]
    return all(uid and database().fileForInstance(uid) for uid in uids)
