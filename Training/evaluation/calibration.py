"""Temperature scaling, and the rule for 'indeterminate', fitted on validation cases."""

from dataclasses import dataclass, replace
from itertools import product

import numpy as np
from scipy.optimize import minimize, minimize_scalar
from scipy.stats import binomtest
from sklearn.metrics import log_loss

from M3LungScreenLib.assessment import calibrated, calibrated_p_lesion
from M3LungScreenLib.settings import AssessmentSettings
from Training.evaluation.screened import ScreenedCase

# If every case is correct, the fit has no lower limit; values beyond these are implausible.
TEMPERATURES = (0.2, 20.0)
# The logits of 0 and 1 are infinite.
SMALLEST_P = 1e-7
# Candidates per threshold: enough for hundreds of patients, and quick to combine.
CANDIDATES = 16
# Lower limits for the thresholds, whatever the cases: a verdict needs more than an even chance,
# and still more if the count of slices disagrees. Dropped only if the coverage requires it.
FLOORS = (
    AssessmentSettings().minimum_top_probability,
    AssessmentSettings().minimum_top_probability_on_disagreement,
)


@dataclass(frozen=True)
class Doubts:
    """What the rule uses of each patient: `top` probability, `disagree`, `spread`; each `[n]`.

    `right` says whether the predicted class is correct.
    """

    top: np.ndarray
    disagree: np.ndarray
    spread: np.ndarray
    right: np.ndarray


@dataclass(frozen=True)
class Rule:
    """Settings and their results on the cases they were fitted on.

    `error` is the share of wrong verdicts, `error_upper_95` its one-sided upper 95 % bound (Clopper
    and Pearson); `reached` is whether `error` is at most the stated error.
    """

    settings: AssessmentSettings
    coverage: float
    error: float
    error_upper_95: float
    reached: bool


def logits_of(cases: list[ScreenedCase]) -> np.ndarray:
    """What screening divides by the temperature that is fitted: logits `[n, 4]`.

    Those of a part of the lungs are divided by its own temperature first, as in screening.
    """
    logits = np.array([each.logits for each in cases])
    return logits / np.array([[each.part_temperature] for each in cases])


def fit_temperature(logits: np.ndarray, truth: np.ndarray, least: float = TEMPERATURES[0]) -> float:
    """The temperature with the least cross-entropy, at least `least` (Guo et al., 2017, 4.2)."""
    low, high = np.log((least, TEMPERATURES[1]))
    found = minimize_scalar(
        lambda each: cross_entropy(truth, calibrated(logits, float(np.exp(each)))),
        bounds=(low, high),
        method="bounded",
        options={"xatol": 1e-6},
    )
    return float(np.exp(found.x))


def fit_lesion_logits(p_ill: np.ndarray, p_free: np.ndarray) -> tuple[float, float]:
    """Scale and offset of the lesion head's logits (Platt, 1999).

    `p_ill` and `p_free` `[n]` are of slices with and without lesion; both sides get the same total
    weight. The fit never makes answers more confident: validation slices are easier than later
    ones.
    """
    p = np.concatenate([p_ill, p_free]).clip(SMALLEST_P, 1 - SMALLEST_P)
    is_ill = np.arange(len(p)) < len(p_ill)
    weight = np.where(is_ill, 1 / len(p_ill), 1 / len(p_free))

    def loss(fitted: np.ndarray) -> float:
        settings = AssessmentSettings(
            lesion_logit_scale=float(fitted[0]), lesion_logit_offset=float(fitted[1])
        )
        return float(log_loss(is_ill, calibrated_p_lesion(p, settings), sample_weight=weight))

    found = minimize(loss, (1.0, 0.0), method="L-BFGS-B", bounds=((0.05, 1.0), (-5.0, 5.0)))
    scale, offset = map(float, found.x)
    return scale, offset


def cross_entropy(truth: np.ndarray, probabilities: np.ndarray) -> float:
    return float(log_loss(truth, probabilities, labels=range(4)))


def doubts_of(cases: list[ScreenedCase], probabilities: np.ndarray) -> Doubts:
    """What the rule uses, with calibrated `probabilities` `[n, 4]`."""
    called = probabilities.argmax(axis=1)
    return Doubts(
        probabilities.max(axis=1),
        called != np.array([each.counted for each in cases]),
        np.array([each.spread for each in cases]),
        called == np.array([each.truth for each in cases]),
    )


