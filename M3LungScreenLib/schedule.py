"""Which slices are screened, in which order: a spread-out first look, then the rest."""

from collections.abc import Sequence

import numpy as np

FIRST_LOOK_SLICES = 24


def first_look(informative: Sequence[int], count: int = FIRST_LOOK_SLICES) -> list[int]:
    """At most `count` of the slices, spread evenly over them, ends included."""
    if len(informative) <= count:
        return list(informative)
    places = np.linspace(0, len(informative) - 1, count).round().astype(int)
    return [informative[place] for place in places]


def remaining(informative: Sequence[int], done: Sequence[int]) -> list[int]:
    """What is left, from the feet up."""
    finished = set(done)
    return [k for k in informative if k not in finished]


def chunks(slices: Sequence[int], size: int) -> list[list[int]]:
    """Consecutive runs of at most `size`."""
    return [list(slices[start : start + size]) for start in range(0, len(slices), size)]


def nearest_screened(k: int, screened: Sequence[int]) -> int:
    """The screened slice that lies nearest to `k`; of two the lower one."""
    return min(screened, key=lambda other: (abs(other - k), other))
