"""Writes the four DICOM objects of a result."""

import warnings
from pathlib import Path

from pydicom import Dataset

from M3LungScreenLib.outputs.dicom_objects.images import parametric_map, segmentation
from M3LungScreenLib.outputs.dicom_objects.pdf import encapsulated_pdf
from M3LungScreenLib.outputs.dicom_objects.source import Source
from M3LungScreenLib.outputs.dicom_objects.structured_report import structured_report
from M3LungScreenLib.result import Result
from M3LungScreenLib.writing import writer_errors

FILES = ("segmentation.dcm", "location_map.dcm", "measurement_report.dcm", "report.dcm")


def dicom_objects(result: Result, pdf: bytes) -> dict[str, Dataset]:
    """Segmentation, parametric map, structured report and the report `pdf`, by file name.

    Raises UsageError if the volume was not read from DICOM or is a single slice.
    """
    source = Source.of(result.volume)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about nonstandard values that the source already has
        lesions = segmentation(result, source)
        location = parametric_map(result, source)
        report = structured_report(result, source, (lesions, location))
        made = (lesions, location, report, encapsulated_pdf(result, source, pdf))
    for each in made:
        each.BodyPartExamined = "CHEST"
    return dict(zip(FILES, made, strict=True))


def write_dicom_objects(result: Result, pdf: bytes, folder: Path) -> None:
    """Write the objects of `dicom_objects` into `folder`, which is made."""
    folder.mkdir()
    for name, made in dicom_objects(result, pdf).items():
        with writer_errors(folder / name):
            made.save_as(folder / name, enforce_file_format=True)
