"""How a bundle does on simulated patients that no training saw.

    python -m Testing.benchmarks.simulated_patients [--per-class 40] [--model BUNDLE]
        [--backgrounds build/backgrounds] [--json FILE]

Their lesions come from a second renderer (Testing/stand_ins/lobular_lesions.py). Every
other patient is a simulated chest, every other one a real volume that training held out;
without --backgrounds all are simulated. The figures say how far what was learnt from
one renderer holds for another, not how the bundle does on patients.
"""

import argparse
import json
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.metrics import roc_auc_score
from tqdm import tqdm

from M3LungScreenLib import CTVolume, load_bundle, screen, simulate_patient
from M3LungScreenLib.classes import CLASS_KEYS
from M3LungScreenLib.simulation.patient import render_patient
from M3LungScreenLib.simulation.variants import VariantRecord, apply_variants
from Testing.stand_ins.lobular_lesions import apply_lobular_lesions, draw_lobular_lesions
from Training.config import DataSettings
from Training.sources import backgrounds
from Training.sources.simulated_slices import TEST

ROOT = Path(__file__).parents[2]
THICKNESS_MM = 8.0
RESAMPLES = 1000
PULSATION_MM = 6.0


@dataclass(frozen=True)
class TestPatient:
    """One patient to make: `background` names a held-out volume, None is a simulated chest."""

    __test__ = False
    class_key: str
    seed: int
    background: str | None
    pulsation: bool


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--per-class", type=int, default=40)
    parser.add_argument("--model", type=Path, default=ROOT / "Resources/Models/compact")
    parser.add_argument("--backgrounds", type=Path, help="what `make training-cache` gathered")
    parser.add_argument("--json", type=Path, help="also write every figure there")
    parser.add_argument("--processes", type=int, default=2)
    arguments = parser.parse_args()
    listed = list_patients(arguments.per_class, arguments.backgrounds)
    task = partial(measure, model=arguments.model, folder=arguments.backgrounds)
    with ProcessPoolExecutor(arguments.processes, get_context("spawn")) as pool:
        rows = list(tqdm(pool.map(task, listed), total=len(listed), mininterval=10))
    found = figures(rows)
    print(markdown(found))
    if arguments.json:
        arguments.json.write_text(json.dumps(found, indent=2) + "\n", "utf-8")


