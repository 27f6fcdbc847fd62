"""The location map with one byte per voxel: float32 would take gigabytes for a large CT."""

from typing import Any

import numpy as np

# Finer than needed: the network's cells are several millimeters wide.
STEPS = 250


class LocationMap(np.lib.mixins.NDArrayOperatorsMixin):
    """Behaves like a read-only float32 array `[slice, row, column]` of multiples of 1/250.

    Stored as uint8 `steps`. Indexing converts only the part that is indexed; NumPy functions
    convert the whole array.
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
