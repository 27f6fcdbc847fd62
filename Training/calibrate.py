"""Fit what turns answers into a result on validation cases; a new card says how.

The temperature, the rule for 'indeterminate' and, where cases have truth masks, the location
map's threshold.

    python -m Training.calibrate BUNDLE --data INDEX [--split validation] [--out BUNDLE2]
        [--error 0.05] [--coverage 0.8] [--least-temperature 1] [--resume]

Weights stay as they are. Without --out the bundle itself gets the new card. Without a split
column all cases count.
"""

import argparse
import os
import shutil
import tempfile
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from M3LungScreenLib.assessment import calibrated
from M3LungScreenLib.bundle import Bundle, load_bundle, save_bundle
from M3LungScreenLib.classes import CLASSES
from M3LungScreenLib.errors import UsageError
from M3LungScreenLib.settings import LocalizationSettings, ModelSettings
from Training.atomic_files import work_beside
from Training.config import run_script
from Training.datasets.index_file import read_index, read_terms
from Training.evaluation.calibration import (
    TEMPERATURES,
    Rule,
    cross_entropy,
    doubts_of,
    fit_rule,
    fit_temperature,
    logits_of,
)
from Training.evaluation.drawings import draw_reliability, save
from Training.evaluation.metrics import expected_calibration_error, reliability_bins
from Training.evaluation.screened import ScreenedCase, cases_of, open_work, screen_cases
from Training.evaluation.thresholds import fit_threshold

NOTE = "Probabilities are not calibrated on real patients."


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--data", type=Path, required=True, help="index made by Training.index")
    parser.add_argument("--split", default="validation")
    parser.add_argument("--out", type=Path, help="bundle to write; without it BUNDLE itself")
    parser.add_argument("--error", type=float, default=0.05, help="stated error of verdicts")
    parser.add_argument("--coverage", type=float, default=0.8, help="least share with a verdict")
    parser.add_argument(
        "--least-temperature",
        type=float,
        default=TEMPERATURES[0],
        help="1 makes no answer louder, where the cases are easier than those to come: simulated",
    )
    parser.add_argument("--device", default="auto", choices=("auto", "cuda", "mps", "cpu"))
    parser.add_argument("--resume", action="store_true", help="keep the cases already screened")
    parsed = parser.parse_args(arguments)
    bundle, cases = load_bundle(parsed.bundle), cases_of(read_index(parsed.data), parsed.split)
    work = open_work(work_beside(parsed.out or parsed.bundle), bundle, cases, parsed.resume)
    screened = screen_cases(cases, bundle, parsed.device, work)
    least = parsed.least_temperature
    block, rule = calibrate(screened, bundle, parsed.error, parsed.coverage, least)
    localization, location_map = calibrate_map(screened, bundle.settings.localization)
    split = parsed.split if any(each.split for each in cases) else None
    origin = {"data_set": read_terms(parsed.data)["dataset"], "split": split}
    settings = replace(bundle.settings, assessment=rule.settings, localization=localization)
    block = {**origin, **block, "location_map": location_map}
    made = write_bundle(parsed.out or parsed.bundle, bundle, block, settings)
    shutil.rmtree(work)
    print(f"{made.folder}: {sentence(made.card['calibration'])}")


def calibrate(
    screened: list[ScreenedCase],
    bundle: Bundle,
    stated_error: float,
    least_coverage: float,
    least_temperature: float = TEMPERATURES[0],
) -> tuple[dict[str, Any], Rule]:
    """The card's block and the fitted settings; UsageError without two classes of cases."""
    used = [each for each in screened if each.refusal is None]
    truth = np.array([each.truth for each in used], int)
    if len(np.unique(truth)) < 2:
        raise UsageError(
            "calibration",
            f"Of {len(screened)} cases {len(used)} could be screened, and they are not of two "
            "classes. Calibrate on cases of several classes.",
        )
    before = bundle.settings.assessment
    logits = logits_of(used)
    temperature = fit_temperature(logits, truth, least_temperature)
    p = calibrated(logits, temperature)
    fitted = replace(before, temperature=temperature)
    rule = fit_rule(doubts_of(used, p), fitted, stated_error, least_coverage)
    block = {
        "patients": len(used),
        "of_each_class": {each.key: int((truth == each.index).sum()) for each in CLASSES},
        "refused": len(screened) - len(used),
        "temperature": temperature,
        "least_temperature": least_temperature,
        "before": _quality(truth, calibrated(logits, before.temperature)),
        "after": _quality(truth, p),
        "indeterminate": {"stated_error": stated_error, **_told(rule)},
    }
    return block, rule


