"""The report as a DICOM encapsulated PDF."""

import datetime
from typing import Any

import highdicom as hd
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.uid import EncapsulatedPDFStorage, ExplicitVRLittleEndian

from M3LungScreenLib.errors import UsageError
from M3LungScreenLib.outputs.dicom_objects.equipment import RESEARCH_USE, series_of
from M3LungScreenLib.outputs.dicom_objects.source import Source
from M3LungScreenLib.result import Result

# Patient and General Study modules, as far as an encapsulated document carries them.
KEPT = (
    "PatientName",
    "PatientID",
    "IssuerOfPatientID",
    "PatientBirthDate",
    "PatientSex",
    "PatientAge",
    "StudyInstanceUID",
    "StudyID",
    "StudyDate",
    "StudyTime",
    "StudyDescription",
    "AccessionNumber",
    "ReferringPhysicianName",
    "SpecificCharacterSet",
)


def pdf_of(html: str) -> bytes:
    """The report as PDF; UsageError if WeasyPrint's system library Pango is missing."""
    from PIL import ImageFile

    accepted = ImageFile.LOAD_TRUNCATED_IMAGES
    try:
        from weasyprint import HTML
    except OSError as missing:
        raise UsageError(
            "pdf_not_made",
            f"The PDF of the report needs the library Pango: {missing}. Install it (Debian: "
            "libpango-1.0-0 and libpangoft2-1.0-0; macOS: brew install pango).",
        ) from missing
    finally:
        # WeasyPrint lets the whole process accept pictures that are cut short.
        ImageFile.LOAD_TRUNCATED_IMAGES = accepted
    return bytes(HTML(string=html).write_pdf())


def encapsulated_pdf(result: Result, source: Source, pdf: bytes) -> Dataset:
    """A document in the source's study that holds `pdf`."""
    made, series = Dataset(), series_of(result, 3, "M3LungScreen: report")
    made.file_meta = _file_meta(series)
    made.SOPClassUID, made.SOPInstanceUID = EncapsulatedPDFStorage, series["sop_instance_uid"]
    first = source.images[0]
    for keyword in KEPT:
        if keyword in first:
            made[keyword] = first[keyword]
    made.Modality, made.ConversionType = "DOC", "WSD"
    made.SeriesInstanceUID, made.SeriesNumber = (
        series["series_instance_uid"],
        series["series_number"],
    )
    made.SeriesDescription, made.InstanceNumber = series["series_description"], 1
    made.Manufacturer = series["manufacturer"]
    made.ManufacturerModelName = series["manufacturer_model_name"]
    made.SoftwareVersions = series["software_versions"]
    made.DeviceSerialNumber = series["device_serial_number"]
    now = datetime.datetime.now()
    made.ContentDate, made.ContentTime = f"{now:%Y%m%d}", f"{now:%H%M%S}"
    made.AcquisitionDateTime = str(first.get("AcquisitionDateTime", ""))
    made.BurnedInAnnotation = "NO"  # the report names no patient
    made.RecognizableVisualFeatures = "NO"
    made.DocumentTitle = f"M3LungScreen report. {RESEARCH_USE}"
    made.ConceptNameCodeSequence = []
    made.MIMETypeOfEncapsulatedDocument = "application/pdf"
    made.EncapsulatedDocument = pdf + b"\0" * (len(pdf) % 2)
    made.EncapsulatedDocumentLength = len(pdf)
    made.SourceInstanceSequence = [_reference(each) for each in source.images]
    return made


def _file_meta(series: dict[str, Any]) -> FileMetaDataset:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = EncapsulatedPDFStorage
    meta.MediaStorageSOPInstanceUID = series["sop_instance_uid"]
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.ImplementationClassUID = hd.UID()
    return meta


def _reference(image: Dataset) -> Dataset:
    reference = Dataset()
    reference.ReferencedSOPClassUID = image.SOPClassUID
    reference.ReferencedSOPInstanceUID = image.SOPInstanceUID
    return reference
