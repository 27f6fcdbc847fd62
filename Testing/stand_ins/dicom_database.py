"""`slicer.dicomDatabase` and `DICOMLib`, as much as 'Save as DICOM' needs."""

import shutil
from collections.abc import Iterable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from pydicom import dcmread


class DicomDatabase:
    """Files by instance UID; imported files are copied into `folder`."""

    isOpen = True  # noqa: N815

    def __init__(self, folder: Path, files: Iterable[Path] = ()) -> None:
        folder.mkdir()
        self._folder = folder
        self.accepts = True
        self.paths = {dcmread(each).SOPInstanceUID: each for each in files}

    def fileForInstance(self, uid: str) -> str:  # noqa: N802
        return str(self.paths.get(uid, ""))

    def fileValue(self, path: str, tag: str) -> str:  # noqa: N802
        element = dcmread(path).get(tuple(int(each, 16) for each in tag.split(",")))
        return "" if element is None else str(element.value)

    def import_folder(self, folder: str) -> None:
        for each in Path(folder).iterdir() if self.accepts else ():
            kept = self._folder / each.name
            self.paths[dcmread(shutil.copy(each, kept)).SOPInstanceUID] = kept


def dicom_lib() -> Any:
    """The module DICOMLib."""

    def import_dicom(folder: str, database: DicomDatabase, copyFiles: bool = False) -> bool:  # noqa: N803
        assert copyFiles  # the folder is temporary
        database.import_folder(folder)
        return True

    return SimpleNamespace(DICOMUtils=SimpleNamespace(importDicom=import_dicom))