def calibrate_map(
    screened: list[ScreenedCase], before: LocalizationSettings
) -> tuple[LocalizationSettings, dict[str, Any] | None]:
    """The settings with the fitted threshold and what the card says; None without a mask."""
    masked = [each.overlaps for each in screened if each.overlaps and each.overlaps.truth]
    fitted = fit_threshold(masked)
    if fitted is None:
        return before, None
    threshold, dice = fitted
    told = {"patients": len(masked), "threshold": threshold, "mean_dice": round(dice, 4)}
    return replace(before, threshold=threshold), told


def write_bundle(
    folder: Path, bundle: Bundle, block: dict[str, Any], settings: ModelSettings
) -> Bundle:
    """The same weights with the fitted settings, the block in the card, the diagram beside it."""
    kept = [each for each in bundle.card.get("notes", []) if each != NOTE and not _is_ours(each)]
    card = {**bundle.card, "calibration": block, "notes": [*kept, sentence(block)]}
    made = save_bundle(
        folder,
        name=bundle.name,
        version=bundle.version,
        settings=settings,
        slice_weights=bundle.weights("slice"),
        patient_weights=bundle.weights("patient"),
        card=card,
        dtype=bundle.card["weights"]["dtype"],
    )
    _draw(folder, block)
    return made


def sentence(block: dict[str, Any]) -> str:
    """What the card's notes say of it; simulated cases are told from real ones by who reads."""
    ece = f"{block['before']['ece']:.3f} to {block['after']['ece']:.3f}"
    doubt = block["indeterminate"]
    stated = "" if doubt["reached"] else f", not the stated {doubt['stated_error']:.0%}"
    lowest = block["temperature"] < 1.01 * block["least_temperature"]
    highest = block["temperature"] > 0.99 * TEMPERATURES[1]
    bounded = " (held there: these cases alone would have louder answers)" * lowest
    bounded += " (held there: its answers hardly tell these cases apart)" * highest
    return (
        f"{OURS} {block['patients']} cases of {block['data_set']}: temperature "
        f"{block['temperature']:.2f}{bounded}, ECE from {ece}; a verdict for "
        f"{doubt['coverage']:.0%} of them with an error of {doubt['error']:.1%}{stated} (at most "
        f"{doubt['error_upper_95']:.0%} with 95 % confidence){_of_the_map(block)}. If these "
        "cases are simulated, nothing is calibrated on real patients."
    )


def _of_the_map(block: dict[str, Any]) -> str:
    found = block.get("location_map")
    if found is None:
        return ""
    return (
        f"; the location map's threshold {found['threshold']:.2f} on {found['patients']} truth "
        f"masks (mean Dice {found['mean_dice']:.2f})"
    )


OURS = "Calibrated on"


def _is_ours(note: str) -> bool:
    return note.startswith(OURS)


def _quality(truth: np.ndarray, p: np.ndarray) -> dict[str, Any]:
    return {
        "cross_entropy": cross_entropy(truth, p),
        "ece": expected_calibration_error(truth, p),
        "reliability": reliability_bins(truth, p),
    }


def _told(rule: Rule) -> dict[str, Any]:
    figures = asdict(rule)
    del figures["settings"]  # they stand at their place in the card
    return figures


def _draw(folder: Path, block: dict[str, Any]) -> None:
    panels = {
        when: (block[when]["reliability"], block[when]["ece"]) for when in ("before", "after")
    }
    with tempfile.TemporaryDirectory(dir=folder) as beside:
        save(draw_reliability(panels), Path(beside), "reliability")
        for each in Path(beside).iterdir():
            os.replace(each, folder / each.name)


if __name__ == "__main__":
    run_script(main)
