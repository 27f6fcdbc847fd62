"""Values of a DICOM header by keyword; a frame's own values come before those of the object."""

import math
from collections.abc import Iterable
from typing import Any

from pydicom.datadict import tag_for_keyword
from pydicom.dataset import Dataset

from M3LungScreenLib.dicom.files import DAMAGED

PHASES = (
    "TemporalPositionIndex",
    "TemporalPositionIdentifier",
    "TemporalPositionTimeOffset",
    "NominalPercentageOfCardiacPhase",
    "NominalCardiacTriggerDelayTime",
    "NominalPercentageOfRespiratoryPhase",
    "TriggerTime",
)
NAMES = ("SeriesDescription", "ProtocolName", "BodyPartExamined")
FUNCTIONAL_GROUPS = ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence")
TAGS = [
    *("SOPClassUID", "SOPInstanceUID", "Modality", "PatientID", "StudyInstanceUID"),
    *("SeriesInstanceUID", "SeriesNumber", "SeriesDescription", "ProtocolName"),
    *("BodyPartExamined", "ImageType", "AcquisitionNumber", "AcquisitionTime", "ContentTime"),
    *("InstanceNumber", "FrameOfReferenceUID", "ConcatenationUID", "ConvolutionKernel", "KVP"),
    *("StackID", "SliceThickness", "SpacingBetweenSlices", "ImageOrientationPatient"),
    *("ImagePositionPatient", "PixelSpacing", "Rows", "Columns", "NumberOfFrames"),
    *("SamplesPerPixel", "PhotometricInterpretation", "BitsAllocated", "RescaleIntercept"),
    *("RescaleSlope", "RescaleType", "VolumeBasedCalculationTechnique"),
    *PHASES,
    *FUNCTIONAL_GROUPS,
]
_OF_FRAMES = ("FrameType", "FrameAcquisitionNumber")  # in functional groups alone
_TAG_OF = {each: int(tag_for_keyword(each) or 0) for each in (*TAGS, *_OF_FRAMES)}

Numbers = tuple[float, ...]


class Values:
    """Values by keyword from the first dataset that has them; notes those that are not numbers."""

    def __init__(self, places: list[Dataset]) -> None:
        self._whole = places[-1]
        self._where: dict[int, Dataset] = {}
        for place in places:
            for tag in place.keys():  # noqa: SIM118
                self._where.setdefault(int(tag), place)
        self.wrong: list[tuple[str, str]] = []

    def get(self, keyword: str) -> object:
        tag = _TAG_OF[keyword]
        place = self._where.get(tag)
        return None if place is None else place[tag].value

    def is_of_frame(self, keyword: str) -> bool:
        """Whether the value comes from a functional group, not from the whole object."""
        return self._where.get(_TAG_OF[keyword], self._whole) is not self._whole

    def text(self, *keywords: str) -> str:
        """The first of these keywords that has a value."""
        for keyword in keywords:
            try:
                value = self.get(keyword)
            except DAMAGED:
                continue
            if value not in (None, ""):
                return str(value).strip()
        return ""

    def words(self, keyword: str) -> tuple[str, ...]:
        return tuple(str(each).strip().upper() for each in _parts(self.get(keyword)))

    def numbers(self, keyword: str, count: int) -> Numbers | None:
        try:
            value = self.get(keyword)
            numbers = tuple(float(each) for each in _parts(value))
            if len(numbers) == count and all(map(math.isfinite, numbers)):
                return numbers
        except DAMAGED:
            value = self._raw(keyword)
        said = "\\".join(map(str, _parts(value)))
        if said:
            self.wrong.append((keyword, said))
        return None

    def number(self, keyword: str) -> float | None:
        numbers = self.numbers(keyword, 1)
        return numbers[0] if numbers else None

    def _raw(self, keyword: str) -> Any:
        raw = self._where[_TAG_OF[keyword]].get_item(_TAG_OF[keyword])
        value = getattr(raw, "value", b"")
        return value.decode("latin-1").strip() if isinstance(value, bytes) else value


def _parts(value: Any) -> list[Any]:
    """The values of an element that are there."""
    is_several = isinstance(value, Iterable) and not isinstance(value, str)
    return [each for each in (value if is_several else [value]) if each not in (None, "")]
