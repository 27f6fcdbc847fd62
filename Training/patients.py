"""Whole patients for the patient level: crops of all slices, then their features."""

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
from Training.backgrounds import VOLUMES
from Training.config import TrainingConfig
from Training.datasets.shards import Arrays, cached, kept, keyed_folder
from Training.samples import (
    PATIENT_TRAINING,
    PATIENT_VALIDATION,
    Rows,
    Source,
    list_sources,
    make_pair,
)

# How many slices a training patient is given; whole volumes of three times as many were
# answered alike, and each more costs time in every part of every scale.
SLICE_NUMBERS = (8, 64)
# As many images at a time: 24 slices in three windows.
FEATURE_BATCH = 72


@dataclass(frozen=True)
class PatientCrops:
    """One patient's informative slices from feet to head: int16 HU `[N, S, S]`."""

    name: str
    hu: Rows
    class_index: int


@dataclass(frozen=True)
class PatientFeatures:
    """`features` float32 `[window, N, D]` of one patient."""

    features: np.ndarray
    class_index: int


def patient_sources(config: TrainingConfig, names: list[str], validation: bool) -> list[Source]:
    """Patients other than the slice level's, in whole volumes; the same backgrounds held out."""
    data, patient = config.data, config.patient
    chosen = [
        name
        for name in names
        if name in VOLUMES and (name in data.validation_backgrounds) == validation
    ]
    if validation:
        simulated, copies = patient.validation_simulated_per_class, patient.validation_copies
        block = PATIENT_VALIDATION
    else:
        simulated, copies, block = patient.simulated_per_class, patient.copies, PATIENT_TRAINING
    return list_sources(chosen, simulated, copies, block + 10_000 * data.seed)


def cached_patients(
    sources: list[Source], cache: Path, folder: Path | None, config: TrainingConfig
) -> list[PatientCrops]:
    """Each ill patient and, of each seed, the same one healthy; made where missing."""
    settings, count = config.model.preprocessing, config.patient.largest_slice_count
    left_out = config.data.left_out_findings
    makers = {
        source.name: partial(_patient_arrays, source, folder, settings, count, left_out)
        for source in sources
    }
    shards = cached(patients_folder(cache, config), makers, "making patients")
    patients, healthy_seen = [], set()
    for source, shard in zip(sources, shards, strict=True):
        class_index = CLASS_KEYS.index(source.class_key)
        patients.append(PatientCrops(source.name, shard["ill"], class_index))
        body = (source.background, source.seed)
        if body not in healthy_seen:
            healthy_seen.add(body)
            patients.append(PatientCrops(f"{source.name}-healthy", shard["clean"], 0))
    return patients


def patients_folder(cache: Path, config: TrainingConfig) -> Path:
    """Where patients shaped by this config are kept."""
    return keyed_folder(cache, "patients", *_shaping(config))


def features_folder(cache: Path, config: TrainingConfig, weights_sha256: str) -> Path:
    """Where the features of these patients are kept, by the slice level of these weights."""
    network = config.model.slice_network
    return keyed_folder(cache, "features", weights_sha256, network, *_shaping(config))


def _shaping(config: TrainingConfig) -> tuple[Any, ...]:
    """The settings by which the same patient looks otherwise."""
    largest, findings = config.patient.largest_slice_count, config.data.left_out_findings
    return (largest, config.model.preprocessing, *findings)


def features_of(
    patients: list[PatientCrops],
    runner: SliceRunner,
    settings: PreprocessingSettings,
    folder: Path,
) -> list[PatientFeatures]:
    """Every patient through the slice-level network, each window apart; kept under `folder`."""
    found = []
    for each in tqdm(patients, desc="features", mininterval=10):
        maker = partial(_feature_arrays, each.hu, runner, settings)
        features = kept(folder, each.name, maker)["features"]
        found.append(PatientFeatures(features, each.class_index))
    return found


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
    left_out: tuple[str, ...],
) -> Arrays:
    pair = make_pair(source, folder, left_out)
    crops = {
        k: crop
        for k, (hu, lungs) in enumerate(zip(pair.clean, pair.lungs, strict=True))
        if (crop := find_crop(hu, lungs, settings))
    }
    chosen = first_look(list(crops), count)

    def cut(hu: np.ndarray) -> np.ndarray:
        return np.stack([crop_hu(hu[k], crops[k], settings.input_size) for k in chosen])

    return {"ill": cut(pair.ill), "clean": cut(pair.clean)}


def padded(
    chosen: list[PatientFeatures],
    seed: tuple[int, int] | None,
    dropout: float = 0.0,
    usual: np.ndarray | float = 0.0,
) -> tuple[np.ndarray, np.ndarray]:
    """Features `[B, N, D]` and mask `[B, N]`: all slices, windows averaged, where `seed` is None.

    Else `seed` draws for each patient a run of slices, their number and a mix of windows,
    so that slabs, thick and thin slices are known; that `dropout`'s share of features is what
    is `usual` (`[D]`) in all slices of a patient keeps the network from learning patients by
    heart.
    """
    rng = np.random.default_rng(seed)
    rows = [
        each.features.mean(axis=0) if seed is None else _drawn(each.features, rng, dropout, usual)
        for each in chosen
    ]
    longest = max(len(each) for each in rows)
    features = np.zeros((len(rows), longest, rows[0].shape[1]), np.float32)
    mask = np.zeros((len(rows), longest), bool)
    for i, each in enumerate(rows):
        features[i, : len(each)], mask[i, : len(each)] = each, True
    return features, mask


def _drawn(
    features: np.ndarray, rng: np.random.Generator, dropout: float, usual: np.ndarray | float
) -> np.ndarray:
    """Up to a fifth is left out at either end; what remains is thinned or repeated."""
    windows, count, size = features.shape
    start = rng.integers(0, count // 5 + 1)
    end = count - 1 - rng.integers(0, count // 5 + 1)
    number = round(float(np.exp(rng.uniform(*np.log(SLICE_NUMBERS)))))
    places = np.linspace(start, end, number).round().astype(int)
    shares = rng.dirichlet(np.ones(windows)).astype(np.float32)
    mixed = np.einsum("w,wnd->nd", shares, features[:, places])
    kept = np.float32(rng.random(size) >= dropout) / np.float32(1 - dropout)
    return np.asarray(usual + (mixed - usual) * kept, np.float32)
