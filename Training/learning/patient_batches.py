"""What is in a batch of the patient level: a run of slices of each patient, drawn anew."""

from dataclasses import replace

import numpy as np

from Training.sources.patient_features import PatientFeatures

# How many slices a training patient is given; whole volumes of three times as many were
# answered alike, and each more costs time in every part of every scale.
SLICE_NUMBERS = (8, 64)
# A slab instead of a whole chest: how often, which share of the chest, how many slices.
SLAB_RATE, SLAB_SHARES, SLAB_NUMBERS = 0.25, (0.08, 0.5), (8, 23)
# Disease that is small: how often a patient keeps the lesions of one run of slices alone.
FOCAL_RATE = 0.3


def whole(patients: list[PatientFeatures]) -> tuple[np.ndarray, np.ndarray]:
    """Features `[B, N, D]` and mask `[B, N]`: all slices, windows averaged."""
    return _padded([each.features.mean(axis=0) for each in patients])


def drawn(
    patients: list[PatientFeatures],
    seed: tuple[int, int],
    dropout: float = 0.0,
    usual: np.ndarray | float = 0.0,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Features `[B, N, D]`, mask `[B, N]` and classes `[B]` as `seed` draws them.

    Each patient gives a run of slices, their number and a mix of windows, so that slabs,
    thick and thin slices are known; that `dropout`'s share of features is what is `usual`
    (`[D]`) in all slices of a patient keeps the network from learning patients by heart.
    Some have lesions in a few slices alone, as in the beginning of a disease. The class is that
    of what is shown: a slab where no lesion is seen is a healthy one (so that the healthy are
    more than their share).
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
    """The patient, or the same one with the lesions of one run of slices alone."""
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
    """Which slices, in order: a slab where it is known which show a lesion, or nearly all.

    Of a whole chest up to a fifth is left out at either end; what remains is thinned or repeated.
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
    """The windows `[W, N, D]` in a drawn mix, some of the features as usual: `[N, D]`."""
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
