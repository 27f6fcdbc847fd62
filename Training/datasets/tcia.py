"""What comes from The Cancer Imaging Archive: collection, patient, study, series.

MIDRC-RICORD-1A/MIDRC-RICORD-1A-419639-000082/<study>/<series>/1-001.dcm
"""

from collections.abc import Iterator
from pathlib import Path

from M3LungScreenLib.dicom.series import read_header
from Training.datasets.dataset import subfolders, wrong_layout
from Training.datasets.headers import dicom_files, dicom_person
from Training.datasets.index_file import Case


def ct_cases(folder: Path, collection: str, patient_class: str) -> Iterator[Case]:
    """A case for each study that has a CT series; radiographs of the same patients are no CT.

    `folder` is the collection's, the one that holds it, or the one that holds the archive's
    downloads. Raises UsageError where no patient of `collection` is there.
    """
    inner = [*folder.glob(collection), *sorted(folder.glob(f"manifest-*/{collection}"))]
    patients = [
        patient
        for each in inner or [folder]
        for patient in subfolders(each)
        if patient.name.startswith(f"{collection}-")
    ]
    if not patients:
        raise wrong_layout(collection, folder, f"it has no folder {collection}-0001 or such")
    for patient in patients:
        for study in filter(_has_ct, subfolders(patient)):
            age, sex = dicom_person(study)
            yield Case(patient.name, study, patient_class, age=age, sex=sex)


def _has_ct(study: Path) -> bool:
    """By one file a series, the first whose header can be read."""
    headers = (map(read_header, dicom_files(each)) for each in subfolders(study))
    firsts = (next(filter(None, each), None) for each in headers)
    return any(first is not None and first.modality == "CT" for first in firsts)
