"""Calibrate a model bundle on validation cases.

Fits the temperature, the rule for 'indeterminate' and, if cases have truth masks, the threshold
of the location map.

    python -m Training.calibrate BUNDLE --data INDEX [--split validation] [--out BUNDLE2]
        [--error 0.05] [--coverage 0.8] [--least-temperature 1] [--resume]

The weights do not change. Without --out the card of the bundle itself is rewritten. If the index
has no splits, all cases are used.
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
from M3LungScreenLib.bundle import Bundle, load_bundle, save_copy
from M3LungScreenLib.classes import CLASSES
from M3LungScreenLib.engines.choice import DEVICES
from M3LungScreenLib.errors import UsageError
from M3LungScreenLib.settings import LocalizationSettings, ModelSettings
from Training.atomic_files import work_beside
from Training.command_line import run_script
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
from Training.model_card import calibration_note, is_calibration_note

NOTE = "Probabilities are not calibrated on real patients."


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("bundle", type=Path, help="model bundle to calibrate")
    parser.add_argument(
        "--data", type=Path, required=True, help="index of cases, from Training.index"
    )
    parser.add_argument("--split", default="validation", help="split to use")
    parser.add_argument("--out", type=Path, help="bundle to write (default: BUNDLE itself)")
    parser.add_argument(
        "--error", type=float, default=0.05, help="accepted share of wrong verdicts"
    )
    parser.add_argument(
        "--coverage", type=float, default=0.8, help="smallest share of cases that get a verdict"
    )
    parser.add_argument(
        "--least-temperature",
        type=float,
        default=TEMPERATURES[0],
        help="lower limit; 1 never makes the model more confident (for simulated cases)",
    )
    parser.add_argument("--device", default="auto", choices=DEVICES)
    parser.add_argument(
        "--resume", action="store_true", help="reuse cases that are already screened"
    )
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
    print(f"{made.folder}: {calibration_note(made.card['calibration'])}")


def calibrate(
    screened: list[ScreenedCase],
    bundle: Bundle,
    stated_error: float,
    least_coverage: float,
    least_temperature: float = TEMPERATURES[0],
) -> tuple[dict[str, Any], Rule]:
    """The card's block and the fitted rule; UsageError for cases of fewer than two classes."""
    used = [each for each in screened if each.refusal is None]
    truth = np.array([each.truth for each in used], int)
    if len(np.unique(truth)) < 2:
        raise UsageError(
            "calibration",
            f"{len(used)} of {len(screened)} cases could be screened, and they cover fewer than "
            "two classes. Calibrate on cases of several classes.",
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
    """The settings with the fitted threshold, and the card's figures; None without a mask."""
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
    """Save the same networks with new settings, the card's block and the reliability diagram."""
    kept = [
        each
        for each in bundle.card.get("notes", [])
        if each != NOTE and not is_calibration_note(each)
    ]
    card = {**bundle.card, "calibration": block, "notes": [*kept, calibration_note(block)]}
    made = save_copy(bundle, folder, settings=settings, card=card)
    _draw(folder, block)
    return made


def _quality(truth: np.ndarray, p: np.ndarray) -> dict[str, Any]:
    return {
        "cross_entropy": cross_entropy(truth, p),
        "ece": expected_calibration_error(truth, p),
        "reliability": reliability_bins(truth, p),
    }


def _told(rule: Rule) -> dict[str, Any]:
    figures = asdict(rule)
    del figures["settings"]  # the card holds them elsewhere
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
