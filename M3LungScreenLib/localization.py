"""The lesion location map in the CT's own voxels, and the label map made from it."""

from collections.abc import Iterator, Mapping

import numpy as np
from scipy import ndimage
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from M3LungScreenLib.location_map import LocationMap, steps_of
from M3LungScreenLib.neighbours import neighbour_weights
from M3LungScreenLib.preprocessing import Crop, interpolated, resized

# Voxels that touch at a corner belong to one lesion: in thick slices, its outline shifts from
# one slice to the next.
CONNECTED = np.ones((3, 3, 3), bool)
SLAB_SLICES = 16
# The network's cells are some 20 pixels of 512² wide: means need not be finer than this.
MEANS_MATRIX = 256
# If the patient level rules out every disease, the slices still decide among them.
LEAST_PRIOR = 1e-9


def location_volume(
    maps: Mapping[int, np.ndarray],
    crops: Mapping[int, Crop],
    lungs: np.ndarray,
    sigma: float = 0.0,
) -> LocationMap:
    """Per-slice maps `[h, w]` in [0, 1] as one volume like `lungs`, 0 outside the lungs.

    `maps` and `crops` by axial slice; a map covers its slice's crop, which holds all its lung.
    With `sigma` (in slices) a voxel is the Gaussian-weighted mean over the neighboring slices
    whose crops cover it; in matrices above 256² the means are those of blocks of pixels.
    """
    steps = np.zeros(lungs.shape, np.uint8)
    block = max(1, round(max(lungs.shape[1:]) / MEANS_MATRIX))
    for k, mean in _means(maps, crops, lungs.shape[1:], sigma, block):
        window = crops[k].window
        part = steps_of(mean if block == 1 else _enlarged(mean, crops[k], block))
        steps[k][window] = part * (lungs[k][window] > 0)
    return LocationMap(steps)


