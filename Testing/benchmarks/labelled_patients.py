"""How a bundle does on the three real patients whose slices readers labelled.

    M3LUNGSCREEN_DATA=folder python -m Testing.benchmarks.labelled_patients [--model BUNDLE]

Beside the network two plain rules: the share of lung voxels in -700 to -50 HU, and
that share times the nearness to mid-lung. An uninformative slice counts as 0.
"""

import argparse
import csv
import os
from collections import defaultdict
from pathlib import Path

import numpy as np
from sklearn.metrics import roc_auc_score

from M3LungScreenLib import Result, load_bundle, read_ct, screen

ROOT = Path(__file__).parents[2]
CASES = ("covid-P001", "cap-001", "normal-001")
OPACITY_HU = (-700, -50)
Scores = dict[str, np.ndarray]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, default=ROOT / "Resources/Models/compact")
    arguments = parser.parse_args()
    data = Path(os.environ["M3LUNGSCREEN_DATA"])
    bundle, labels = load_bundle(arguments.model), slice_labels(data / "slice_labels.csv")
    scores: dict[str, Scores] = {}
    for case in CASES:
        result = screen(read_ct(data / "ct" / case), bundle)
        scores[case] = slice_scores(result)
        tell(case, result)
    for name in scores[CASES[0]]:
        covid = roc_auc_score(labels["covid-P001"], scores["covid-P001"][name])
        pooled = roc_auc_score(
            np.concatenate([labels[case] for case in CASES]),
            np.concatenate([scores[case][name] for case in CASES]),
        )
        print(f"{name:<32} slice AUC within covid-P001 {covid:.3f}, pooled {pooled:.3f}")
    tell("lidc-0001", screen(read_ct(data / "ct" / "lidc-0001"), bundle))


def slice_labels(path: Path) -> dict[str, np.ndarray]:
    """Lesion or none by case, slices from feet to head."""
    found: dict[str, list[int]] = defaultdict(list)
    with path.open(newline="") as file:
        for row in sorted(
            csv.DictReader(file), key=lambda row: int(row["slice_index_inferior_to_superior"])
        ):
            found[row["case"]].append(int(row["lesion"]))
    return {case: np.array(values) for case, values in found.items()}


def slice_scores(result: Result) -> Scores:
    """Of each slice, feet to head: the network's P(lesion) and the two plain rules."""
    hu, lungs = result.volume.hu, result.arrays.lungs > 0
    low, high = OPACITY_HU
    dense = lungs & (hu >= low) & (hu <= high)
    pixels = lungs.sum(axis=(1, 2))
    share = dense.sum(axis=(1, 2)) / np.maximum(pixels, 1) * (pixels > 0)
    inside = np.flatnonzero(pixels)
    middle, half = inside.mean(), max(1.0, np.ptp(inside) / 2)
    near = np.clip(1 - np.abs(np.arange(len(hu)) - middle) / half, 0, 1)
    return {
        "network": np.array([each.p_lesion or 0.0 for each in result.slices]),
        "share of opacity": share,
        "share of opacity × mid-lung": share * near,
    }


def tell(case: str, result: Result) -> None:
    patient, p = result.patient, slice_scores(result)["network"]
    informative = np.array([each.informative for each in result.slices])
    p = p[informative]
    assert patient is not None
    values = ", ".join(f"{value:.2f}" for value in patient.probabilities.as_array())
    print(
        f"{case:<12} {patient.predicted} ({patient.verdict}; {values}; count says "
        f"{patient.nonparametric.predicted}); p_lesion median {np.median(p):.3f}, over 0.5 in "
        f"{(p > 0.5).mean():.1%} of slices; involvement {result.involvement.total.fraction:.1%}"
    )


if __name__ == "__main__":
    main()
