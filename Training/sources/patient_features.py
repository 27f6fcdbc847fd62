"""Whole patients for the patient level: crops of all slices, then their features."""

import sys
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from M3LungScreenLib.classes import CLASS_KEYS
from M3LungScreenLib.engines.pytorch_engine import SliceRunner
from M3LungScreenLib.preprocessing import apply_windows, crop_hu, find_crop
from M3LungScreenLib.schedule import first_look
from M3LungScreenLib.settings import PreprocessingSettings
from Training.config import DataSettings, TrainingConfig
from Training.datasets.code_digest import code_sha256
from Training.datasets.shards import Arrays, cached, kept, keyed_folder
from Training.sources.backgrounds import SLICES
from Training.sources.simulated_slices import (
    PATIENT_TRAINING,
    PATIENT_VALIDATION,
    Rows,
    Source,
    lesion_share,
    list_sources,
    make_pair,
    pairs_code,
)

# Images per forward pass: 24 slices in three windows.
FEATURE_BATCH = 72


@dataclass(frozen=True)
class PatientCrops:
    """One patient's informative slices from feet to head: int16 HU `[N, S, S]`.

    `lesions` bool `[N]` tells which of them show one of at least `data.smallest_lesion_share`;
    None where nobody knows. `without_lesions` names the same patient in health.
    """

    name: str
    hu: Rows
    class_index: int
    lesions: np.ndarray | None = None
    without_lesions: str | None = None


@dataclass(frozen=True)
class PatientFeatures:
    """`features` float32 `[window, N, D]` of one patient, `lesions` as in PatientCrops.

    `clean`, like `features`, is of the same slices without any lesion, where there are such.
    """

    features: np.ndarray
    class_index: int
    lesions: np.ndarray | None = None
    clean: np.ndarray | None = None


def patient_sources(config: TrainingConfig, names: list[str], validation: bool) -> list[Source]:
    """Patients other than the slice level's, in whole volumes; same held-out backgrounds."""
    data, patient = config.data, config.patient
    held_out = data.validation_backgrounds
    chosen = [n for n in names if n not in SLICES and (n in held_out) == validation]
    if not validation:
        chosen = [name for name in chosen if name in data.patient_backgrounds] or chosen
    if validation:
        simulated, copies = patient.validation_simulated_per_class, patient.validation_copies
        block = PATIENT_VALIDATION
    else:
        simulated, copies, block = patient.simulated_per_class, patient.copies, PATIENT_TRAINING
    return list_sources(chosen, simulated, copies, block + 10_000 * data.seed)


def cached_patients(
    sources: list[Source], cache: Path, folder: Path | None, config: TrainingConfig
) -> list[PatientCrops]:
    """Each patient with pneumonia and, for each seed, the same one healthy; cached."""
    settings, count = config.model.preprocessing, config.patient.largest_slice_count
    makers = {
        source.name: partial(_patient_arrays, source, folder, settings, count, config.data)
        for source in sources
    }
    shards = cached(patients_folder(cache, config), makers, "making patients")
    patients: list[PatientCrops] = []
    healthy: dict[tuple[str | None, int], str] = {}
    for source, shard in zip(sources, shards, strict=True):
        lesions, body = shard["lesions"], (source.background, source.seed)
        if body not in healthy:
            healthy[body] = f"{source.name}-healthy"
            none = np.zeros_like(lesions)
            patients.append(PatientCrops(healthy[body], shard["clean"], 0, none))
        class_index = CLASS_KEYS.index(source.class_key)
        ill = PatientCrops(source.name, shard["ill"], class_index, lesions, healthy[body])
        patients.append(ill)
    return patients


def patients_folder(cache: Path, config: TrainingConfig) -> Path:
    """Cache folder for patients with this config."""
    return keyed_folder(cache, "patients", *_shaping(config))


def features_folder(cache: Path, config: TrainingConfig, weights_sha256: str) -> Path:
    """Cache folder for features of these patients from a slice level with these weights."""
    network = config.model.slice_network
    return keyed_folder(cache, "features", weights_sha256, network, *_shaping(config))


def _shaping(config: TrainingConfig) -> tuple[Any, ...]:
    """The code and the settings that change a patient's crops."""
    data = config.data
    of_patients = (config.patient.largest_slice_count, data.smallest_lesion_share)
    code = (pairs_code(), code_sha256(sys.modules[__name__]))
    return (*code, *of_patients, config.model.preprocessing, *data.left_out_findings)


def features_of(
    patients: list[PatientCrops],
    runner: SliceRunner,
    settings: PreprocessingSettings,
    folder: Path,
) -> list[PatientFeatures]:
    """Slice-level features of every patient, each window separately; cached in `folder`."""
    found: dict[str, np.ndarray] = {}
    for each in tqdm(patients, desc="features", mininterval=10):
        maker = partial(_feature_arrays, each.hu, runner, settings)
        found[each.name] = kept(folder, each.name, maker)["features"]
    return [
        PatientFeatures(
            found[each.name],
            each.class_index,
            each.lesions,
            found[each.without_lesions] if each.without_lesions else None,
        )
        for each in patients
    ]


def _feature_arrays(crops: Rows, runner: SliceRunner, settings: PreprocessingSettings) -> Arrays:
    return {"features": _features(crops[:], runner, settings)}


def _features(hu: np.ndarray, runner: SliceRunner, settings: PreprocessingSettings) -> np.ndarray:
    windows = apply_windows(hu, settings.window_centers_hu, settings.window_width_hu)
    images = windows.reshape(-1, 1, *hu.shape[1:])  # window by window
    batches = np.split(images, range(FEATURE_BATCH, len(images), FEATURE_BATCH))
    rows = np.concatenate([runner.run(batch).features for batch in batches])
    return rows.reshape(len(windows), len(hu), -1)


def _patient_arrays(
    source: Source,
    folder: Path | None,
    settings: PreprocessingSettings,
    count: int,
    data: DataSettings,
) -> Arrays:
    pair = make_pair(source, folder, data.left_out_findings)
    crops = {
        k: crop
        for k, (hu, lungs) in enumerate(zip(pair.clean, pair.lungs, strict=True))
        if (crop := find_crop(hu, lungs, settings))
    }
    chosen = first_look(list(crops), count)

    def cut(hu: np.ndarray) -> np.ndarray:
        return np.stack([crop_hu(hu[k], crops[k], settings.input_size) for k in chosen])

    shares = np.array([lesion_share(pair, k, crops[k]) for k in chosen])
    lesions = shares >= data.smallest_lesion_share
    return {"ill": cut(pair.ill), "clean": cut(pair.clean), "lesions": lesions}
