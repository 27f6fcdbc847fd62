"""Values of any type as Hounsfield units in int16."""

import numpy as np

from M3LungScreenLib.errors import InputRefused, UsageError
from M3LungScreenLib.outside import NO_VALUE_HU


def rounded_hu(values: np.ndarray) -> np.ndarray:
    """A copy of `values` `[slice, row, column]` in int16, made slice by slice.

    NaN and infinite values become NO_VALUE_HU; larger values are clipped to int16. Raises
    UsageError if the values are not numbers, InputRefused for values of one byte.
    """
    check_type(values.dtype)
    if values.dtype == np.int16:
        return np.array(values, order="C")
    hu = np.empty(values.shape, np.int16)
    for rounded, each in zip(hu, values, strict=True):
        finite = np.isfinite(each)
        limited = np.clip(np.rint(np.where(finite, each, 0)), NO_VALUE_HU + 1, 32767)
        rounded[...] = np.where(finite, limited, NO_VALUE_HU)
    return hu


def check_type(kind: np.dtype) -> None:
    """Refuse types that cannot hold HU: UsageError if not numbers, InputRefused for one byte."""
    if kind.kind not in "iuf":
        raise UsageError(
            "not_numbers",
            f"HU must be integers or floats, but this array has type {kind}. Convert it to int16.",
        )
    check_bytes(kind.itemsize)


def check_bytes(of_a_value: int) -> None:
    """Refuse values of one byte, which cannot hold HU."""
    if of_a_value == 1:
        raise no_hu("its values have only 8 bits, like a picture or a label map")


def check_numbers(hu: np.ndarray) -> None:
    """Refuse int16 HU that hold NO_VALUE_HU: fill outside the body is marked otherwise."""
    missing = sum(np.count_nonzero(each == NO_VALUE_HU) for each in hu)
    if missing:
        raise no_hu(f"{missing:,} of its values inside the image are not numbers (NaN or infinite)")


def no_hu(reason: str) -> InputRefused:
    """The refusal of an image that is not CT in HU."""
    return InputRefused(
        "not_hu",
        f"This does not look like CT in Hounsfield units: {reason}. Load the original CT series, "
        "not a picture or a processed copy.",
    )
