"""Stored values of frames, and HU by each frame's own rescale.

pydicom hands out the bytes. Uncompressed ones are values already; compressed ones are
decoded by the GDCM in SimpleITK, which is there anyhow, one frame at a time and under a
header that says nothing but how to decode it: so no frame is read by the type, rescale
or photometric interpretation of another one.
"""

import os
import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import lru_cache
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Lock, get_ident

import numpy as np
import pydicom
import SimpleITK as sitk
from pydicom import encaps
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID

from M3LungScreenLib.completeness import unreadable
from M3LungScreenLib.dicom.files import DAMAGED, read_dataset
from M3LungScreenLib.dicom.frames import Frame
from M3LungScreenLib.errors import InputRefused

_LAYOUT = ("Rows", "Columns", "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation")
_TAGS = [*_LAYOUT, "NumberOfFrames", "PixelData"]
_ONE_IMAGE = "1.2.840.10008.5.1.4.1.1.7"
# JPEG, JPEG-LS and JPEG 2000 are below this UID; a whole image ends with this marker, which
# nothing but padding follows.
_JPEG_FAMILY = "1.2.840.10008.1.2.4."
_END_OF_IMAGE = b"\xff\xd9"
_PIXEL_DATA = b"\xe0\x7f\x10\x00OB\x00\x00\xff\xff\xff\xff"
_END_OF_SEQUENCE = b"\xfe\xff\xdd\xe0\x00\x00\x00\x00"
_Content = tuple[Dataset, list[memoryview]]
Mixed = tuple[int, int, float]  # lower and upper frame, share of the upper
_INT16 = np.iinfo(np.int16)


def read_slices(frames: Sequence[Frame], mixed: Sequence[Mixed]) -> np.ndarray:
    """HU int16 `[slice, row, column]`: of each slice two of the frames and the upper one's share.

    Values beyond int16 are clipped. Raises InputRefused with the name of a file that is
    damaged or cut short.
    """
    rows, columns = frames[0].matrix
    volume = np.empty((len(mixed), rows, columns), np.int16)
    with TemporaryDirectory() as scratch, _quiet_decoders(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydicom's, of values that break the standard
        reader = _Reader(Path(scratch))

        def read(k: int) -> None:
            lower, upper, share = mixed[k]
            volume[k] = reader.hu(frames[lower])
            if share:
                above = reader.hu(frames[upper])
                volume[k] = np.rint((1 - share) * volume[k] + share * above)

        # GDCM decodes in C++ while Python reads the next file.
        with ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as pool:
            for _ in pool.map(read, range(len(mixed))):
                pass
    return volume


class _Reader:
    """HU of frames, from several threads; the multi-frame file read last is kept.

    `scratch` is a folder for files that are read again at once.
    """

    def __init__(self, scratch: Path) -> None:
        self._scratch = scratch
        self._lock = Lock()
        self._kept: tuple[Path, _Content] | None = None

    def hu(self, frame: Frame) -> np.ndarray:
        """int16 `[row, column]`; InputRefused where the file is damaged or cut short."""
        try:
            data, frames = self._content(frame)
            stored = _stored_values(data, frames[frame.index], self._scratch)
        except (*DAMAGED, RuntimeError):
            raise unreadable(frame.path.name) from None
        return _rescaled(stored, frame)

    def _content(self, frame: Frame) -> "_Content":
        if not frame.object_uid:
            return _read(frame.path)
        with self._lock:
            if self._kept is None or self._kept[0] != frame.path:
                self._kept = (frame.path, _read(frame.path))
            return self._kept[1]


@contextmanager
def _quiet_decoders() -> Iterator[None]:
    """Nothing on stderr meanwhile: decoders in C++ write there behind Python's back."""
    try:
        kept = os.dup(2)
    except OSError:  # a program without a console
        yield
        return
    with open(os.devnull, "wb") as nowhere:
        os.dup2(nowhere.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)


def _read(path: Path) -> _Content:
    """A file's pixel description, and the bytes of each frame."""
    data = read_dataset(path, _TAGS, with_pixels=True)
    if "PixelData" not in data:
        raise _cut_short(path, "has no pixels: they were left out or cut off")
    count = int(data.get("NumberOfFrames") or 1)
    if data["PixelData"].is_undefined_length:
        return data, _compressed_frames(path, data, count)
    size, found = data.Rows * data.Columns * data.BitsAllocated // 8, len(data.PixelData)
    if found < size * count:
        promise = f"promises {size * count:,} bytes of pixels and holds {found:,}"
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
        raise _cut_short(path, f"holds {len(whole)} whole images of {count}")
    return [memoryview(each) for each in frames]


def _cut_short(path: Path, what: str) -> InputRefused:
    return InputRefused("truncated", f"{path.name} {what}. Copy it again from where it came.")


def _stored_values(data: Dataset, frame: memoryview, scratch: Path) -> np.ndarray:
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


def _rescaled(stored: np.ndarray, frame: Frame) -> np.ndarray:
    """HU as int16; whole numbers stay exact."""
    slope, intercept = frame.slope or 0.0, frame.intercept or 0.0
    if slope == 1 and intercept.is_integer() and stored.dtype.itemsize < 4:
        hu = stored.astype(np.int32) + np.int32(intercept)
    else:
        hu = np.rint(stored * slope + intercept)
    if hu.min() < _INT16.min or hu.max() > _INT16.max:
        hu = np.clip(hu, _INT16.min, _INT16.max)
    return hu.astype(np.int16)
