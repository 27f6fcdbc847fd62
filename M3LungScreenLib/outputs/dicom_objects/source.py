"""The DICOM files that were screened, as the source of new objects in their study."""

import warnings
from dataclasses import dataclass
from pathlib import Path

import highdicom as hd
from pydicom import Dataset, dcmread

from M3LungScreenLib.ct import CTVolume
from M3LungScreenLib.errors import UsageError
from M3LungScreenLib.outputs.dicom_objects import check_dicom_output

MANUFACTURER = "M3LungScreen"
# New series have numbers that no scanner uses.
FIRST_SERIES_NUMBER = 9001
REQUIRED = (
    *("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "SOPClassUID"),
    "FrameOfReferenceUID",
)


@dataclass(frozen=True)
class Source:
    """Headers of the source images, one for each file, in the order of the slices."""

    images: tuple[Dataset, ...]
    volume: CTVolume

    @classmethod
    def of(cls, volume: CTVolume) -> "Source":
        """Read the headers of the files that `volume` was read from.

        Raises UsageError as `check_dicom_output`, or if an element that others must refer to is
        missing.
        """
        check_dicom_output(volume)
        images = tuple(_header(path) for path in volume.dicom_files)
        for path, image in zip(volume.dicom_files, images, strict=True):
            missing = [keyword for keyword in REQUIRED if not image.get(keyword)]
            if missing:
                raise UsageError(
                    "no_dicom_input",
                    f"{path.name} has no {missing[0]}, which DICOM objects must refer to. "
                    "Screen without DICOM output, or repair the file.",
                )
        return cls(images, volume)

    @property
    def plane_orientation(self) -> hd.PlaneOrientationSequence:
        """Direction of rows and of columns, of the stored slices."""
        axes = self.volume.stored.direction
        cosines = (*axes[0::3], *axes[1::3])
        return hd.PlaneOrientationSequence("PATIENT", [round(each, 10) + 0.0 for each in cosines])

    @property
    def pixel_measures(self) -> hd.PixelMeasuresSequence:
        x, y, z = self.volume.stored.spacing_mm
        return hd.PixelMeasuresSequence((y, x), slice_thickness=z, spacing_between_slices=z)

    def plane_position(self, k: int) -> hd.PlanePositionSequence:
        """Center of the first pixel of stored slice `k`, LPS mm."""
        position = self.volume.stored.position_mm((0, 0, k))
        return hd.PlanePositionSequence("PATIENT", [round(each, 8) + 0.0 for each in position])


def _header(path: Path) -> Dataset:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # nonstandard values of the source stay as they are
        image = dcmread(path, stop_before_pixels=True, force=True)
    # Type 2 elements of the patient and study, which every new object needs.
    for keyword in (
        *("PatientID", "PatientName", "PatientBirthDate", "PatientSex", "AccessionNumber"),
        *("StudyID", "StudyDate", "StudyTime", "ReferringPhysicianName"),
    ):
        if keyword not in image:
            setattr(image, keyword, "")
    return image
