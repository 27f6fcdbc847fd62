"""What comes from The Cancer Imaging Archive: collection, patient, study, series.

MIDRC-RICORD-1A/MIDRC-RICORD-1A-419639-000082/<study>/<series>/1-001.dcm
"""

from collections.abc import Iterator
from pathlib import Path

from M3LungScreenLib.dicom.fitness import is_ct
from M3LungScreenLib.dicom.frames import Frame, look_at
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
    firsts = (_first_frames(each) for each in subfolders(study))
    return any(is_ct(frames[0]) for frames in firsts if frames)


def _first_frames(series: Path) -> list[Frame]:
    seen = map(look_at, dicom_files(series))
    return next((each for each in seen if isinstance(each, list)), [])
