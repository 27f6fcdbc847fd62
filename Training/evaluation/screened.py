"""Screening of an index, case by case; results are kept so that a run can be resumed."""

import json
import shutil
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from M3LungScreenLib import screening
from M3LungScreenLib.bundle import Bundle
from M3LungScreenLib.classes import CLASS_KEYS, CLASSES
from M3LungScreenLib.engines.fallback_engine import GPU_MEMORY_RAN_OUT, lasting_engine
from M3LungScreenLib.engines.interface import Engine
from M3LungScreenLib.errors import InputRefused, UsageError
from M3LungScreenLib.result import Result
from M3LungScreenLib.screening import screen
from M3LungScreenLib.settings import to_dict
from Training.atomic_files import kept_name, write_atomically
from Training.datasets.code_digest import code_sha256
from Training.datasets.index_file import HEALTHY, Case, splits_there
from Training.datasets.masks import read_mask
from Training.datasets.slice_images import read_case_ct
from Training.evaluation.map_figures import MapFigures, map_figures
from Training.evaluation.thresholds import Overlaps, overlaps

RUN_FILE = "run.json"
# The code that measures, beside that of screening: cases kept by other code are not gone on with.
MEASURING = (read_case_ct, read_mask, map_figures, overlaps)
TIE_WEIGHT = 1e-7
INDEX_OF = {each.name: each.index for each in CLASSES}


@dataclass(frozen=True)
class ScreenedCase:
    """What evaluation and calibration need of one case; of a refused one only `refusal`.

    `probabilities` are the four, softmax of `logits` over the temperature of calibration times
    `part_temperature` (1 for whole lungs); `counted` is Eq. 5's class. `slices` are Eq. 4's p
    `[n, 4]` and `p_lesion` `[n]` from feet to head (a slice without lung is Healthy with 1, as
    it has no lesion), `slice_labels` 0 or 1 for each of them. `notes` say what could not be used.
    """

    case_id: str
    truth: int
    refusal: str | None = None
    probabilities: tuple[float, ...] = ()
    predicted: int = -1
    verdict: str = ""
    counted: int = -1
    spread: float = 0.0
    logits: tuple[float, ...] = ()
    part_temperature: float = 1.0
    slices: tuple[tuple[float, ...], ...] = ()
    p_lesion: tuple[float, ...] = ()
    informative: tuple[bool, ...] = ()
    slice_labels: tuple[int, ...] | None = None
    map: MapFigures | None = None
    overlaps: Overlaps | None = None
    notes: tuple[str, ...] = ()

    @property
    def slice_counts(self) -> np.ndarray:
        """Eq. 5's score of each class, N^k/N over informative slices, ties by mean p: `[4]`."""
        p = np.array(self.slices)[np.array(self.informative)]
        top = p == p.max(axis=1, keepdims=True)
        # Shares of two patients differ by at least 1/(N N'), far more than TIE_WEIGHT.
        return np.asarray(top.mean(axis=0) + TIE_WEIGHT * p.mean(axis=0))


Keep = Callable[[Path, Result, np.ndarray | None], None]


def cases_of(cases: list[Case], split: str) -> list[Case]:
    """The cases of `split`, or all if none has a split; UsageError for none, or for duplicates."""
    chosen = [each for each in cases if each.split == split]
    if not any(each.split for each in cases):
        chosen = cases
    if not chosen:
        there = splits_there(cases)
        raise UsageError(
            "index",
            f"The index has no cases in the split {split!r}{there}. Choose another with --split.",
        )
    names = [each.case_id for each in chosen]
    twins = sorted({name for name in names if names.count(name) > 1})
    if twins:
        raise UsageError("index", f"The index lists {', '.join(twins)} twice. Keep one line each.")
    return chosen


def open_work(folder: Path, bundle: Bundle, cases: list[Case], resume: bool) -> Path:
    """The folder where cases are kept until all are done, emptied unless resumed.

    UsageError if it was started with another bundle, other cases or other code.
    """
    run = {
        "bundle": bundle.sha256,
        "code": code_sha256(screening, *MEASURING, sys.modules[__name__]),
        "settings": json.loads(json.dumps(to_dict(bundle.settings))),
        "cases": [{key: str(value) for key, value in vars(each).items()} for each in cases],
    }
    if not resume:
        shutil.rmtree(folder, ignore_errors=True)
    if (folder / RUN_FILE).is_file():
        if json.loads((folder / RUN_FILE).read_text("utf-8")) != run:
            raise UsageError(
                "resume",
                f"{folder} was started with another bundle, other cases or other code. "
                "Omit --resume.",
            )
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    write_atomically(folder / RUN_FILE, run)
    return folder


