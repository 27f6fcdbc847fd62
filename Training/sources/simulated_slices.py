"""Slices with and without their lesion, cut from simulated patients and real volumes.

A `Source` is a record of what to make: replayed it gives the same pixels. Each
becomes one shard on disk, so that making them can be stopped and gone on with.
"""

import sys
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from M3LungScreenLib import simulation
from M3LungScreenLib.classes import CLASS_KEYS
from M3LungScreenLib.preprocessing import Crop, crop_hu, find_crop
from M3LungScreenLib.settings import PreprocessingSettings
from M3LungScreenLib.simulation.lesions import apply_lesions, draw_lesions
from M3LungScreenLib.simulation.patient import simulate_patient
from M3LungScreenLib.simulation.variants import apply_variants, draw_variants
from Training.config import Copies, DataSettings
from Training.datasets.code_digest import code_sha256
from Training.datasets.shards import Arrays, cached, keyed_folder
from Training.sources import backgrounds
from Training.sources.backgrounds import Background

ILL = CLASS_KEYS[1:]
KEPT = ("ill", "clean", "truth", "classes", "healthy")
# Blocks of seeds: no patient of one split or level is one of another.
SLICE_TRAINING, SLICE_VALIDATION, PATIENT_TRAINING, PATIENT_VALIDATION, TEST, CALIBRATION = (
    block * 1_000_000 for block in range(1, 7)
)


@dataclass(frozen=True)
class Source:
    """One patient with pneumonia: simulated from `seed`, or lesions of `seed` in `background`."""

    class_key: str
    seed: int
    background: str | None = None

    @property
    def name(self) -> str:
        return f"{self.background or 'simulated'}-{self.class_key}-{self.seed}"


@dataclass(frozen=True)
class Pair:
    """The same chest with and without lesions, int16 HU; truth and lungs on the same grid."""

    ill: np.ndarray
    clean: np.ndarray
    truth: np.ndarray
    lungs: np.ndarray


class Rows(Protocol):
    """Crops in memory or on disk: an array, or anything indexed like one by rows."""

    def __len__(self) -> int: ...
    def __getitem__(self, rows: Any) -> Any: ...


@dataclass(frozen=True)
class SliceSamples:
    """P crops with a lesion: `ill` int16 HU `[P, S, S]`, `truth` bool, `classes` 1 to 3.

    `clean` are the same without their lesion, empty where the lesions are real; `healthy`
    `[H, S, S]` are slices of patients where no lesion lies. `has_truth` `[P]` tells where
    `truth` is a mask and not merely unknown; None for everywhere.
    """

    ill: Rows
    clean: Rows
    truth: Rows
    classes: np.ndarray
    healthy: Rows
    has_truth: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.classes)


def slice_sources(data: DataSettings, names: Iterable[str], validation: bool) -> list[Source]:
    """The patients that the slice level is trained or validated on."""
    others = [name for name in names if name not in data.patient_backgrounds]
    chosen = [name for name in others if (name in data.validation_backgrounds) == validation]
    if validation:
        simulated, copies = data.validation_simulated_per_class, data.validation_copies
        block = SLICE_VALIDATION
    else:
        simulated, copies, block = data.simulated_per_class, data.copies, SLICE_TRAINING
    return list_sources(chosen, simulated, copies, block + 10_000 * data.seed)


def list_sources(
    names: Iterable[str], simulated: int, copies: Copies, first_seed: int
) -> list[Source]:
    """`simulated` patients of each disease, and `copies` of each disease in each background.

    The lesions in a background do not depend on which other backgrounds there are.
    """
    made = [Source(key, first_seed + i) for i in range(simulated) for key in ILL]
    for name in names:
        start = first_seed + 5_000 + 100 * backgrounds.place_of(name)
        number = copies.in_slice if name in backgrounds.SLICES else copies.in_volume
        made += [Source(key, start + i, name) for i in range(number) for key in ILL]
    return made


