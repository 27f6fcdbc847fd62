"""Preprocessed crops in HU on disk, computed once per case, memory-mapped and shared.

The folder of an entry is named by the content of the case's files, its parent by the settings and
by the code that reads a CT, finds its lungs and cuts its crops. Entries are written whole or not at
all. A file lock, released when its process dies, prevents two processes from making the same entry.
"""

import hashlib
import multiprocessing
import os
import shutil
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path

import numpy as np
from filelock import FileLock
from tqdm import tqdm

from M3LungScreenLib import chest
from M3LungScreenLib.chest import prepare
from M3LungScreenLib.errors import InputRefused
from M3LungScreenLib.preprocessing import Crop, crop_hu
from M3LungScreenLib.settings import PreprocessingSettings
from Training.datasets import slice_images
from Training.datasets.code_digest import code_sha256
from Training.datasets.index_file import HEALTHY, Case, files_of, stats_of
from Training.datasets.masks import read_mask
from Training.datasets.shards import end_with_parent, keyed_folder
from Training.datasets.slice_images import read_case_ct

UNKNOWN = -1


@dataclass(frozen=True)
class CachedCase:
    """The N informative slices of a case, feet to head, read from disk when indexed."""

    folder: Path
    case: Case

    @property
    def hu(self) -> np.ndarray:
        """int16 `[N, S, S]`, memory-mapped."""
        return np.load(self.folder / "hu.npy", mmap_mode="r")

    @property
    def truth(self) -> np.ndarray | None:
        """Lesion masks bool `[N, S, S]`, memory-mapped; None without a mask."""
        path = self.folder / "truth.npy"
        return np.load(path, mmap_mode="r") if path.exists() else None

    @cached_property
    def slices(self) -> np.ndarray:
        """int32 `[N]`: the index of each slice in the CT, 0 the lowest."""
        return np.asarray(np.load(self.folder / "slices.npy"))

    @property
    def lesion(self) -> np.ndarray:
        """int8 `[N]`: 1 with a lesion, 0 without, -1 unknown."""
        labels = self.case.slice_labels
        if self.case.patient_class == HEALTHY:
            return np.zeros(len(self), np.int8)
        if labels is not None:
            return np.array(labels, np.int8)[self.slices]
        if self.truth is not None:
            return np.asarray(self.truth.any(axis=(1, 2)), np.int8)
        return np.full(len(self), UNKNOWN, np.int8)

    def __len__(self) -> int:
        return len(self.slices)


@dataclass(frozen=True)
class CropCache:
    """Crops with `settings` in `folder`, which may be deleted at any time."""

    folder: Path
    settings: PreprocessingSettings

    def fetch(self, case: Case) -> CachedCase:
        """The entry of a case, made if missing.

        InputRefused for a CT that cannot be read or has no lung, and for labels or a mask that do
        not match it.
        """
        target = self._entries / _content_hash(case, self.folder)
        if not target.exists():
            with FileLock(f"{target}.lock"):
                if not target.exists():
                    _make(case, self.settings, target)
        return CachedCase(target, case)

    def fetch_all(self, cases: Sequence[Case], processes: int | None = None) -> list[CachedCase]:
        """The entries of all cases in order, made by several processes; raises like `fetch`."""
        missing = [each for each in cases if not self._is_made(each)]
        count = min(processes or os.cpu_count() or 1, len(missing))
        for _ in tqdm(self._made(missing, count), "crops", len(missing), disable=not missing):
            pass
        return [self.fetch(each) for each in cases]

    def _made(self, cases: Sequence[Case], processes: int) -> Iterator[CachedCase]:
        if processes <= 1:
            yield from map(self.fetch, cases)
            return
        # Forking a process that has torch's threads may hang.
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(processes, context, end_with_parent) as pool:
            yield from pool.map(partial(CropCache.fetch, self), cases)

    def _is_made(self, case: Case) -> bool:
        """Whether the entry exists; False also for files that were never read."""
        known = _known_hash(case, self.folder)
        return known.exists() and (self._entries / known.read_text("utf-8")).exists()

    @cached_property
    def _entries(self) -> Path:
        folder = keyed_folder(self.folder, "crops", crops_code(), self.settings)
        folder.mkdir(parents=True, exist_ok=True)
        return folder


def crops_code() -> str:
    """A digest of the code that fills an entry."""
    return code_sha256(chest, slice_images, read_mask, _write, _write_crops)


def _make(case: Case, settings: PreprocessingSettings, target: Path) -> None:
    """Write an entry beside `target`, then rename it; remains of a killed process are removed."""
    beside = target.with_suffix(".part")
    shutil.rmtree(beside, ignore_errors=True)
    beside.mkdir()
    try:
        _write(case, settings, beside)
    except InputRefused as refusal:
        shutil.rmtree(beside)
        raise InputRefused(refusal.kind, f"{case.case_id}: {refusal.message}") from None
    os.replace(beside, target)


def _write(case: Case, settings: PreprocessingSettings, folder: Path) -> None:
    made = prepare(read_case_ct(case.path), settings)
    volume, labels = made.volume, case.slice_labels
    if labels is not None and len(labels) != len(volume.hu):
        raise InputRefused(
            "labels",
            f"The CT has {len(volume.hu)} slices, but there are labels for {len(labels)}.",
        )
    crops = [(k, crop) for k, crop in enumerate(made.crops) if crop is not None]
    _write_crops(folder / "hu.npy", volume.hu, crops, settings.input_size, np.int16)
    if case.mask is not None:
        mask = read_mask(case.mask, volume).astype(np.int16)
        _write_crops(folder / "truth.npy", mask, crops, settings.input_size, bool)
    np.save(folder / "slices.npy", np.array([k for k, _ in crops], np.int32))


def _write_crops(
    path: Path, volume: np.ndarray, crops: list[tuple[int, Crop]], size: int, kind: type
) -> None:
    # Crop by crop, and not into mapped memory: there a full disk kills the process.
    shape = (len(crops), size, size)
    described = {"descr": np.dtype(kind).str, "fortran_order": False, "shape": shape}
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, described)
        for k, crop in crops:
            file.write(crop_hu(volume[k], crop, size).astype(kind).tobytes())


def _content_hash(case: Case, folder: Path) -> str:
    """A digest of all bytes of a CT and its mask, remembered by size and time.

    The number of labels is part of it, so that labels are checked against the CT again.
    """
    known = _known_hash(case, folder)
    if known.exists():
        return known.read_text("utf-8")
    digest = hashlib.sha256(repr((case.mask is not None, _label_count(case))).encode())
    for each in files_of(case):
        digest.update(hashlib.sha256(each.read_bytes()).digest())
    known.parent.mkdir(parents=True, exist_ok=True)
    beside = known.with_suffix(f".{os.getpid()}")
    beside.write_text(digest.hexdigest()[:32], "utf-8")
    os.replace(beside, known)
    return digest.hexdigest()[:32]


def _known_hash(case: Case, folder: Path) -> Path:
    """Where the digest of these files, with this size and time, is stored."""
    told = repr((stats_of(case), _label_count(case)))
    return folder / "hashes" / hashlib.sha256(told.encode()).hexdigest()[:32]


def _label_count(case: Case) -> int | None:
    return None if case.slice_labels is None else len(case.slice_labels)
