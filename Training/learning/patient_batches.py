"""Batches of the patient level: random runs of slices of each patient."""

from dataclasses import replace

import numpy as np

from Training.sources.patient_features import PatientFeatures

# Slices per training patient. Three times as many gave the same answers on whole volumes, and
# cost time at every scale.
SLICE_NUMBERS = (8, 64)
# A slab instead of a whole chest: frequency, share of the chest, number of slices.
SLAB_RATE, SLAB_SHARES, SLAB_NUMBERS = 0.25, (0.08, 0.5), (8, 23)
# Small disease: how often a patient keeps lesions in one run of slices only.
FOCAL_RATE = 0.3


def whole(patients: list[PatientFeatures]) -> tuple[np.ndarray, np.ndarray]:
    """Features `[B, N, D]` and mask `[B, N]` of all slices, averaged over windows."""
    return _padded([each.features.mean(axis=0) for each in patients])


def drawn(
    patients: list[PatientFeatures],
    seed: tuple[int, int],
    dropout: float = 0.0,
    usual: np.ndarray | float = 0.0,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Features `[B, N, D]`, mask `[B, N]` and classes `[B]`, drawn with `seed`.

    Each patient gives a run of slices with a random number of slices and mix of windows, so that
    the network sees slabs, thick and thin slices. A share of the features (`dropout`) is replaced
    by the mean (`usual`, `[D]`) in all slices of a patient, against overfitting. Some patients keep
    their lesions in a few slices only, as in early disease. The class is that of the slices shown:
    a slab without a lesion is Healthy, so that Healthy is more frequent than its share.
    """
    rng = np.random.default_rng(seed)
    rows, classes = [], []
    for each in patients:
        shown = _focal(each, rng)
        places = _places(shown, rng)
        rows.append(_mixed(shown.features[:, places], rng, dropout, usual))
        is_ill = shown.lesions is None or shown.lesions[places].any()
        classes.append(each.class_index if is_ill else 0)
    return *_padded(rows), np.array(classes)


def _focal(patient: PatientFeatures, rng: np.random.Generator) -> PatientFeatures:
    """The patient, or the same one with lesions in one run of slices only."""
    if patient.clean is None or patient.lesions is None or rng.random() >= FOCAL_RATE:
        return patient
    ill = np.flatnonzero(patient.lesions)
    if not ill.size:
        return patient
    number = rng.integers(1, len(ill), endpoint=True)
    start = rng.integers(0, len(ill) - number, endpoint=True)
    kept = np.isin(np.arange(len(patient.lesions)), ill[start : start + number])
    features = np.where(kept[None, :, None], patient.features, patient.clean)
    return replace(patient, features=features, lesions=patient.lesions & kept)


def _places(patient: PatientFeatures, rng: np.random.Generator) -> np.ndarray:
    """Indices of slices in order: a slab, if it is known which slices have a lesion, or nearly all.

    Of a whole chest up to a fifth is cut off at each end; the rest is subsampled or repeated.
    """
    count = patient.features.shape[1]
    if patient.lesions is not None and rng.random() < SLAB_RATE:
        length = rng.uniform(*SLAB_SHARES) * count
        start = rng.uniform(0, count - length)
        places = np.linspace(start, start + length, rng.integers(*SLAB_NUMBERS, endpoint=True))
        return np.minimum(places.astype(int), count - 1)
    start = rng.integers(0, count // 5 + 1)
    end = count - 1 - rng.integers(0, count // 5 + 1)
    number = round(float(np.exp(rng.uniform(*np.log(SLICE_NUMBERS)))))
    return np.asarray(np.linspace(start, end, number).round().astype(int))


def _mixed(
    features: np.ndarray, rng: np.random.Generator, dropout: float, usual: np.ndarray | float
) -> np.ndarray:
    """Windows `[W, N, D]` mixed at random, with some features replaced by `usual`: `[N, D]`."""
    shares = rng.dirichlet(np.ones(len(features))).astype(np.float32)
    mixed = np.einsum("w,wnd->nd", shares, features)
    kept = np.float32(rng.random(mixed.shape[1]) >= dropout) / np.float32(1 - dropout)
    return np.asarray(usual + (mixed - usual) * kept, np.float32)


def _padded(rows: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    longest = max(len(each) for each in rows)
    features = np.zeros((len(rows), longest, rows[0].shape[1]), np.float32)
    mask = np.zeros((len(rows), longest), bool)
    for i, each in enumerate(rows):
        features[i, : len(each)], mask[i, : len(each)] = each, True
    return features, mask
