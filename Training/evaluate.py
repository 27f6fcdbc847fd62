"""Evaluate a model bundle on an indexed data set: figures, curves, galleries (Section IV-B).

    python -m Training.evaluate BUNDLE --data INDEX --out DIR [--split test] [--resume]

Whole volumes go through `M3LungScreenLib.screen`. Finished cases are kept beside DIR until all are
done; then DIR is written as a whole. If the index has no splits, all cases are used.
"""

import argparse
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from M3LungScreenLib.bundle import load_bundle
from M3LungScreenLib.engines.choice import DEVICES
from M3LungScreenLib.outputs.folder import Output, check_target, complete_or_absent
from Training.atomic_files import kept_name, work_beside
from Training.command_line import run_script
from Training.datasets.index_file import read_index
from Training.evaluation.drawings import draw_confusion, draw_reliability, draw_roc, save, save_svg
from Training.evaluation.pictures import MONTAGE, gallery, keep_pictures, sheet
from Training.evaluation.screened import ScreenedCase, cases_of, open_work, screen_cases
from Training.evaluation.summary import annotated, counts_of, scores_of, slice_truth, summarise
from Training.evaluation.table import METHODS, markdown

METRICS_FILE = "metrics.json"
PICTURES = ("roc-patient", "roc-slice", "confusion", "reliability", "gallery")


def _is_evaluation(metrics: dict[str, Any]) -> bool:
    """Whether metrics.json belongs to an evaluation: it names the weights' digest."""
    model = metrics.get("model")
    return isinstance(model, dict) and "sha256" in model and "network_against_count" in metrics


EVALUATION = Output(
    mark=METRICS_FILE,
    is_ours=_is_evaluation,
    files=(
        METRICS_FILE,
        "metrics.md",
        "montages",
        *(f"{name}.{kind}" for name in (*PICTURES, "montages/*") for kind in ("png", "svg")),
    ),
)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("bundle", type=Path, help="model bundle to evaluate")
    parser.add_argument(
        "--data", type=Path, required=True, help="index of cases, from Training.index"
    )
    parser.add_argument("--out", type=Path, required=True, help="folder to write")
    parser.add_argument("--split", default="test", help="split to use")
    parser.add_argument("--device", default="auto", choices=DEVICES)
    parser.add_argument(
        "--resume", action="store_true", help="reuse cases that are already screened"
    )
    parsed = parser.parse_args(arguments)
    check_target(parsed.out, EVALUATION)
    bundle, cases = load_bundle(parsed.bundle), cases_of(read_index(parsed.data), parsed.split)
    work = open_work(work_beside(parsed.out), bundle, cases, parsed.resume)
    screened = screen_cases(cases, bundle, parsed.device, work, keep_pictures)
    split = parsed.split if any(each.split for each in cases) else None
    metrics = summarise(screened, bundle, split)
    with complete_or_absent(parsed.out, EVALUATION) as folder:
        write_evaluation(folder, metrics, screened, work)
    shutil.rmtree(work)
    print(markdown(metrics))


def write_evaluation(
    folder: Path, metrics: dict[str, Any], cases: list[ScreenedCase], work: Path
) -> None:
    """Write all files of an evaluation; pictures of cases come from `work`."""
    used = [each for each in cases if each.refusal is None]
    text = json.dumps(metrics, indent=1, ensure_ascii=False, allow_nan=False)
    (folder / METRICS_FILE).write_text(text + "\n", "utf-8")
    (folder / "metrics.md").write_text(markdown(metrics), "utf-8")
    _draw_curves(folder, metrics, used)
    pictures = gallery(used, work)
    if pictures:
        save(pictures, folder, "gallery")
    (folder / "montages").mkdir()
    for each in used:
        _write_montage(folder / "montages", kept_name(each.case_id), work)


def _draw_curves(folder: Path, metrics: dict[str, Any], used: list[ScreenedCase]) -> None:
    if not used:
        return
    truth = np.array([each.truth for each in used])
    scores = {"patient": scores_of(used), "count_of_slices": counts_of(used)}
    panels = {title: (truth, scores[name], _aucs(metrics[name])) for name, title in METHODS.items()}
    save(draw_roc(panels), folder, "roc-patient")
    matrices = {title: metrics[name]["confusion"] for name, title in METHODS.items()}
    save(draw_confusion(matrices), folder, "confusion")
    calibration = metrics["calibration"]
    bins = (calibration["bins"], calibration["ece"]["value"])
    save(draw_reliability({"Reliability": bins}), folder, "reliability")
    having = annotated(used)
    if having:
        classes = np.concatenate([slice_truth(each) for each in having])
        p = np.concatenate([np.array(each.slices) for each in having])
        save(
            draw_roc({"Annotated slices": (classes, p, metrics["slice"]["auc"])}),
            folder,
            "roc-slice",
        )


def _aucs(method: dict[str, Any]) -> dict[str, Any]:
    return {key: figures["auc"] for key, figures in method["of_each_class"].items()}


def _write_montage(folder: Path, name: str, work: Path) -> None:
    kept = work / name / MONTAGE
    shutil.copyfile(kept, folder / f"{name}.png")
    with Image.open(kept) as picture:
        save_svg(sheet(picture), folder / f"{name}.svg", dots_per_inch=200)


if __name__ == "__main__":
    run_script(main)