def list_patients(per_class: int, folder: Path | None) -> list[TestPatient]:
    """The same patients each time; pulsation in every other one of each kind."""
    held_out = [
        name
        for name in backgrounds.names_in(folder)
        if name in DataSettings().validation_backgrounds
    ]
    places = [None, *held_out[:1], None, *held_out[1:]] if held_out else [None]
    return [
        TestPatient(key, TEST + n, places[n % len(places)], pulsation=n // len(places) % 2 == 0)
        for n in range(per_class)
        for key in CLASS_KEYS
    ]


def make(patient: TestPatient, folder: Path | None) -> tuple[CTVolume, np.ndarray]:
    """The CT and its truth; deterministic."""
    chest = _simulated(patient) if patient.background is None else _real(patient, folder)
    hu, truth = chest.hu, np.zeros(chest.hu.shape, np.uint8)
    if patient.class_key != "healthy":
        record = draw_lobular_lesions(patient.class_key, np.random.default_rng(patient.seed))
        hu, truth = apply_lobular_lesions(hu, chest.lungs, chest.spacing_mm, record)
    return CTVolume.from_array(hu, chest.spacing_mm), truth


def _simulated(patient: TestPatient) -> backgrounds.Background:
    made = simulate_patient("healthy", patient.seed, slice_thickness_mm=THICKNESS_MM)
    moving = PULSATION_MM if patient.pulsation else 0.0
    record = replace(made.record, scanner=replace(made.record.scanner, pulsation_mm=moving))
    made = render_patient(record)
    return backgrounds.Background(made.volume.hu, made.lungs, made.volume.spacing_mm)


def _real(patient: TestPatient, folder: Path | None) -> backgrounds.Background:
    """A held-out volume, thinned, mirrored and made noisier by the patient's seed."""
    assert folder is not None
    assert patient.background is not None
    chest = backgrounds.load(folder, patient.background)
    rng = np.random.default_rng((patient.seed, 9))
    x, y, z = chest.spacing_mm
    step = max(1, round(THICKNESS_MM / z))
    order = slice(int(rng.integers(step)), None, step), slice(None), slice(None, None, -1)
    order = order if rng.random() < 0.5 else order[:1]
    hu, lungs = chest.hu[order], chest.lungs[order]
    hu = hu + rng.normal(0, 12) + rng.uniform(0, 30) * rng.standard_normal(hu.shape)
    hu = np.rint(hu).astype(np.int16)
    if patient.pulsation:
        record = VariantRecord("pulsation", 0.6, 1, patient.seed)
        hu = apply_variants(hu, lungs, (x, y, z * step), [record])
    return backgrounds.Background(hu, lungs, (x, y, z * step))


def measure(patient: TestPatient, model: Path, folder: Path | None) -> dict[str, Any]:
    """What the bundle says of one patient, beside the truth."""
    volume, truth = make(patient, folder)
    result = screen(volume, load_bundle(model))
    assert result.patient is not None
    location, is_lesion = result.arrays.lesion_location_map, truth > 0
    lungs = result.arrays.lungs > 0
    p = {each.index: each.p_lesion or 0.0 for each in result.slices}
    row = {
        "class": patient.class_key,
        "called": result.patient.predicted,
        "indeterminate": result.patient.verdict == "indeterminate",
        "real": patient.background is not None,
        "pulsation": patient.pulsation,
        "p_lesion": [p[volume.stored_slice_index(k)] for k in range(len(truth))],
        "is_lesion": is_lesion.any(axis=(1, 2)).tolist(),
    }
    if is_lesion.any():
        found = result.arrays.lesions > 0
        row |= {
            "dice": 2 * float((found & is_lesion).sum()) / float(found.sum() + is_lesion.sum()),
            "points_inside": bool(is_lesion.ravel()[location.argmax()]),
            "mass_share": float(location[is_lesion].sum() / max(location.sum(), 1e-9)),
            "area_share": float((is_lesion & lungs).sum() / max(1, lungs.sum())),
        }
    return row


def figures(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """All figures of the bundle, errors as in IV-B with 95 % bootstrap intervals."""
    truth = np.array([CLASS_KEYS.index(row["class"]) for row in rows])
    called = np.array([CLASS_KEYS.index(row["called"]) for row in rows])
    is_real = np.array([row["real"] for row in rows])
    moving = np.array([row["pulsation"] for row in rows])
    ill = [row for row in rows if "dice" in row]
    slices = [np.concatenate([row[key] for row in rows]) for key in ("is_lesion", "p_lesion")]
    return {
        "patients": len(rows),
        "on_real_chests": int(is_real.sum()),
        "confusion": [
            [int(((truth == i) & (called == j)).sum()) for j in range(4)] for i in range(4)
        ],
        "indeterminate": int(sum(row["indeterminate"] for row in rows)),
        "all": errors(truth, called),
        "real chests": errors(truth[is_real], called[is_real]),
        "simulated chests": errors(truth[~is_real], called[~is_real]),
        "with pulsation": errors(truth[moving], called[moving]),
        "without pulsation": errors(truth[~moving], called[~moving]),
        "slice_auc": float(roc_auc_score(*slices)),
        **{
            name: float(np.mean([row[name] for row in ill]))
            for name in ("dice", "points_inside", "mass_share", "area_share")
        },
    }


def errors(truth: np.ndarray, called: np.ndarray) -> dict[str, Any]:
    """Accuracy, FPE, FNE and FDPE (IV-B), each as (value, low, high); None without patients."""
    return {name: _interval(rate, truth, called) for name, rate in RATES.items()}


def _rate(wrong: np.ndarray, of: np.ndarray) -> float:
    return float(wrong[of].mean()) if of.any() else float("nan")


RATES: dict[str, Callable[[np.ndarray, np.ndarray], float]] = {
    "accuracy": lambda truth, called: _rate(truth == called, truth >= 0),
    "FPE": lambda truth, called: _rate(called > 0, truth == 0),
    "FNE": lambda truth, called: _rate(called == 0, truth > 0),
    "FDPE": lambda truth, called: _rate((called > 0) & (called != truth), truth > 0),
}


def _interval(
    rate: Callable[[np.ndarray, np.ndarray], float], truth: np.ndarray, called: np.ndarray
) -> tuple[float, float, float] | None:
    if len(truth) == 0:
        return None
    rng = np.random.default_rng(0)
    drawn = rng.integers(0, len(truth), (RESAMPLES, len(truth)))
    low, high = np.nanpercentile([rate(truth[i], called[i]) for i in drawn], (2.5, 97.5))
    return rate(truth, called), float(low), float(high)


def markdown(found: dict[str, Any]) -> str:
    lines = [
        f"{found['patients']} patients, {found['on_real_chests']} of them real chests; "
        f"{found['indeterminate']} called indeterminate.\n",
        "| truth \\ called | " + " | ".join(CLASS_KEYS) + " |",
        "|---|---|---|---|---|",
    ]
    lines += [
        f"| {key} | {' | '.join(map(str, row))} |"
        for key, row in zip(CLASS_KEYS, found["confusion"], strict=True)
    ]
    lines += ["\n| of | " + " | ".join(RATES) + " |", "|---|---|---|---|---|"]
    for group in ("all", "real chests", "simulated chests", "with pulsation", "without pulsation"):
        cells = [
            f"{100 * each[0]:.1f} ({100 * each[1]:.1f} to {100 * each[2]:.1f})" if each else "none"
            for each in found[group].values()
        ]
        lines.append(f"| {group} | {' | '.join(cells)} |")
    lines.append(
        f"\nSlice AUC {found['slice_auc']:.3f}; Dice of the label map {found['dice']:.3f}; the "
        f"map's maximum inside the truth in {found['points_inside']:.1%}; "
        f"{found['mass_share']:.1%} of its mass, the truth being {found['area_share']:.1%} of "
        "the lungs."
    )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
