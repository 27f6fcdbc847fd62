"""Figures with 95 % intervals and paired p-values, by resampling patients (IV-B).

The paper compares two clouds of resampled means. Their distance grows with the number of
resamples, which makes every p-value small. Here both methods see the same resampled patients, and
p is the frequency with which the sign of their difference changes.
"""

import warnings
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.stats import DegenerateDataWarning, bootstrap

RESAMPLES = 1000
CONFIDENCE = 0.95
SEED = 1
Statistic = Callable[[np.ndarray], float]


@dataclass(frozen=True)
class Figure:
    """A value with its interval; None if it cannot be computed, and `reason` says why."""

    value: float | None
    interval: tuple[float, float] | None
    reason: str | None = None


def figure(
    statistic: Statistic, patients: int, missing: str, smallest: int | None = None
) -> Figure:
    """`statistic` of patients' indices, with its percentile interval.

    `missing` is the reason if it is NaN. `smallest` is the size of its smallest group (None: all
    patients); a group of one has no interval. Resamples in which it is NaN (a class is missing) do
    not count.
    """
    value = statistic(np.arange(patients)) if patients else float("nan")
    if np.isnan(value):
        return Figure(None, None, missing)
    if (patients if smallest is None else smallest) < 2:
        return Figure(value, None, "no interval for a single patient")
    drawn = resampled(statistic, patients)
    tail = 50 * (1 - CONFIDENCE)
    low, high = np.nanpercentile(drawn, [tail, 100 - tail])
    return Figure(value, (float(low), float(high)))


def paired_p(difference: Statistic, patients: int) -> Figure:
    """Two-sided p-value of a difference between two methods on the same patients; above 0."""
    if patients < 2:
        return Figure(None, None, "fewer than two patients")
    drawn = resampled(difference, patients)
    drawn = drawn[~np.isnan(drawn)]
    if not len(drawn):
        return Figure(None, None, "a class is missing")
    if np.ptp(drawn) == 0 and drawn[0] != 0:
        return Figure(None, None, "too few patients for the difference to vary")
    tails = [(1 + np.count_nonzero(side)) / (len(drawn) + 1) for side in (drawn <= 0, drawn >= 0)]
    return Figure(float(min(1.0, 2 * min(tails))), None)


def resampled(statistic: Statistic, patients: int) -> np.ndarray:
    """`statistic` of each resample, `[RESAMPLES]`, always with the same seed."""
    with warnings.catch_warnings():
        # SciPy has no interval if a resample is NaN; ours ignores such resamples.
        warnings.simplefilter("ignore", DegenerateDataWarning)
        drawn = bootstrap(
            (np.arange(patients),),
            statistic,
            n_resamples=RESAMPLES,
            vectorized=False,
            method="percentile",
            rng=np.random.default_rng(SEED),
        )
    return np.asarray(drawn.bootstrap_distribution)
