"""How a bundle does on real CT that no training saw.

    M3LUNGSCREEN_DATA=folder python -m Testing.benchmarks.labelled_patients \
        [--model BUNDLE] [--json FILE]

Three patients whose slices readers labelled, one with nodules, slabs and single slices
with and without COVID-19, and slices in which a radiologist drew the lesions. Beside the
network stand two plain rules (plain_rules.py); an uninformative slice counts as 0. What
it prints is a section for the bundle's EVALUATIONS.md. Intervals are 95 %, from a
thousand resamples of runs of ten neighbouring slices within each patient: they say
how sure the figure is of these patients, not of others.
"""

import argparse
import csv
import json
import os
import subprocess
from collections import defaultdict
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.metrics import roc_auc_score

from M3LungScreenLib import CTVolume, Result, load_bundle, read_ct, screen
from M3LungScreenLib.bundle import Bundle
from M3LungScreenLib.classes import CLASS_KEYS
from M3LungScreenLib.engines.choice import make_engine
from M3LungScreenLib.engines.interface import Engine
from Testing.benchmarks.lobe_agreement import lobe_agreement
from Testing.benchmarks.masked_slices import measure, read_masked_slices
from Testing.benchmarks.plain_rules import block_interval, nearness_to_mid_lung, opacity_share

ROOT = Path(__file__).parents[2]
LABELLED = ("covid-P001", "cap-001", "normal-001")
CLASS_OF = {"covid-P001": "covid19", "cap-001": "cap", "normal-001": "healthy"}
OTHERS = ("lidc-0001",)
# Nearly all of its slices labelled 0 show bronchiectasis or tree-in-bud that readers did not count.
DOUBTFUL = ("cap-001",)
# By name: the cases, and of which only the slices labelled 1 count.
SCOPES: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "within covid-P001": (LABELLED[:1], ()),
    "pooled": (LABELLED, ()),
    "pooled without cap-001's slices labelled 0": (LABELLED, DOUBTFUL),
}
ORIGIN = {"slabs": "RICORD slabs", "slices": "NY-SBU single slices"}
POSITIVE_SLABS = ("ricord-1A-000006", "ricord-1A-000008")
# Tested positive once; what was seen in them is clear or almost.
CLEAR_SLICES = ("A002304_19001231", "A048383", "A067967_19001006")
LOBES = ("RLL", "RML", "RUL", "LLL", "LUL")
Scores = dict[str, np.ndarray]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, default=ROOT / "Resources/Models/compact")
    parser.add_argument("--json", type=Path, help="also write every figure there")
    arguments = parser.parse_args()
    data, bundle = Path(os.environ["M3LUNGSCREEN_DATA"]), load_bundle(arguments.model)
    engine = make_engine(bundle, "auto")
    figures = {
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
        "revision": revision(),
        "weights": bundle.sha256[:12],
        **patients(data, bundle, engine),
        "slabs_and_slices": slabs_and_slices(data, bundle, engine),
        "masked_slices": masked_slices(data, bundle, engine),
    }
    print(markdown(figures))
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=2) + "\n", "utf-8")


def revision() -> str:
    """The checkout's commit, with '-dirty' where files differ from it."""
    asked = ["git", "-C", str(ROOT), "describe", "--always", "--dirty"]
    return subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip()


def patients(data: Path, bundle: Bundle, engine: Engine) -> dict[str, Any]:
    """Verdicts, slice AUC against both rules, lobes; single middle slices by themselves."""
    labels = read_labels(data / "slice_labels.csv")
    cases, scores, middles, lobes = {}, {}, {}, {}
    for case in (*LABELLED, *OTHERS):
        volume = read_ct(data / "ct" / case)
        result = screen(volume, bundle, engine=engine)
        cases[case] = verdict(result)
        middles[case] = middle_slice(result, bundle, engine)
        if case in LABELLED:
            scores[case] = slice_scores(result)
        if labels.get(case, {}).get("lesion", np.zeros(1)).any():
            lobes[case] = {
                place: {**asdict(each), "agreement": each.agreement}
                for place, each in lobe_agreement(
                    result.arrays.lesions, result.arrays.lungs, labels[case]
                ).items()
            }
    lesion = {case: labels[case]["lesion"] for case in LABELLED}
    right = [key for case, key in CLASS_OF.items() if cases[case]["verdict"] == key]
    return {
        "cases": cases,
        "verified_on_real_ct": {key: right.count(key) for key in CLASS_KEYS},
        "slice_auc": auc_table(scores, lesion),
        "middle_slices": middles,
        "lobes": lobes,
    }