def fit_rule(
    doubts: Doubts, settings: AssessmentSettings, stated_error: float, least_coverage: float
) -> Rule:
    """The rule with the largest coverage among those with at most `stated_error`.

    If none with `least_coverage` has that, the one with the least error. Among equals the
    strictest, so that unusual cases are doubted. Thresholds stay above FLOORS unless the coverage
    requires otherwise. The threshold for disagreement is unchanged if no case disagrees.
    """
    candidates = _candidates(doubts, settings, least_coverage)
    tried = _covering(doubts, _above_floors(candidates), least_coverage)
    tried = tried or _covering(doubts, candidates, least_coverage)
    # The strictest come first, and max returns the first of equals.
    best, coverage, error = max(tried, key=lambda each: _worth(each[1], each[2], stated_error))
    bound = _upper_bound(error, round(coverage * len(doubts.top)))
    return Rule(best, coverage, error, bound, error <= stated_error)


def _above_floors(candidates: list[AssessmentSettings]) -> list[AssessmentSettings]:
    """Candidates raised to FLOORS, without duplicates, in order."""
    raised = [
        replace(
            each,
            minimum_top_probability=max(each.minimum_top_probability, FLOORS[0]),
            minimum_top_probability_on_disagreement=max(
                each.minimum_top_probability_on_disagreement, FLOORS[1]
            ),
        )
        for each in candidates
    ]
    return list(dict.fromkeys(raised))


def _covering(
    doubts: Doubts, candidates: list[AssessmentSettings], least_coverage: float
) -> list[tuple[AssessmentSettings, float, float]]:
    """Candidates with enough coverage, with their coverage and error."""
    tried = [(each, *_outcome(doubts, each)) for each in candidates]
    return [each for each in tried if each[1] >= least_coverage]


def decided(doubts: Doubts, settings: AssessmentSettings) -> np.ndarray:
    """Which cases have a verdict, bool `[n]`, as in `assessment.decide`."""
    limit = settings.maximum_spread_over_windows
    least = np.where(
        doubts.disagree,
        max(
            settings.minimum_top_probability_on_disagreement,
            settings.minimum_top_probability,
        ),
        settings.minimum_top_probability,
    )
    return np.asarray((doubts.top >= least) & (limit is None or doubts.spread <= limit))


def _worth(coverage: float, error: float, stated_error: float) -> tuple[float, ...]:
    return (1, coverage, -error) if error <= stated_error else (0, -error, coverage)


def _outcome(doubts: Doubts, settings: AssessmentSettings) -> tuple[float, float]:
    """Coverage, and the share of wrong verdicts."""
    stands = decided(doubts, settings)
    count = int(stands.sum())
    wrong = int((stands & ~doubts.right).sum())
    return count / len(stands), wrong / count if count else 1.0


def _upper_bound(error: float, count: int) -> float:
    tested = binomtest(round(error * count), count, alternative="less")
    return float(tested.proportion_ci(0.95).high)


def _candidates(
    doubts: Doubts, settings: AssessmentSettings, least_coverage: float
) -> list[AssessmentSettings]:
    """All combinations of thresholds, strictest first, each of which alone keeps the coverage."""
    share = 1 - least_coverage
    tops = _between(doubts.top, share)[::-1]
    disagreeing = _between(doubts.top[doubts.disagree], 1.0)[::-1]
    least = settings.minimum_top_probability_on_disagreement
    on_disagreement = [1.0, *disagreeing] if disagreeing else [least]
    spreads = [-each for each in _between(-doubts.spread, share)[::-1]]
    return [
        replace(
            settings,
            minimum_top_probability=top,
            minimum_top_probability_on_disagreement=max(top, disagreement),
            maximum_spread_over_windows=spread,
        )
        for top, disagreement, spread in product(tops, on_disagreement, spreads)
    ]


def _between(values: np.ndarray, share: float) -> list[float]:
    """Ascending thresholds: just below the lowest of `values`, then midway between neighbours.

    At most CANDIDATES, each of which excludes at most `share` of the values.
    """
    if not len(values):
        return []
    known = np.unique(values)
    middles = (known[1:] + known[:-1]) / 2
    middles = middles[middles <= np.quantile(values, share)]
    kept = np.unique(np.linspace(0, len(middles) - 1, CANDIDATES).round().astype(int))
    return [float(known[0] - 1e-6), *map(float, middles[kept] if len(middles) else [])]
