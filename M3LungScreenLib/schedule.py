"""Which slices are screened in which order: a first look spread over the lungs, then the rest."""

from collections.abc import Collection, Sequence

import numpy as np

FIRST_LOOK_SLICES = 24


def first_look(informative: Sequence[int], count: int = FIRST_LOOK_SLICES) -> list[int]:
    """At most `count` of the slices, evenly spread, including both ends."""
    if len(informative) <= count:
        return list(informative)
    places = np.linspace(0, len(informative) - 1, count).round().astype(int)
    return [informative[place] for place in places]


def remaining(informative: Sequence[int], done: Sequence[int]) -> list[int]:
    """The slices not yet done, from the feet up."""
    finished = set(done)
    return [k for k in informative if k not in finished]


def chunks(slices: Sequence[int], size: int) -> list[list[int]]:
    """Consecutive chunks of at most `size` slices."""
    return [list(slices[start : start + size]) for start in range(0, len(slices), size)]


def nearest_screened(k: int, screened: Collection[int]) -> int:
    """The screened slice nearest to `k`; of two equally near, the lower one."""
    if k in screened:
        return k
    return min(screened, key=lambda other: (abs(other - k), other))
