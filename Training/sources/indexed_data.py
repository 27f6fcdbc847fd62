"""Slices and whole patients of a data set's index, read from its crop cache (II-B, IV-A)."""

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
    """Chosen rows of several arrays `[n, S, S]` as if they were one; read when indexed."""

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
    """The cases of `index` that are in the splits 'training' and 'validation'."""

    config: TrainingConfig
    cache: Path
    index: Path

    def slices(self, validation: bool) -> SliceSamples:
        """Healthy people's slices and labelled lesions; UsageError where one is missing."""
        return slice_samples(self._cached(validation), _split(validation))

    def patients(self, validation: bool) -> list[PatientCrops]:
        """Every patient of the split, so many slices of each as the config allows."""
        largest = self.config.patient.largest_slice_count
        return [patient_crops(each, largest) for each in self._cached(validation)]

    def origin(self) -> dict[str, Any]:
        """The data set's terms, patients of each class and split, and the index's digest."""
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
        """The same for people."""
        origin = self.origin()
        found = origin["patients"]["training"]
        told = ", ".join(f"{found[name]} {name}" for name in CLASS_NAMES if name in found)
        never = ", ".join(name for name in CLASS_NAMES if name not in found)
        return f"Trained on patients of {origin['dataset']}: {told}." + (
            f" It has seen no patient with {never}." if never else ""
        )

    def _cases(self, split: str) -> list[Case]:
        found = read_index(self.index)
        _check_apart(found)
        cases = [each for each in found if each.split == split]
        if not cases:
            raise UsageError(
                "index",
                f"{self.index} has no case of the split {split!r}{splits_there(found)}. Make it by "
                "python -m Training.index … --split, or write its column split by hand.",
            )
        return cases

    def _cached(self, validation: bool) -> list[CachedCase]:
        cache = CropCache(self.cache, self.config.model.preprocessing)
        return cache.fetch_all(self._cases(_split(validation)))


def _check_apart(cases: Sequence[Case]) -> None:
    """UsageError for a patient on two sides, as in a split written by hand."""
    sides = {(each.case_id, each.split) for each in cases}
    twins = sorted(name for name, n in Counter(name for name, _ in sides).items() if n > 1)
    if twins:
        raise UsageError(
            "leak",
            f"The index has {', '.join(twins)} in more than one split. Keep each patient on one "
            "side.",
        )


def _split(validation: bool) -> str:
    return "validation" if validation else "training"


def slice_samples(cases: Sequence[CachedCase], split: str) -> SliceSamples:
    """Healthy people's slices, all, and the ill's that are labelled with a lesion (II-B).

    Raises UsageError where one of the two is missing.
    """
    ill = [each for each in cases if each.case.patient_class != HEALTHY]
    healthy = [each for each in cases if each.case.patient_class == HEALTHY]
    chosen = [np.flatnonzero(each.lesion == 1) for each in ill]
    counts = [len(rows) for rows in chosen]
    if not sum(counts) or not healthy:
        raise UsageError(
            "index",
            "The slice level needs ill patients with slice labels or masks, and healthy patients; "
            f"the {split} split has {sum(counts)} labelled slices of {len(ill)} ill patients and "
            f"{len(healthy)} healthy ones. Add them, or change the index's column split.",
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
    """A whole patient for the patient level: all slices, or so many spread evenly."""
    chosen = np.array(first_look(list(range(len(cached))), largest_count))
    name = f"{cached.folder.name}-{largest_count}"
    return PatientCrops(
        name, StoredRows([cached.hu], [chosen]), INDEX_OF[cached.case.patient_class]
    )


def _truth(cached: CachedCase) -> np.ndarray:
    """bool `[N, S, S]`; where nobody drew a mask, an array of False that takes no memory."""
    if cached.truth is not None:
        return cached.truth
    return np.broadcast_to(np.False_, cached.hu.shape)
