"""Slices with and without their lesion, cut from simulated patients and real volumes.

A `Source` is a record of what to make: replayed it gives the same pixels. Each
becomes one shard on disk, so that making them can be stopped and gone on with.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from M3LungScreenLib.classes import CLASS_KEYS
from M3LungScreenLib.ct import CTVolume
from M3LungScreenLib.lungs import segment_lungs
from M3LungScreenLib.preprocessing import Crop, crop_hu, find_crops
from M3LungScreenLib.settings import PreprocessingSettings
from M3LungScreenLib.simulation.lesions import apply_lesions, draw_lesions
from M3LungScreenLib.simulation.patient import simulate_patient
from Training.config import DataSettings
from Training.datasets.shards import Arrays, cached, keyed_folder

ILL = CLASS_KEYS[1:]
# Blocks of seeds: no patient of one split or level is one of another.
SLICE_TRAINING, SLICE_VALIDATION, PATIENT_TRAINING, PATIENT_VALIDATION, TEST = (
    block * 1_000_000 for block in range(1, 6)
)


@dataclass(frozen=True)
class Source:
    """One ill patient: simulated from `seed`, or lesions of `seed` set into `background`."""

    class_key: str
    seed: int
    background: str | None = None

    @property
    def name(self) -> str:
        return f"{self.background or 'simulated'}-{self.class_key}-{self.seed}"


@dataclass(frozen=True)
class Pair:
    """A CT with its lesions and the same without, their truth and lungs, on one grid."""

    ill: CTVolume
    clean: CTVolume
    truth: np.ndarray
    lungs: np.ndarray


@dataclass(frozen=True)
class SliceSamples:
    """P crops: `ill` and `clean` int16 HU `[P, S, S]`, `truth` bool, `classes` 1 to 3."""

    ill: np.ndarray
    clean: np.ndarray
    truth: np.ndarray
    classes: np.ndarray

    def __len__(self) -> int:
        return len(self.classes)


def background_names(folder: Path | None) -> list[str]:
    """Stems of the real volumes in `folder`, without the masks beside them."""
    if folder is None:
        return []
    return sorted(path.stem for path in folder.glob("*.nrrd") if not path.stem.endswith("-nodules"))


def slice_sources(data: DataSettings, backgrounds: Iterable[str], validation: bool) -> list[Source]:
    """What the slice level learns from, or is validated on."""
    if validation:
        chosen = [name for name in backgrounds if name in data.validation_backgrounds]
        simulated, copies = (
            data.validation_simulated_per_class,
            data.validation_copies_per_background,
        )
        block = SLICE_VALIDATION
    else:
        chosen = [name for name in backgrounds if name not in data.validation_backgrounds]
        simulated, copies, block = (
            data.simulated_per_class,
            data.copies_per_background,
            SLICE_TRAINING,
        )
    return list_sources(chosen, simulated, copies, block + 10_000 * data.seed)


def list_sources(
    backgrounds: Iterable[str], simulated: int, copies: int, first_seed: int
) -> list[Source]:
    """`simulated` patients of each disease, and `copies` of each disease in each background."""
    made = [Source(key, first_seed + i) for i in range(simulated) for key in ILL]
    for place, name in enumerate(backgrounds):
        start = first_seed + 5_000 + 100 * place
        made += [Source(key, start + i, name) for i in range(copies) for key in ILL]
    return made


def make_pair(source: Source, backgrounds: Path | None) -> Pair:
    """The voxels of a source; deterministic."""
    if source.background is None:
        patient = simulate_patient(source.class_key, source.seed, slice_thickness_mm=6.0)
        clean = patient.without_lesions().volume
        return Pair(patient.volume, clean, patient.truth, patient.lungs)
    assert backgrounds is not None
    clean = CTVolume.from_image(sitk.ReadImage(backgrounds / f"{source.background}.nrrd"))
    lungs = segment_lungs(clean)
    rng = np.random.default_rng(source.seed)
    records = draw_lesions(source.class_key, lungs, clean.spacing_mm, rng)
    hu, truth = apply_lesions(clean.hu, lungs, clean.spacing_mm, records)
    return Pair(CTVolume(hu, clean.geometry, clean.stored), clean, truth, lungs)


def make_slices(
    pair: Pair, source: Source, data: DataSettings, settings: PreprocessingSettings
) -> SliceSamples:
    """Up to `slices_per_patient` slices with a visible lesion, each with its clean twin."""
    crops = find_crops(pair.ill, pair.lungs, settings)
    enough = [
        k
        for k, crop in enumerate(crops)
        if crop and _share(pair, k, crop) >= data.smallest_lesion_share
    ]
    rng = np.random.default_rng(source.seed)
    chosen = sorted(rng.permutation(enough)[: data.slices_per_patient].astype(int))
    size = settings.input_size
    cut = [(k, crop) for k in chosen if (crop := crops[k])]
    return SliceSamples(
        ill=_stack([crop_hu(pair.ill.hu[k], crop, size) for k, crop in cut], size, np.int16),
        clean=_stack([crop_hu(pair.clean.hu[k], crop, size) for k, crop in cut], size, np.int16),
        truth=_stack([_crop_truth(pair, k, crop, size) for k, crop in cut], size, bool),
        classes=np.full(len(cut), CLASS_KEYS.index(source.class_key), np.int64),
    )


def cached_slices(
    sources: list[Source],
    cache: Path,
    backgrounds: Path | None,
    data: DataSettings,
    settings: PreprocessingSettings,
) -> SliceSamples:
    """The slices of all sources, made where they are not yet under `cache`."""
    shaping = (data.slices_per_patient, data.smallest_lesion_share, settings)
    makers = {
        source.name: partial(_slice_arrays, source, backgrounds, data, settings)
        for source in sources
    }
    shards = cached(keyed_folder(cache, "slices", *shaping), makers, "making slices")
    return _joined([SliceSamples(**shard) for shard in shards])


def _slice_arrays(
    source: Source, backgrounds: Path | None, data: DataSettings, settings: PreprocessingSettings
) -> Arrays:
    return vars(make_slices(make_pair(source, backgrounds), source, data, settings))


def _joined(parts: list[SliceSamples]) -> SliceSamples:
    return SliceSamples(
        ill=np.concatenate([part.ill for part in parts]),
        clean=np.concatenate([part.clean for part in parts]),
        truth=np.concatenate([part.truth for part in parts]),
        classes=np.concatenate([part.classes for part in parts]),
    )


def _share(pair: Pair, k: int, crop: Crop) -> float:
    return float((pair.truth[k][crop.window] > 0).mean())


def _crop_truth(pair: Pair, k: int, crop: Crop, size: int) -> np.ndarray:
    mask = (pair.truth[k] > 0).astype(np.int16) * 1000
    return crop_hu(mask, crop, size) > 500


def _stack(arrays: list[np.ndarray], size: int, dtype: type) -> np.ndarray:
    return np.stack(arrays) if arrays else np.zeros((0, size, size), dtype)
