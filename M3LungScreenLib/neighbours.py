"""Averages neighboring slices, because a lesion is thicker than a thin slice."""

import numpy as np
from scipy import ndimage

# In standard deviations; slices farther away do not count.
REACH = 3.0


def neighbour_weights(sigma: float) -> np.ndarray:
    """Gaussian weights `[2 reach + 1]` of a slice and its neighbors, which sum to 1.

    `sigma` is in slices; 0 means no neighbors: `[1.0]`.
    """
    if sigma <= 0:
        return np.ones(1)
    reach = int(REACH * sigma + 0.5)
    weights = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    return np.asarray(weights / weights.sum())


def mean_over_neighbours(values: np.ndarray, counted: np.ndarray, sigma: float) -> np.ndarray:
    """Gaussian-weighted mean of `values` `[slice, …]` over the slices that are `counted` `[slice]`.

    `sigma` is in slices; 0 changes nothing. Slices that are not counted become 0.
    """
    if sigma <= 0:
        return values
    weights = _summed(counted.astype(np.float32), sigma)
    weights[~counted] = np.inf
    kept = counted.reshape(-1, *[1] * (values.ndim - 1))
    found = _summed(values * kept, sigma)
    found /= weights.reshape(kept.shape)
    return found


def _summed(values: np.ndarray, sigma: float) -> np.ndarray:
    weights = neighbour_weights(sigma)
    return np.asarray(ndimage.correlate1d(values, weights, axis=0, mode="constant"))