def screen_cases(
    cases: list[Case], bundle: Bundle, device: str, work: Path, keep: Keep | None = None
) -> list[ScreenedCase]:
    """All cases screened, or read from `work` if they already are.

    `keep` may save pictures: it gets the folder, the result and the truth mask, if there is one. A
    refused case is an entry with the reason.
    """
    say = partial(tqdm.write, GPU_MEMORY_RAN_OUT, sys.stderr)
    engine = lasting_engine(bundle, device, "auto", say)
    found = []
    for case in tqdm(cases, desc="screen", unit="case", disable=None):
        path = work / f"{kept_name(case.case_id)}.json"
        if not path.is_file():
            write_atomically(path, asdict(screen_case(case, bundle, engine, path, keep)))
        found.append(_read(json.loads(path.read_text("utf-8"))))
    return found


def screen_case(
    case: Case, bundle: Bundle, engine: Engine, path: Path, keep: Keep | None = None
) -> ScreenedCase:
    """One case; its pictures, if `keep` saves any, lie in a folder beside `path`."""
    truth = INDEX_OF[case.patient_class]
    try:
        result = screen(read_case_ct(case.path), bundle, engine=engine)
    except InputRefused as refusal:
        return ScreenedCase(case.case_id, truth, refusal.message)
    if result.patient is None:
        why = "A single slice has no patient-level verdict. Use the whole volume."
        return ScreenedCase(case.case_id, truth, why)
    mask, labels, notes = _truths(case, result)
    if keep:
        keep(path.parent / kept_name(case.case_id), result, mask)
    patient, ordered = (
        result.patient,
        [result.slice_of(k) for k in range(result.volume.slice_count)],
    )
    p = [each.probabilities for each in ordered]
    return ScreenedCase(
        case_id=case.case_id,
        truth=truth,
        probabilities=tuple(map(float, patient.probabilities.as_array())),
        predicted=CLASS_KEYS.index(patient.predicted),
        verdict=patient.verdict,
        counted=CLASS_KEYS.index(patient.nonparametric.predicted),
        spread=patient.spread_over_windows,
        logits=patient.logits,
        part_temperature=patient.temperature / bundle.settings.assessment.temperature,
        slices=tuple((1.0, 0.0, 0.0, 0.0) if e is None else tuple(e.as_array()) for e in p),
        p_lesion=tuple(each.p_lesion or 0.0 for each in ordered),
        informative=tuple(each is not None for each in p),
        slice_labels=labels,
        map=None if mask is None else map_figures(mask, result),
        overlaps=None if mask is None else overlaps(mask, result),
        notes=notes,
    )


def _truths(
    case: Case, result: Result
) -> tuple[np.ndarray | None, tuple[int, ...] | None, tuple[str, ...]]:
    """Mask and slice labels that match the volume; without labels the mask labels the slices.

    Healthy patients have no slice with lesion (II-B). A note for what does not match.
    """
    mask, labels, notes = None, case.slice_labels, []
    count = result.volume.slice_count
    if labels is not None and len(labels) != count:
        notes.append(f"{len(labels)} slice labels for {count} slices; the labels were not used.")
        labels = None
    if case.mask is not None:
        try:
            mask = read_mask(case.mask, result.volume)
        except InputRefused as refusal:
            notes.append(f"{refusal.message} The mask was not used.")
    if mask is not None and labels is None:
        labels = tuple(np.any(mask, axis=(1, 2)).astype(int).tolist())
    if case.patient_class == HEALTHY:
        labels = (0,) * count
    return mask, labels, tuple(notes)


def _read(kept: dict[str, Any]) -> ScreenedCase:
    values = _with_tuples(kept)
    values["slices"] = tuple(map(tuple, kept["slices"]))
    if kept["map"]:
        values["map"] = MapFigures(**kept["map"])
    if kept["overlaps"]:
        values["overlaps"] = Overlaps(**_with_tuples(kept["overlaps"]))
    return ScreenedCase(**values)


def _with_tuples(kept: dict[str, Any]) -> dict[str, Any]:
    """JSON has lists for tuples."""
    return {k: tuple(v) if isinstance(v, list) else v for k, v in kept.items()}
