"""How a bundle does on simulated patients that no training saw.

    python -m Testing.benchmarks.simulated_patients [--per-class 20] [--model BUNDLE]

The simulator is the one of training, with seeds of its own: the figures say that the
chain holds together, not how it does on patients.
"""

import argparse
from pathlib import Path

import numpy as np
from sklearn.metrics import roc_auc_score
from tqdm import tqdm

from M3LungScreenLib import load_bundle, screen, simulate_patient
from M3LungScreenLib.classes import CLASS_KEYS
from Training.samples import TEST

ROOT = Path(__file__).parents[2]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--per-class", type=int, default=20)
    parser.add_argument("--model", type=Path, default=ROOT / "Resources/Models/compact")
    arguments = parser.parse_args()
    bundle = load_bundle(arguments.model)
    confusion = np.zeros((4, 4), int)
    indeterminate, p_lesion, is_lesion, dice = 0, [], [], []
    for seed in tqdm(range(TEST, TEST + arguments.per_class)):
        for key in CLASS_KEYS:
            patient = simulate_patient(key, seed, slice_thickness_mm=8.0)
            result = screen(patient.volume, bundle)
            confusion[CLASS_KEYS.index(key), CLASS_KEYS.index(result.patient.predicted)] += 1
            indeterminate += result.patient.verdict == "indeterminate"
            p_lesion += [each.p_lesion or 0.0 for each in result.slices]
            is_lesion += list((patient.truth > 0).any(axis=(1, 2)))
            dice += [overlap(result.arrays.lesions, patient.truth)] * (key != "healthy")
    report(confusion, indeterminate)
    print(f"slice AUC (any lesion against none)  {roc_auc_score(is_lesion, p_lesion):.3f}")
    print(f"Dice of the label map with the truth  {np.mean(dice):.3f} (mean of ill patients)")


def overlap(found: np.ndarray, truth: np.ndarray) -> float:
    both = np.count_nonzero((found > 0) & (truth > 0))
    return float(2 * both / max(1, np.count_nonzero(found) + np.count_nonzero(truth)))


def report(confusion: np.ndarray, indeterminate: int) -> None:
    """The paper's errors (IV-B): FPE of the healthy, FNE and FDPE of the ill."""
    healthy, ill = confusion[0].sum(), confusion[1:].sum()
    missed = confusion[1:, 0].sum()
    wrong = ill - missed - np.trace(confusion[1:, 1:])
    print(f"{'called':>16}" + "".join(f"{key:>9}" for key in CLASS_KEYS))
    for key, row in zip(CLASS_KEYS, confusion, strict=True):
        print(f"{key:>16}" + "".join(f"{count:>9}" for count in row))
    print(f"accuracy {np.trace(confusion) / confusion.sum():.1%}", end="   ")
    print(f"FPE {confusion[0, 1:].sum() / healthy:.1%}", end="   ")
    print(f"FNE {missed / ill:.1%}   FDPE {wrong / ill:.1%}", end="   ")
    print(f"indeterminate {indeterminate} of {confusion.sum()}")


if __name__ == "__main__":
    main()