def read_labels(path: Path) -> dict[str, dict[str, np.ndarray]]:
    """By case 'lesion' and the lobes, 0 or 1, slices from feet to head."""
    rows: dict[str, list[dict[str, str]]] = defaultdict(list)
    with path.open(newline="") as file:
        for row in csv.DictReader(file):
            rows[row["case"]].append(row)
    columns = ("lesion", *LOBES)
    return {
        case: {
            name: np.array([int(row[name] or 0) for row in sorted(listed, key=_height)])
            for name in columns
        }
        for case, listed in rows.items()
    }


def _height(row: dict[str, str]) -> int:
    return int(row["slice_index_inferior_to_superior"])


def slice_scores(result: Result) -> Scores:
    """Of each slice, feet to head: the network's P(lesion) and the two plain rules."""
    lungs = result.arrays.lungs
    share = opacity_share(result.volume.hu, lungs, result.volume.spacing_mm)
    p_lesion = np.array([each.p_lesion or 0.0 for each in axial_slices(result)])
    return {
        "network, P(lesion)": p_lesion,
        "share of opacity": share,
        "share of opacity × nearness to mid-lung": share * nearness_to_mid_lung(lungs),
    }


def axial_slices(result: Result) -> list[Any]:
    """The result's slices from feet to head."""
    return sorted(result.slices, key=lambda each: each.position_mm[2])


def auc_table(scores: dict[str, Scores], labels: dict[str, np.ndarray]) -> dict[str, Any]:
    """By score and scope: AUC with its interval; rules also paired."""
    names = list(scores[LABELLED[0]])
    table: dict[str, Any] = {name: {} for name in names}
    for scope, (cases, doubtful) in SCOPES.items():
        truth = np.concatenate([labels[case] for case in cases])
        sure = np.concatenate([np.full(len(labels[case]), case not in doubtful) for case in cases])
        lengths = [len(labels[case]) for case in cases]
        values = {name: np.concatenate([scores[case][name] for case in cases]) for name in names}
        for name in names:
            network, own = values[names[0]], values[name]
            table[name][scope] = compare(truth, network, own, lengths, sure | (truth > 0))
    return table


def compare(
    truth: np.ndarray,
    network: np.ndarray,
    own: np.ndarray,
    lengths: list[int],
    counted: np.ndarray,
) -> dict[str, Any]:
    """AUC of `own` with its interval, and the paired one of how far the network is ahead.

    Over the slices that are `counted`, bool.
    """

    def auc_of(score: np.ndarray, drawn: np.ndarray) -> float:
        kept = drawn[counted[drawn]]
        return auc(truth[kept], score[kept])

    return {
        "auc": auc_of(own, np.arange(len(truth))),
        "interval": block_interval(lambda i: auc_of(own, i), lengths),
        "network_ahead_by": block_interval(lambda i: auc_of(network, i) - auc_of(own, i), lengths),
    }


def auc(truth: np.ndarray, score: np.ndarray) -> float:
    """NaN where a resample holds one class only."""
    return float(roc_auc_score(truth, score)) if 0 < truth.sum() < len(truth) else float("nan")


def verdict(result: Result) -> dict[str, Any]:
    """The answer to a whole patient, and what else is told of one."""
    assert result.patient is not None
    p = np.array([each.p_lesion for each in result.slices if each.informative])
    return {
        **answer(result),
        "count_says": result.patient.nonparametric.predicted,
        "slices_over_half": float((p > 0.5).mean()),
        "involvement": result.involvement.total.fraction,
    }


def middle_slice(result: Result, bundle: Bundle, engine: Engine) -> dict[str, Any]:
    """The answer to the slice in the middle of the lungs, screened by itself."""
    volume = result.volume
    k = round(float(np.flatnonzero(result.arrays.lungs.any(axis=(1, 2))).mean()))
    alone = CTVolume.from_array(volume.hu[k : k + 1], volume.spacing_mm)
    return answer(screen(alone, bundle, engine=engine))


def answer(result: Result) -> dict[str, Any]:
    """The patient's verdict, of a single slice its class; the median of P(lesion)."""
    seen = [each for each in result.slices if each.informative]
    patient = result.patient
    told = patient.verdict if patient else seen[0].predicted
    probabilities = patient.probabilities if patient else seen[0].probabilities
    assert probabilities is not None
    return {
        "verdict": told,
        "probabilities": [round(float(value), 3) for value in probabilities.as_array()],
        "median_p_lesion": float(np.median([each.p_lesion for each in seen])),
    }


