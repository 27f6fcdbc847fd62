"""What neighbouring slices say of one: a lesion is thicker than a thin slice."""

import numpy as np
from scipy import ndimage

# In standard deviations; farther slices say nothing.
REACH = 3.0


def mean_over_neighbours(values: np.ndarray, counted: np.ndarray, sigma: float) -> np.ndarray:
    """Gaussian-weighted mean of `values` `[slice, …]` over the slices that are `counted` `[slice]`.

    `sigma` is in slices; 0 leaves all as it is. Slices that do not count are 0.
    """
    if sigma <= 0:
        return values
    weights = _blurred(counted.astype(np.float32), sigma)
    weights[~counted] = np.inf
    kept = counted.reshape(-1, *[1] * (values.ndim - 1))
    found = _blurred(values * kept, sigma)
    found /= weights.reshape(kept.shape)
    return found


def _blurred(values: np.ndarray, sigma: float) -> np.ndarray:
    found = ndimage.gaussian_filter1d(values, sigma, axis=0, mode="constant", truncate=REACH)
    return np.asarray(found)
