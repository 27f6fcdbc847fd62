"""A result as DICOM objects in the study of its CT. Needs the extra 'dicom' (highdicom)."""

from collections.abc import Sequence
from importlib.util import find_spec

from M3LungScreenLib.ct import CTVolume
from M3LungScreenLib.errors import UsageError

PACKAGES = ("highdicom", "weasyprint", "pynetdicom", "dicomweb_client")
FOR_OBJECTS = PACKAGES[:1]
NOT_DICOM = (
    "DICOM output needs DICOM input, because the objects belong to its patient and study. This "
    "input is a file without them. Screen the DICOM folder, or leave out --dicom-out."
)
SINGLE_SLICE = (
    "DICOM output needs a volume: a single slice has no verdict on the patient. Screen the whole "
    "series, or leave out --dicom-out."
)


def check_packages(needed: Sequence[str] = PACKAGES) -> None:
    """Raise UsageError if packages of the extra 'dicom' are missing."""
    missing = [each for each in needed if find_spec(each) is None]
    if missing:
        raise UsageError(
            "dicom_packages",
            f"DICOM output needs {', '.join(missing)}. Install the extra: "
            'pip install "M3LungScreen[dicom]".',
        )


def check_dicom_output(volume: CTVolume) -> None:
    """Raise UsageError, before any work, if no DICOM objects can be made of `volume`."""
    check_packages(FOR_OBJECTS)
    if not volume.dicom_files:
        raise UsageError("no_dicom_input", NOT_DICOM)
    if volume.slice_count == 1:
        raise UsageError("no_dicom_input", SINGLE_SLICE)
