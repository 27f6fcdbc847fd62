"""Small slices and patients without a simulator: bright discs on noise."""

import numpy as np

from Training.sources.simulated_slices import SliceSamples

SIZE = 64


def slices_with_discs(count: int, seed: int = 0, size: int = SIZE) -> SliceSamples:
    """Lung-like noise, `ill` with a disc of soft tissue whose size tells the class."""
    rng = np.random.default_rng(seed)
    clean = rng.normal(-850, 30, (count, size, size)).astype(np.int16)
    classes = 1 + np.arange(count) % 3
    row, column = np.mgrid[:size, :size] / size
    places = rng.uniform(0.3, 0.7, (count, 2))
    truth = np.stack(
        [
            (row - y) ** 2 + (column - x) ** 2 < (0.08 * k) ** 2
            for (y, x), k in zip(places, classes, strict=True)
        ]
    )
    ill = np.where(truth, np.int16(-100), clean)
    return SliceSamples(ill, clean, truth, classes, healthy=clean[::-1])
