"""The pixel data of a DICOM file's frames, decoded to integers.

pydicom reads the bytes. Compressed frames are decoded by SimpleITK's GDCM, one at a time and
with a minimal header, so that type, rescale and photometric interpretation of one frame
cannot affect another.
"""

from functools import lru_cache
from io import BytesIO
from pathlib import Path
from threading import get_ident

import numpy as np
import pydicom
import SimpleITK as sitk
from pydicom import encaps
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID

from M3LungScreenLib.dicom.files import read_dataset
from M3LungScreenLib.errors import InputRefused

_LAYOUT = ("Rows", "Columns", "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation")
_FLOATS = ("FloatPixelData", "DoubleFloatPixelData")
_TAGS = [*_LAYOUT, "NumberOfFrames", "PixelData", *_FLOATS]
_ONE_IMAGE = "1.2.840.10008.5.1.4.1.1.7"
# JPEG, JPEG-LS and JPEG 2000 are below this UID; a whole image ends with this marker, which
# nothing but padding follows.
_JPEG_FAMILY = "1.2.840.10008.1.2.4."
_END_OF_IMAGE = b"\xff\xd9"
_PIXEL_DATA = b"\xe0\x7f\x10\x00OB\x00\x00\xff\xff\xff\xff"
_END_OF_SEQUENCE = b"\xfe\xff\xdd\xe0\x00\x00\x00\x00"
Content = tuple[Dataset, list[memoryview]]


def read_content(path: Path) -> Content:
    """A file's pixel description and the bytes of each frame."""
    data = read_dataset(path, _TAGS, with_pixels=True)
    if any(each in data for each in _FLOATS):
        raise InputRefused(
            "not_hu",
            f"{path.name} has floating-point pixels, which an original CT never has. Load the "
            "original CT series.",
        )
    if "PixelData" not in data:
        raise _cut_short(path, "has no pixel data: it was left out or cut off")
    count = int(data.get("NumberOfFrames") or 1)
    if data["PixelData"].is_undefined_length:
        return data, _compressed_frames(path, data, count)
    size, found = data.Rows * data.Columns * data.BitsAllocated // 8, len(data.PixelData)
    if found < size * count:
        promise = f"should have {size * count:,} bytes of pixel data but has only {found:,}"
        raise _cut_short(path, promise)
    view = memoryview(data.PixelData)
    return data, [view[size * i : size * (i + 1)] for i in range(count)]


def _compressed_frames(path: Path, data: Dataset, count: int) -> list[memoryview]:
    if hasattr(encaps, "generate_frames"):
        frames = list(encaps.generate_frames(data.PixelData, number_of_frames=count))
    else:  # before pydicom 3
        frames = list(encaps.generate_pixel_data_frame(data.PixelData, count))
    is_jpeg = data.file_meta.TransferSyntaxUID.startswith(_JPEG_FAMILY)
    whole = [each for each in frames if not is_jpeg or _END_OF_IMAGE in each[-16:]]
    if len(whole) < count:
        raise _cut_short(path, f"has only {len(whole)} complete images of {count}")
    return [memoryview(each) for each in frames]


def _cut_short(path: Path, what: str) -> InputRefused:
    return InputRefused("truncated", f"{path.name} {what}. Copy it again from the source.")


def stored_values(data: Dataset, frame: memoryview, scratch: Path) -> np.ndarray:
    """Integers `[row, column]` of the bits that count: above them some files keep overlays."""
    size, bits, stored = data.BitsAllocated, data.BitsAllocated, data.BitsStored
    if data["PixelData"].is_undefined_length:
        values = _decoded(data, frame, scratch)
        bits = values.dtype.itemsize * 8
    else:
        order = "<" if _is_little_endian(data) else ">"
        values = np.frombuffer(frame, f"{order}u{size // 8}").reshape(data.Rows, data.Columns)
    if not 0 < stored <= bits:
        raise ValueError(f"{stored} of {bits} bits")
    left = bits - 1 - data.HighBit if data.HighBit < bits else 0
    signed = values.astype(f"{'i' if data.PixelRepresentation else 'u'}{bits // 8}")
    return (signed << left) >> (bits - stored)  # the sign goes along


def _is_little_endian(data: Dataset) -> bool:
    if hasattr(data, "original_encoding"):
        return bool(data.original_encoding[1])
    return bool(data.is_little_endian)  # before pydicom 3


def _decoded(data: Dataset, frame: memoryview, scratch: Path) -> np.ndarray:
    """What GDCM makes of the compressed bytes under the barest header."""
    layout = tuple(int(data[each].value) for each in _LAYOUT)
    whole = _bare_header(data.file_meta.TransferSyntaxUID, layout) + _PIXEL_DATA
    path = scratch / f"{get_ident()}.dcm"
    path.write_bytes(whole + encaps.encapsulate([bytes(frame)]) + _END_OF_SEQUENCE)
    image = sitk.ReadImage(str(path), imageIO="GDCMImageIO")
    return sitk.GetArrayFromImage(image).reshape(data.Rows, data.Columns)


@lru_cache(maxsize=4)
def _bare_header(transfer_syntax: str, layout: tuple[int, ...]) -> bytes:
    """A DICOM file as far as its pixels."""
    one = Dataset()
    one.file_meta = FileMetaDataset()
    one.file_meta.TransferSyntaxUID = UID(transfer_syntax)
    one.file_meta.MediaStorageSOPClassUID = one.SOPClassUID = UID(_ONE_IMAGE)
    one.file_meta.MediaStorageSOPInstanceUID = one.SOPInstanceUID = UID("2.25.1")
    for keyword, value in zip(_LAYOUT, layout, strict=True):
        setattr(one, keyword, value)
    one.SamplesPerPixel, one.PhotometricInterpretation = 1, "MONOCHROME2"
    written = BytesIO()
    one.is_little_endian, one.is_implicit_VR = True, False  # for pydicom 2
    one.preamble = bytes(128)
    pydicom.dcmwrite(written, one)
    return written.getvalue()
