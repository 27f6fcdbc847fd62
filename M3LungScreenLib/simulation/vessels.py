"""Grows a vessel tree that fills a lung, and the accompanying bronchi."""

from dataclasses import dataclass

import numpy as np

# Murray's law: the cube of a parent's radius is the sum of its children's cubes.
BRANCHING_POWER = 1 / 3


@dataclass(frozen=True)
class Tubes:
    """Straight tubes: `starts`, `ends` [n, 3] z, y, x in mm and `radii` [n]."""

    starts: np.ndarray
    ends: np.ndarray
    radii: np.ndarray

    def joined(self, *others: "Tubes") -> "Tubes":
        every = (self, *others)
        return Tubes(
            np.concatenate([t.starts for t in every]),
            np.concatenate([t.ends for t in every]),
            np.concatenate([t.radii for t in every]),
        )

    def chosen(self, which: np.ndarray) -> "Tubes":
        return Tubes(self.starts[which], self.ends[which], self.radii[which])


def grow_tree(
    root: np.ndarray, targets: np.ndarray, leaf_radius: float, rng: np.random.Generator
) -> Tubes:
    """Grows branches from `root` [3] to all `targets` [n, 3], halving the targets at each fork."""
    starts: list[np.ndarray] = []
    ends: list[np.ndarray] = []
    leaves: list[int] = []
    waiting = [(root, np.arange(len(targets)))]
    while waiting:
        start, index = waiting.pop()
        n = len(index)
        points = targets[index]
        if n == 1:
            end = points[0]
        else:
            end = start + (points.mean(0) - start) * rng.uniform(0.3, 0.55)
            waiting += [(end, half) for half in _halves(points, index, rng)]
        starts.append(start)
        ends.append(end)
        leaves.append(n)
    radii = leaf_radius * np.array(leaves) ** BRANCHING_POWER
    return _bent(Tubes(np.array(starts), np.array(ends), radii), rng)


def _halves(
    points: np.ndarray, index: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    spread = points.std(0) + rng.uniform(0, 3, 3)
    order = np.argsort(points[:, int(np.argmax(spread))])
    cut = int(np.clip(round(len(index) * rng.uniform(0.3, 0.7)), 1, len(index) - 1))
    return index[order[:cut]], index[order[cut:]]


def _bent(tubes: Tubes, rng: np.random.Generator) -> Tubes:
    """Splits each tube in two, with the middle slightly displaced."""
    length = np.linalg.norm(tubes.ends - tubes.starts, axis=1, keepdims=True)
    middle = (tubes.starts + tubes.ends) / 2 + rng.normal(0, 0.05, tubes.starts.shape) * length
    return Tubes(
        np.concatenate([tubes.starts, middle]),
        np.concatenate([middle, tubes.ends]),
        np.concatenate([tubes.radii, tubes.radii]),
    )


def bronchi_beside(arteries: Tubes, least_radius: float, aside: np.ndarray) -> Tubes:
    """Bronchial lumina beside the larger arteries, displaced along the unit vector `aside` [3]."""
    large = arteries.chosen(arteries.radii > least_radius)
    shift = aside * (1.85 * large.radii + 0.3)[:, None]
    return Tubes(large.starts + shift, large.ends + shift, 0.68 * large.radii)