def make_pair(source: Source, folder: Path | None, left_out: tuple[str, ...] = ()) -> Pair:
    """The voxels of a source: a chest, its harmless variants, then lesions; deterministic.

    Variants of the kinds in `left_out` are drawn, that all else stays the same, but not applied.
    """
    chest = chest_of(source, folder)
    rng = np.random.default_rng(source.seed)
    drawn = draw_variants(chest.lungs, chest.spacing_mm, rng)
    variants = [each for each in drawn if each.kind not in left_out]
    clean = apply_variants(chest.hu, chest.lungs, chest.spacing_mm, variants)
    lesions = draw_lesions(source.class_key, chest.lungs, chest.spacing_mm, rng)
    ill, truth = apply_lesions(clean, chest.lungs, chest.spacing_mm, lesions)
    return Pair(ill, clean, truth, chest.lungs)


def chest_of(source: Source, folder: Path | None) -> Background:
    """The chest of a source without findings or lesions."""
    if source.background is None:
        patient = simulate_patient("healthy", source.seed, slice_thickness_mm=6.0)
        return Background(patient.volume.hu, patient.lungs, patient.volume.spacing_mm)
    assert folder is not None
    return backgrounds.load(folder, source.background)


def make_slices(
    pair: Pair, source: Source, data: DataSettings, settings: PreprocessingSettings
) -> SliceSamples:
    """Slices with a visible lesion, the same without it, and some lesion-free slices."""
    rng = np.random.default_rng(source.seed)
    crops = {
        k: crop
        for k in rng.permutation(len(pair.clean))
        if (crop := find_crop(pair.clean[k], pair.lungs[k], settings))
    }
    ill = [
        k for k, crop in crops.items() if lesion_share(pair, k, crop) >= data.smallest_lesion_share
    ]
    free = [k for k in crops if not pair.truth[k].any()]
    ill, free = ill[: data.slices_per_patient], free[: data.healthy_slices_per_patient]
    size = settings.input_size

    def cut(hu: np.ndarray, chosen: list[int]) -> np.ndarray:
        return _stack([crop_hu(hu[k], crops[k], size) for k in chosen], size, np.int16)

    return SliceSamples(
        ill=cut(pair.ill, ill),
        clean=cut(pair.clean, ill),
        truth=_stack([_crop_truth(pair, k, crops[k], size) for k in ill], size, bool),
        classes=np.full(len(ill), CLASS_KEYS.index(source.class_key), np.int64),
        healthy=cut(pair.clean, free),
    )


def cached_slices(
    sources: list[Source],
    cache: Path,
    folder: Path | None,
    data: DataSettings,
    settings: PreprocessingSettings,
) -> SliceSamples:
    """The slices of all sources, from `cache` or newly simulated."""
    makers = {
        source.name: partial(_slice_arrays, source, folder, data, settings) for source in sources
    }
    shards = cached(slices_folder(cache, data, settings), makers, "making slices")
    return SliceSamples(**{name: np.concatenate([s[name] for s in shards]) for name in KEPT})


def slices_folder(cache: Path, data: DataSettings, settings: PreprocessingSettings) -> Path:
    """Cache folder for slices with these settings."""
    shaping = (
        pairs_code(),
        data.slices_per_patient,
        data.healthy_slices_per_patient,
        data.smallest_lesion_share,
        settings,
        *data.left_out_findings,
    )
    return keyed_folder(cache, "slices", *shaping)


def simulator_sha256() -> str:
    """Digest of the simulator's source files: a new simulator needs a new cache."""
    return code_sha256(simulation)


def pairs_code() -> str:
    """Digest of the code that makes pairs and cuts slices from them."""
    return code_sha256(simulation, backgrounds, sys.modules[__name__])


def _slice_arrays(
    source: Source, folder: Path | None, data: DataSettings, settings: PreprocessingSettings
) -> Arrays:
    pair = make_pair(source, folder, data.left_out_findings)
    made = vars(make_slices(pair, source, data, settings))
    return {name: made[name] for name in KEPT}


def lesion_share(pair: Pair, k: int, crop: Crop) -> float:
    """The share of lesion in the crop of slice `k`."""
    return float((pair.truth[k][crop.window] > 0).mean())


def _crop_truth(pair: Pair, k: int, crop: Crop, size: int) -> np.ndarray:
    mask = (pair.truth[k] > 0).astype(np.int16) * 1000
    return crop_hu(mask, crop, size) > 500


def _stack(arrays: list[np.ndarray], size: int, dtype: type) -> np.ndarray:
    return np.stack(arrays) if arrays else np.zeros((0, size, size), dtype)
