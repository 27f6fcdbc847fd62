"""Reads slices in HU, each frame with its own rescale."""

import os
import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Lock

import numpy as np

from M3LungScreenLib.completeness import unreadable
from M3LungScreenLib.dicom.decoding import Content, read_content, stored_values
from M3LungScreenLib.dicom.files import DAMAGED
from M3LungScreenLib.dicom.frames import Frame

Mixed = tuple[int, int, float]  # lower and upper frame, share of the upper
_INT16 = np.iinfo(np.int16)


def read_slices(frames: Sequence[Frame], mixed: Sequence[Mixed]) -> np.ndarray:
    """HU int16 `[slice, row, column]`, each slice mixed from two frames by the upper one's share.

    Values beyond int16 are clipped. Raises InputRefused with the name of a file that is damaged
    or truncated.
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
    """HU of frames, read by several threads; the last multi-frame file is kept in memory.

    `scratch` is a folder for temporary files.
    """

    def __init__(self, scratch: Path) -> None:
        self._scratch = scratch
        self._lock = Lock()
        self._kept: tuple[Path, Content] | None = None

    def hu(self, frame: Frame) -> np.ndarray:
        """int16 `[row, column]`. Raises InputRefused if the file is damaged or truncated."""
        try:
            data, frames = self._content(frame)
            stored = stored_values(data, frames[frame.index], self._scratch)
        except (*DAMAGED, RuntimeError):
            raise unreadable(frame.path.name) from None
        return _rescaled(stored, frame)

    def _content(self, frame: Frame) -> "Content":
        if not frame.object_uid:
            return read_content(frame.path)
        with self._lock:
            if self._kept is None or self._kept[0] != frame.path:
                self._kept = (frame.path, read_content(frame.path))
            return self._kept[1]


@contextmanager
def _quiet_decoders() -> Iterator[None]:
    """Silences decoders that write to stderr from C++."""
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


def _rescaled(stored: np.ndarray, frame: Frame) -> np.ndarray:
    """HU as int16; integers stay exact."""
    slope, intercept = frame.slope or 0.0, frame.intercept or 0.0
    if slope == 1 and intercept.is_integer() and stored.dtype.itemsize < 4:
        hu = stored.astype(np.int32) + np.int32(intercept)
    else:
        hu = np.rint(stored * slope + intercept)
    if hu.min() < _INT16.min or hu.max() > _INT16.max:
        hu = np.clip(hu, _INT16.min, _INT16.max)
    return hu.astype(np.int16)