def _means(
    maps: Mapping[int, np.ndarray],
    crops: Mapping[int, Crop],
    shape: tuple[int, ...],
    sigma: float,
    block: int,
) -> Iterator[tuple[int, np.ndarray]]:
    """Each slice and the mean of the maps near it, in the blocks that its crop touches."""
    weights = neighbour_weights(sigma)
    reach = len(weights) // 2
    places = {k: _in_blocks(crop, block) for k, crop in crops.items()}
    blocks = tuple(-(-size // block) for size in shape)
    fitted: dict[int, np.ndarray] = {}
    for k in sorted(maps):
        near = {j: float(weights[j - k + reach]) for j in range(k - reach, k + reach + 1)}
        near = {j: weight for j, weight in near.items() if j in maps}
        fitted = {j: fitted[j] if j in fitted else _fitted(maps[j], crops[j], block) for j in near}
        yield k, _mean_where_seen(fitted, places, near, blocks)[places[k].window]


def _in_blocks(crop: Crop, block: int) -> Crop:
    """The crop in blocks of pixels: all that it touches."""
    row, column = crop.row // block, crop.column // block
    bottom, right = crop.row + crop.rows, crop.column + crop.columns
    return Crop(row, column, -(-bottom // block) - row, -(-right // block) - column)


def _fitted(location_map: np.ndarray, crop: Crop, block: int) -> np.ndarray:
    """A map of `crop` in the blocks that it touches."""
    if block == 1:
        return resized(location_map, (crop.rows, crop.columns))
    place = _in_blocks(crop, block)
    rows, columns = location_map.shape
    y = (block * (place.row + np.arange(place.rows) + 0.5) - crop.row) * (rows / crop.rows)
    x = (block * (place.column + np.arange(place.columns) + 0.5) - crop.column) * (
        columns / crop.columns
    )
    return interpolated(interpolated(location_map.astype(np.float32), 0, y - 0.5), 1, x - 0.5)


def _enlarged(mean: np.ndarray, crop: Crop, block: int) -> np.ndarray:
    """The pixels of `crop` out of the blocks that it touches."""
    place = _in_blocks(crop, block)
    y = (crop.row + np.arange(crop.rows) + 0.5) / block - place.row - 0.5
    x = (crop.column + np.arange(crop.columns) + 0.5) / block - place.column - 0.5
    return interpolated(interpolated(mean, 0, y), 1, x)


def label_map(
    location: np.ndarray | LocationMap,
    lungs: np.ndarray,
    slice_probabilities: np.ndarray,
    patient_probabilities: np.ndarray | None,
    threshold: float,
) -> np.ndarray:
    """Class index of each lesion voxel, uint8 `[slice, row, column]`, 0 elsewhere.

    A lung voxel is lesion if the location map is above `threshold` there, and its slice is not
    classified as Healthy by its Eq. 4 probabilities `[slice, 4]`. Each lesion, connected in 3D,
    has one class: see `lesion_class_votes`.
    """
    labels = np.zeros(lungs.shape, np.uint8)
    for k in np.flatnonzero(slice_probabilities.argmax(axis=1) > 0):
        labels[k] = (location[k] > threshold) & (lungs[k] > 0)
    if labels.any():
        (box,) = ndimage.find_objects(labels)
        votes = lesion_class_votes(slice_probabilities[box[0]], patient_probabilities)
        _give_classes(labels[box], votes)
    return labels


def _give_classes(mask: np.ndarray, votes: np.ndarray) -> None:
    """Give each lesion of `mask` (uint8), in place, the class with most `votes` `[slice, 3]`."""
    sums, links = np.zeros((1, votes.shape[1])), []
    shared = np.zeros(mask.shape[1:], np.int32)
    for slab, regions, count in _slabs(mask):
        sums = np.concatenate([sums, np.zeros((count + 1 - len(sums), votes.shape[1]))])
        for region, vote in zip(regions[:SLAB_SLICES], votes[slab], strict=False):
            sums += np.bincount(region[region > 0], minlength=count + 1)[:, None] * vote
        links.append(np.stack([shared[shared > 0], regions[0][shared > 0]]))
        shared = regions[-1] if len(regions) > SLAB_SLICES else shared
    one, other = np.concatenate(links, axis=1)
    linked = coo_matrix((np.ones(len(one), bool), (one, other)), [len(sums)] * 2)
    _, lesion = connected_components(linked, directed=False)
    of_lesion = np.zeros_like(sums)
    np.add.at(of_lesion, lesion, sums)
    classes = (1 + of_lesion[lesion].argmax(axis=1)).astype(np.uint8)
    classes[0] = 0
    for slab, regions, _ in _slabs(mask):
        mask[slab] = classes[regions]


def _slabs(mask: np.ndarray) -> Iterator[tuple[slice, np.ndarray, int]]:
    """Slices of a slab and the first of the next, their regions, and the regions so far.

    Regions are numbered through all slabs: those of the whole volume at once would take four
    times its memory.
    """
    count = 0
    for first in range(0, len(mask), SLAB_SLICES):
        slab = slice(first, first + SLAB_SLICES + 1)
        regions, found = ndimage.label(mask[slab], CONNECTED)
        regions[regions > 0] += count
        count += found
        yield slab, regions, count


def lesion_class_votes(
    slice_probabilities: np.ndarray, patient_probabilities: np.ndarray | None
) -> np.ndarray:
    """The votes of a lesion voxel in each slice for the three diseases: `[slice, 3]`.

    The slice's Eq. 4 probabilities times the patient's, renormalized over the diseases, so
    that every voxel has one vote; only the slice's for a single slice without a patient.
    A lesion gets the disease with the largest sum.
    """
    votes = np.asarray(slice_probabilities[:, 1:], np.float64)
    if patient_probabilities is not None:
        votes = votes * np.maximum(patient_probabilities[1:], LEAST_PRIOR)
    sums = votes.sum(axis=1, keepdims=True)
    return np.asarray(np.divide(votes, sums, out=np.zeros_like(votes), where=sums > 0))


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
