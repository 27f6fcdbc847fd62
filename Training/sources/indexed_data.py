"""Slices and whole patients of an index, read from the crop cache (II-B, IV-A)."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

from M3LungScreenLib.classes import CLASSES
from M3LungScreenLib.errors import UsageError
from M3LungScreenLib.schedule import first_look
from Training.config import TrainingConfig
from Training.datasets.crop_cache import CachedCase, CropCache
from Training.datasets.index_file import (
    CLASS_NAMES,
    HEALTHY,
    Case,
    read_index,
    read_terms,
    splits_there,
)
from Training.sources.patient_features import PatientCrops
from Training.sources.simulated_slices import SliceSamples

INDEX_OF = {each.name: each.index for each in CLASSES}


@dataclass(frozen=True)
class StoredRows:
    """Chosen rows of several arrays `[n, S, S]`, indexed as one array and read on access."""

    arrays: Sequence[np.ndarray]
    rows: Sequence[np.ndarray]

    @cached_property
    def _places(self) -> np.ndarray:
        places = [
            np.stack([np.full(len(rows), i), rows], axis=1) for i, rows in enumerate(self.rows)
        ]
        return np.concatenate(places) if places else np.zeros((0, 2), int)

    def __len__(self) -> int:
        return len(self._places)

    def __getitem__(self, wanted: Any) -> np.ndarray:
        return np.stack([self.arrays[i][row] for i, row in self._places[wanted]])


@dataclass(frozen=True)
class IndexedData:
    """The cases of `index` in the splits 'training' and 'validation'."""

    config: TrainingConfig
    cache: Path
    index: Path

    def slices(self, validation: bool) -> SliceSamples:
        """Healthy slices and labelled lesions; UsageError if either is missing."""
        return slice_samples(self._cached(validation), _split(validation))

    def patients(self, validation: bool) -> list[PatientCrops]:
        """Every patient of the split, with at most `patient.largest_slice_count` slices."""
        largest = self.config.patient.largest_slice_count
        return [patient_crops(each, largest) for each in self._cached(validation)]

    def origin(self) -> dict[str, Any]:
        """The data set's terms, patients per class and split, and the digest of the index."""
        counts = {
            split: Counter(each.patient_class for each in self._cases(split))
            for split in ("training", "validation")
        }
        return {
            **read_terms(self.index),
            "patients": {split: dict(found) for split, found in counts.items()},
            "index_sha256": sha256(self.index.read_bytes()).hexdigest(),
        }

    def sentence(self) -> str:
        """The same as a note for the card."""
        origin = self.origin()
        found = origin["patients"]["training"]
        told = ", ".join(f"{found[name]} {name}" for name in CLASS_NAMES if name in found)
        never = ", ".join(name for name in CLASS_NAMES if name not in found)
        return f"Trained on patients of {origin['dataset']}: {told}." + (
            f" No patient with {never} was included." if never else ""
        )

    def _cases(self, split: str) -> list[Case]:
        found = read_index(self.index)
        _check_apart(found)
        cases = [each for each in found if each.split == split]
        if not cases:
            raise UsageError(
                "index",
                f"{self.index} has no cases in the split {split!r}{splits_there(found)}. Create it "
                "with python -m Training.index … --split, or fill in its column split.",
            )
        return cases

    def _cached(self, validation: bool) -> list[CachedCase]:
        cache = CropCache(self.cache, self.config.model.preprocessing)
        return cache.fetch_all(self._cases(_split(validation)))


def _check_apart(cases: Sequence[Case]) -> None:
    """UsageError for a patient in two splits."""
    sides = {(each.case_id, each.split) for each in cases}
    twins = sorted(name for name, n in Counter(name for name, _ in sides).items() if n > 1)
    if twins:
        raise UsageError(
            "leak",
            f"The index has {', '.join(twins)} in more than one split. Keep each patient in one.",
        )


def _split(validation: bool) -> str:
    return "validation" if validation else "training"


def slice_samples(cases: Sequence[CachedCase], split: str) -> SliceSamples:
    """All slices of healthy patients, and the slices labelled with a lesion (II-B).

    UsageError if either is missing.
    """
    ill = [each for each in cases if each.case.patient_class != HEALTHY]
    healthy = [each for each in cases if each.case.patient_class == HEALTHY]
    chosen = [np.flatnonzero(each.lesion == 1) for each in ill]
    counts = [len(rows) for rows in chosen]
    if not sum(counts) or not healthy:
        raise UsageError(
            "index",
            "The slice level needs patients with pneumonia and slice labels or masks, and healthy "
            f"patients; the {split} split has {sum(counts)} labelled slices of {len(ill)} patients "
            f"with pneumonia, and {len(healthy)} healthy patients. Add some, or change the column "
            "split of the index.",
        )
    return SliceSamples(
        ill=StoredRows([each.hu for each in ill], chosen),
        clean=StoredRows([], []),
        truth=StoredRows([_truth(each) for each in ill], chosen),
        classes=np.repeat([INDEX_OF[each.case.patient_class] for each in ill], counts),
        healthy=StoredRows(
            [each.hu for each in healthy], [np.arange(len(each)) for each in healthy]
        ),
        has_truth=np.repeat([each.truth is not None for each in ill], counts),
    )


def patient_crops(cached: CachedCase, largest_count: int) -> PatientCrops:
    """A whole patient: all slices, or `largest_count` spread evenly."""
    chosen = np.array(first_look(list(range(len(cached))), largest_count))
    name = f"{cached.folder.name}-{largest_count}"
    return PatientCrops(
        name, StoredRows([cached.hu], [chosen]), INDEX_OF[cached.case.patient_class]
    )


def _truth(cached: CachedCase) -> np.ndarray:
    """bool `[N, S, S]`; without a mask a broadcast False that takes no memory."""
    if cached.truth is not None:
        return cached.truth
    return np.broadcast_to(np.False_, cached.hu.shape)
