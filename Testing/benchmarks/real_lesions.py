"""How a bundle does on real COVID-19 lesions: seven patients, lung crops with lesion masks.

    M3LUNGSCREEN_DATA=folder python -m Testing.benchmarks.real_lesions \
        [--model BUNDLE] [--json FILE]

The slices are crops already, so they need no lung mask. The masks were made by a network: clear
opacities are good, faint ones are missing, and every mask has at least a few stray pixels. A slice
counts as having a lesion if its mask covers more than 0.4 % of the crop, else as without. Slices
are not averaged with their neighbors, because the slice spacing is unknown. Prints a section for
the bundle's EVALUATIONS.md. Intervals are 95 %, from a thousand resamples of runs of ten
neighboring slices within each patient.
"""

import argparse
import json
import os
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk
from sklearn.metrics import roc_auc_score

from M3LungScreenLib import load_bundle, read_ct
from M3LungScreenLib.assessment import calibrated, count_slices, decide, spread_over_windows
from M3LungScreenLib.bundle import Bundle
from M3LungScreenLib.engines.choice import make_engine
from M3LungScreenLib.engines.interface import Engine
from M3LungScreenLib.preprocessing import Crop, network_input, paste
from M3LungScreenLib.slice_averaging import ScreenedSlice, mean_over_windows
from Testing.benchmarks.labelled_patients import revision
from Testing.benchmarks.plain_rules import block_interval

ROOT = Path(__file__).parents[2]
MINIMUM_LESION_SHARE = 0.004  # of the crop
# Upper limits of the lesion's share of the crop.
SIZES = {"under 2 %": 0.02, "2 to 10 %": 0.10, "over 10 %": 1.0}


@dataclass(frozen=True)
class SliceFigures:
    """One crop: how the map agrees with the mask. Shares are of the crop's area."""

    p_lesion: float
    mask_share: float
    marked_share: float
    mass_share: float  # of the map's sum, inside the mask
    points_inside: bool
    dice: float

    @property
    def has_lesion(self) -> bool:
        return self.mask_share > MINIMUM_LESION_SHARE


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, default=ROOT / "Resources/Models/compact")
    parser.add_argument("--json", type=Path, help="also write every figure there")
    arguments = parser.parse_args()
    bundle = load_bundle(arguments.model)
    engine = make_engine(bundle, "auto")
    patients, slices = {}, {}
    for path in sorted(Path(os.environ["M3LUNGSCREEN_DATA"], "coronacases").glob("*-lesions.nrrd")):
        name = path.name.removesuffix("-lesions.nrrd")
        crops, masks = read_crops(path.with_name(f"{name}.nrrd"), path)
        screened = screen_crops(crops, bundle, engine)
        patients[name] = patient_answer(screened, bundle, engine)
        threshold = bundle.settings.localization.threshold
        slices[name] = [
            measure(each, mask, threshold) for each, mask in zip(screened, masks, strict=True)
        ]
    figures = {
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
        "revision": revision(),
        "weights": bundle.sha256[:12],
        "patients": {
            name: {**patients[name], **summary(slices[name])} for name in sorted(patients)
        },
        "all": summary([each for listed in slices.values() for each in listed]),
        "intervals": intervals(list(slices.values())),
        "by_size": by_size([each for listed in slices.values() for each in listed]),
    }
    print(markdown(figures))
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=2) + "\n", "utf-8")


def read_crops(crops: Path, lesions: Path) -> tuple[np.ndarray, np.ndarray]:
    """HU int16 and lesions bool, both `[slice, row, column]`, from feet to head."""
    return read_ct(crops).hu, read_mask(lesions)


def read_mask(path: Path) -> np.ndarray:
    """A lesion mask as bool `[slice, row, column]`."""
    return np.asarray(sitk.GetArrayFromImage(sitk.ReadImage(path)) > 0)


def screen_crops(crops: np.ndarray, bundle: Bundle, engine: Engine) -> list[ScreenedSlice]:
    """The slice-level network on whole crops, averaged over the display windows."""
    settings = bundle.settings.preprocessing
    whole = Crop(0, 0, *crops.shape[1:])
    found: list[ScreenedSlice] = []
    for hu in crops:
        out = engine.run_slices(network_input(hu, whole, settings))
        windows = len(settings.window_centers_hu)
        found += mean_over_windows(out, windows, bundle.settings.assessment)
    return found


def patient_answer(screened: list[ScreenedSlice], bundle: Bundle, engine: Engine) -> dict[str, Any]:
    """The patient level on all crops of one patient."""
    settings = bundle.settings.assessment
    scores = engine.run_patient(np.stack([each.features for each in screened]))
    probabilities = calibrated(scores.logits, settings.temperature)
    counted = count_slices(
        np.stack([each.probabilities for each in screened]), settings.healthy_fraction_threshold
    )
    spread = spread_over_windows(np.stack([each.window_probabilities for each in screened]))
    verdict = decide(probabilities, counted, settings, spread)
    return {
        "verdict": verdict.verdict,
        "probabilities": [round(float(each), 3) for each in probabilities],
        "count_says": counted.predicted,
    }


