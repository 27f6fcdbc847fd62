"""What a run learns from: simulated lesions, or the patients of an index."""

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from Training.config import TrainingConfig
from Training.sources.backgrounds import ORIGINS, SLICES, names_in
from Training.sources.patient_features import PatientCrops, cached_patients, patient_sources
from Training.sources.simulated_slices import (
    SliceSamples,
    cached_slices,
    simulator_sha256,
    slice_sources,
)


class LearningData(Protocol):
    """Slices and patients of the training or validation split, and their description."""

    def slices(self, validation: bool) -> SliceSamples: ...
    def patients(self, validation: bool) -> list[PatientCrops]: ...
    def origin(self) -> dict[str, Any]: ...
    def sentence(self) -> str: ...


def data_of(config: TrainingConfig, parsed: argparse.Namespace) -> LearningData:
    """The data named on the command line: the index of `--data`, else simulation."""
    if parsed.data is None:
        return SimulatedData(config, parsed.cache, parsed.backgrounds)
    # A machine that trains on simulation needs no reader of CT.
    from Training.sources.indexed_data import IndexedData

    return IndexedData(config, parsed.cache, parsed.data)


@dataclass(frozen=True)
class SimulatedData:
    """Lesions simulated in simulated chests and in the real ones in `backgrounds`."""

    config: TrainingConfig
    cache: Path
    backgrounds: Path | None

    def slices(self, validation: bool) -> SliceSamples:
        """Slices with and without lesion, simulated if not in the cache."""
        data, settings = self.config.data, self.config.model.preprocessing
        sources = slice_sources(data, self._names, validation)
        return cached_slices(sources, self.cache, self.backgrounds, data, settings)

    def patients(self, validation: bool) -> list[PatientCrops]:
        """Patients that the slice level has not seen, simulated if not in the cache."""
        sources = patient_sources(self.config, self._names, validation)
        return cached_patients(sources, self.cache, self.backgrounds, self.config)

    def origin(self) -> dict[str, Any]:
        """Where the pixels come from, with licences."""
        data = self.config.data
        held_out = data.validation_backgrounds
        licences = {
            name: ORIGINS[name].licence if name in ORIGINS else "unknown" for name in self._names
        }
        return {
            "lesions": "simulated after the radiology literature; no real lesions",
            "simulated_patients": "M3LungScreenLib.simulation, seeds in the training block",
            "simulator_sha256": simulator_sha256(),
            "real_backgrounds": {k: v for k, v in licences.items() if k not in held_out},
            "held_out_backgrounds": {k: v for k, v in licences.items() if k in held_out},
            "left_to_the_patient_level": [k for k in licences if k in data.patient_backgrounds],
        }

    def sentence(self) -> str:
        """The same as a note for the card."""
        used = self.origin()["real_backgrounds"]
        slices = sum(name in SLICES for name in used)
        return (
            "Trained on simulated lesions set into simulated chests and into real CT without "
            f"pneumonia ({len(used) - slices} volumes, {slices} single slices). No "
            "patient with pneumonia was included."
        )

    @property
    def _names(self) -> list[str]:
        return names_in(self.backgrounds)
