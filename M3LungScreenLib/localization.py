"""The location map in the CT's own voxels, and the label map drawn from it."""

from collections.abc import Mapping

import numpy as np
from scipy import ndimage

from M3LungScreenLib.neighbours import neighbour_weights
from M3LungScreenLib.preprocessing import Crop, resized

# Voxels that touch at a corner belong to one lesion: in thick slices its outline moves
# sideways from one slice to the next.
CONNECTED = np.ones((3, 3, 3), bool)
# Of a disease that the patient level rules out: the slices still decide among diseases.
LEAST_PRIOR = 1e-9


def location_volume(
    maps: Mapping[int, np.ndarray],
    crops: Mapping[int, Crop],
    lungs: np.ndarray,
    sigma: float = 0.0,
) -> np.ndarray:
    """Per-slice maps `[h, w]` in [0, 1] as one float32 volume like `lungs`, 0 outside the lungs.

    `maps` and `crops` by axial slice; a map covers its slice's crop, which holds all its lung.
    With `sigma` (in slices) a voxel is the Gaussian-weighted mean over the neighbouring slices
    whose crops cover it; a neighbour that did not see the voxel has no say in it.
    """
    weights = neighbour_weights(sigma)
    reach = len(weights) // 2
    fitted: dict[int, np.ndarray] = {}
    volume = np.zeros(lungs.shape, np.float32)
    for k in sorted(maps):
        near = {j: float(weights[j - k + reach]) for j in range(k - reach, k + reach + 1)}
        near = {j: weight for j, weight in near.items() if j in maps}
        fitted = {j: fitted[j] if j in fitted else _fitted(maps[j], crops[j]) for j in near}
        volume[k] = _mean_where_seen(fitted, crops, near, lungs.shape[1:]) * (lungs[k] > 0)
    return volume


def label_map(
    location: np.ndarray,
    lungs: np.ndarray,
    slice_probabilities: np.ndarray,
    patient_probabilities: np.ndarray | None,
    threshold: float,
) -> np.ndarray:
    """Class index of each lesion voxel, uint8 `[slice, row, column]`, 0 elsewhere.

    A voxel is lesion where the location map is over `threshold` inside the lungs, in slices
    whose Eq. 4 probabilities `[slice, 4]` do not call them Healthy. Each lesion, connected in
    3D, bears one class: see `lesion_class_votes`.
    """
    is_ill = slice_probabilities.argmax(axis=1) > 0
    lesion = (location > threshold) & (lungs > 0) & is_ill[:, None, None]
    labels = np.zeros(lesion.shape, np.uint8)
    if not lesion.any():
        return labels
    box = ndimage.find_objects(lesion.view(np.uint8))[0]
    lesions, count = ndimage.label(lesion[box], CONNECTED)
    votes = lesion_class_votes(slice_probabilities[box[0]], patient_probabilities)
    sums = np.zeros((count + 1, votes.shape[1]))
    for of_slice, vote in zip(lesions, votes, strict=True):
        sums += np.bincount(of_slice.ravel(), minlength=count + 1)[:, None] * vote
    classes = 1 + sums.argmax(axis=1)
    classes[0] = 0
    labels[box] = classes.astype(np.uint8)[lesions]
    return labels


def lesion_class_votes(
    slice_probabilities: np.ndarray, patient_probabilities: np.ndarray | None
) -> np.ndarray:
    """What a lesion voxel of each slice adds to its lesion's three diseases: `[slice, 3]`.

    The slice's Eq. 4 probabilities times the patient's, renormalised over the diseases, so
    that every voxel has one vote; the slice's alone where there is no patient (one slice).
    A lesion gets the disease with the largest sum.
    """
    votes = np.asarray(slice_probabilities[:, 1:], np.float64)
    if patient_probabilities is not None:
        votes = votes * np.maximum(patient_probabilities[1:], LEAST_PRIOR)
    sums = votes.sum(axis=1, keepdims=True)
    return np.asarray(np.divide(votes, sums, out=np.zeros_like(votes), where=sums > 0))


def _fitted(location_map: np.ndarray, crop: Crop) -> np.ndarray:
    """A map in the pixels of its crop."""
    return resized(location_map, (crop.rows, crop.columns))


def _mean_where_seen(
    fitted: Mapping[int, np.ndarray],
    crops: Mapping[int, Crop],
    weights: Mapping[int, float],
    shape: tuple[int, ...],
) -> np.ndarray:
    """Weighted mean of crops, float32 `shape`: at each pixel over those that cover it, or 0."""
    total, seen = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
    for j, weight in weights.items():
        total[crops[j].window] += weight * fitted[j]
        seen[crops[j].window] += weight
    return np.divide(total, seen, out=total, where=seen > 0)
