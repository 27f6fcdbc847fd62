"""The location map as one byte a voxel: float32 of a large CT would take gigabytes."""

from typing import Any

import numpy as np

# More than a map is worth, which the network gives in cells of several millimetres.
STEPS = 250


class LocationMap(np.lib.mixins.NDArrayOperatorsMixin):
    """Behaves as the read-only float32 array `[slice, row, column]` of multiples of 1/250.

    Kept as uint8 `steps`. A slice `[k]` or any other part is made when asked for; what needs
    the whole array makes it whole.
    """

    dtype = np.dtype(np.float32)

    def __init__(self, steps: np.ndarray) -> None:
        self.steps = steps
        steps.flags.writeable = False

    def __len__(self) -> int:
        return len(self.steps)

    def __getitem__(self, part: Any) -> np.ndarray:
        return values_of(self.steps[part])

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return values_of(self.steps).astype(dtype or self.dtype, copy=False)

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **named: Any) -> Any:
        whole = [np.asarray(each) if isinstance(each, LocationMap) else each for each in inputs]
        return getattr(ufunc, method)(*whole, **named)

    def __getattr__(self, name: str) -> Any:
        if name == "steps" or name.startswith("__"):
            raise AttributeError(name)
        return getattr(self.steps if name in ("shape", "ndim", "size") else self[:], name)


def steps_of(values: np.ndarray) -> np.ndarray:
    """Values in [0, 1] as uint8 steps."""
    return np.rint(values * np.float32(STEPS)).astype(np.uint8)


def values_of(steps: np.ndarray) -> np.ndarray:
    """uint8 steps as float32 in [0, 1]."""
    return np.asarray(np.divide(steps, np.float32(STEPS), dtype=np.float32))