def measure(screened: ScreenedSlice, mask: np.ndarray, threshold: float) -> SliceFigures:
    """`mask` bool `[row, column]` of the crop; `threshold` of the location map."""
    location = paste(screened.location_map, Crop(0, 0, *mask.shape), mask.shape)
    marked = location > threshold
    both = int(marked.sum()) + int(mask.sum())
    return SliceFigures(
        p_lesion=screened.p_lesion,
        mask_share=float(mask.mean()),
        marked_share=float(marked.mean()),
        mass_share=float(location[mask].sum() / max(float(location.sum()), 1e-9)),
        points_inside=bool(mask.flat[location.argmax()]),
        dice=2 * int((marked & mask).sum()) / both if both else float("nan"),
    )


def summary(slices: list[SliceFigures]) -> dict[str, float]:
    """Means over the slices with lesion; the AUC of P(lesion) against those without."""
    ill = [each for each in slices if each.has_lesion]
    clear = [each for each in slices if not each.has_lesion]
    return {
        "slices": len(slices),
        "with_lesion": len(ill),
        "without_lesion": len(clear),
        "slice_auc": auc(ill, clear),
        "dice": _mean([each.dice for each in ill]),
        "pointing": _mean([each.points_inside for each in ill]),
        "mass_share": _mean([each.mass_share for each in ill]),
        "area_share": _mean([each.mask_share for each in ill]),
        "mask_share": _mean([each.mask_share for each in slices]),
        "marked_share": _mean([each.marked_share for each in slices]),
    }


def by_size(slices: list[SliceFigures]) -> dict[str, dict[str, float]]:
    """The same for lesions of about one size, against all slices without lesion."""
    found, least = {}, MINIMUM_LESION_SHARE
    for name, most in SIZES.items():
        kept = [each for each in slices if not each.has_lesion or least < each.mask_share <= most]
        found[name] = summary(kept)
        least = most
    return found


def auc(ill: list[SliceFigures], clear: list[SliceFigures]) -> float:
    """NaN if there are only slices of one kind."""
    if not ill or not clear:
        return float("nan")
    truth = [True] * len(ill) + [False] * len(clear)
    return float(roc_auc_score(truth, [each.p_lesion for each in ill + clear]))


def intervals(patients: list[list[SliceFigures]]) -> dict[str, tuple[float, float]]:
    """95 % intervals of the figures over all slices, patient by patient in runs of ten."""
    slices = [each for listed in patients for each in listed]
    lengths = [len(listed) for listed in patients]

    def figure(name: str) -> tuple[float, float]:
        return block_interval(lambda drawn: summary([slices[i] for i in drawn])[name], lengths)

    return {name: figure(name) for name in ("slice_auc", "dice", "pointing")}


def _mean(values: list[float] | list[bool]) -> float:
    return float(np.mean(values)) if values else float("nan")


def markdown(figures: dict[str, Any]) -> str:
    lines = [
        f"## {figures['date']}, weights {figures['weights']}, revision {figures['revision']}",
        "`M3LUNGSCREEN_DATA=… python -m Testing.benchmarks.real_lesions`\n",
        "| patient | verdict (Healthy, COVID-19, H1N1, CAP) | count of slices says | "
        "slices with, without lesion | slice AUC | Dice | pointing | map's mass inside (area) | "
        "area marked (mask) |",
        "|---" * 9 + "|",
    ]
    for name, each in figures["patients"].items():
        p = ", ".join(f"{value:.2f}" for value in each["probabilities"])
        lines.append(f"| {name} | {each['verdict']} ({p}) | {each['count_says']} |{_cells(each)}")
    lines.append(f"| all | | |{_cells(figures['all'])}")
    for name, each in figures["by_size"].items():
        lines.append(f"| lesion {name} | | |{_cells(each)}")
    told = (
        f"{name} {figures['all'][name]:.3f} ({low:.3f} to {high:.3f})"
        for name, (low, high) in figures["intervals"].items()
    )
    return "\n".join([*lines, f"\nAll slices: {', '.join(told)}."])


def _cells(each: dict[str, float]) -> str:
    return (
        f" {each['with_lesion']}, {each['without_lesion']} | {each['slice_auc']:.3f} | "
        f"{each['dice']:.3f} | {each['pointing']:.1%} | "
        f"{each['mass_share']:.1%} ({each['area_share']:.1%}) | "
        f"{each['marked_share']:.1%} ({each['mask_share']:.1%}) |"
    )


if __name__ == "__main__":
    main()