def slabs_and_slices(data: Path, bundle: Bundle, engine: Engine) -> dict[str, Any]:
    """The answer to each RICORD slab and to each NY-SBU slice, and the AUC of P(lesion)."""
    found = {}
    for kind, place in (("slabs", "slabs"), ("slices", "slices/covid-ny-sbu")):
        answers = {
            path.stem: answer(screen(read_ct(path), bundle, engine=engine))
            for path in sorted((data / place).glob("*.nrrd"))
        }
        ill = np.array([is_ill(name) for name in answers])
        p_lesion = np.array([each["median_p_lesion"] for each in answers.values()])
        found[kind] = {"answers": answers, "auc": auc(ill, p_lesion)}
    return found


def is_ill(name: str) -> bool:
    """What is known of a slab or single slice by its name (data/README.md)."""
    if name.startswith("ricord"):
        return name in POSITIVE_SLABS
    return not any(clear in name for clear in CLEAR_SLICES)


def masked_slices(data: Path, bundle: Bundle, engine: Engine) -> dict[str, float]:
    """Means over the slices with a radiologist's mask."""
    folder = data / "slices" / "covid-lesion-masks"
    found = [asdict(measure(each, engine, bundle)) for each in read_masked_slices(folder)]
    means = {name: float(np.mean([each[name] for each in found])) for name in found[0]}
    return {"count": len(found), **means}


def markdown(figures: dict[str, Any]) -> str:
    lines = [
        f"## {figures['date']}, weights {figures['weights']}, revision {figures['revision']}",
        "`M3LUNGSCREEN_DATA=… python -m Testing.benchmarks.labelled_patients`\n",
        "| case | verdict (Healthy, COVID-19, H1N1, CAP) | count of slices says | "
        "median p_lesion | slices over 0.5 | involvement | middle slice alone |",
        "|---|---|---|---|---|---|---|",
    ]
    for case, each in figures["cases"].items():
        alone = figures["middle_slices"][case]
        lines.append(
            f"| {case} | {_told(each)} | {each['count_says']} | "
            f"{each['median_p_lesion']:.2f} | {each['slices_over_half']:.1%} | "
            f"{each['involvement']:.1%} | {alone['median_p_lesion']:.2f}, {_told(alone)} |"
        )
    lines += [
        "\n| score of a slice | "
        + " | ".join(f"AUC {scope} | network ahead by" for scope in SCOPES)
        + " |",
        "|---" * (1 + 2 * len(SCOPES)) + "|",
    ]
    for name, scopes in figures["slice_auc"].items():
        cells = [_auc_cells(scopes[scope]) for scope in SCOPES]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    for kind, each in figures["slabs_and_slices"].items():
        lines.append(f"\n{ORIGIN[kind]}, positives against negatives: AUC {each['auc']:.3f}.")
        for name, answered in each["answers"].items():
            truth = "positive" if is_ill(name) else "negative"
            lines.append(
                f"- {name} ({truth}): {answered['median_p_lesion']:.2f}, {_told(answered)}"
            )
    masked = figures["masked_slices"]
    lines.append(
        f"\n{masked['count']} slices with a radiologist's mask: p_lesion {masked['p_lesion']:.2f}; "
        f"{masked['mass_share']:.1%} of the map's mass inside the masks, which are "
        f"{masked['area_share']:.1%} of the area; the map's maximum inside in "
        f"{masked['points_inside']:.1%}; Dice {masked['dice']:.3f}; pixel AUC "
        f"{masked['pixel_auc']:.3f} (means)."
    )
    return "\n".join([*lines, *_lobe_lines(figures["lobes"])])


def _told(each: dict[str, Any]) -> str:
    values = ", ".join(f"{value:.2f}" for value in each["probabilities"])
    return f"{each['verdict']} ({values})"


def _lobe_lines(lobes: dict[str, Any]) -> list[str]:
    """A table: on how many slices readers name a lung, and the label map marks it."""
    lines = ["\n| case, lung, third | slices | named | marked | both | agreement |"]
    lines.append("|---|---|---|---|---|---|")
    for case, places in lobes.items():
        for place, each in places.items():
            counts = " | ".join(str(each[key]) for key in ("slices", "named", "marked", "both"))
            lines.append(f"| {case}, {place} | {counts} | {each['agreement']:.1%} |")
    return lines


def _auc_cells(scope: dict[str, Any]) -> str:
    (low, high), (least, most) = scope["interval"], scope["network_ahead_by"]
    ahead = f"{least:+.3f} to {most:+.3f}" if most > least else ""
    return f"{scope['auc']:.3f} ({low:.3f} to {high:.3f}) | {ahead}"


if __name__ == "__main__":
    main()
