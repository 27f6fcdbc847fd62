"""Readers' lobes against the label map, and the whole command on the real CT."""

import json
import math
import os
import sys
from pathlib import Path

import numpy as np
import pytest

from M3LungScreenLib.classes import CLASS_KEYS
from Testing.benchmarks import labelled_patients
from Testing.benchmarks.lobe_agreement import lobe_agreement


@pytest.fixture
def nine_slices() -> tuple[np.ndarray, np.ndarray]:
    """Nine slices with both lungs: label map and lungs; the right lung marked in 0 to 2."""
    lungs = np.zeros((9, 4, 4), np.uint8)
    lungs[:, :, :2], lungs[:, :, 2:] = 1, 2
    lesions = np.zeros_like(lungs)
    lesions[:3, 0, 0] = 2
    return lesions, lungs


def labels_with(**named: tuple[int, ...]) -> dict[str, np.ndarray]:
    lobes = {name: np.zeros(9, int) for name in labelled_patients.LOBES}
    for lobe, slices in named.items():
        lobes[lobe][list(slices)] = 1
    return lobes


def test_a_lobe_counts_for_its_lung_alone(nine_slices):
    found = lobe_agreement(*nine_slices, labels_with(RLL=(1, 2), RUL=(8,)))
    right, left = found["right"], found["left"]
    assert (right.slices, right.named, right.marked, right.both) == (9, 3, 3, 2)
    assert right.agreement == pytest.approx(7 / 9)
    assert (left.named, left.marked, left.agreement) == (0, 0, 1.0)


def test_the_thirds_of_a_lung_add_up_to_it(nine_slices):
    found = lobe_agreement(*nine_slices, labels_with(RLL=(1, 2), RUL=(8,)))
    lower, middle, upper = (found[f"right {zone}"] for zone in ("lower", "middle", "upper"))
    assert (lower.named, middle.named, upper.named) == (2, 0, 1)
    assert lower.agreement == pytest.approx(2 / 3)
    assert lower.slices + middle.slices + upper.slices == found["right"].slices


def test_a_lung_that_is_missing_has_no_agreement(nine_slices):
    lesions, lungs = nine_slices
    found = lobe_agreement(lesions, np.where(lungs == 2, 0, lungs), labels_with())
    assert found["left"].slices == 0
    assert math.isnan(found["left"].agreement)


def test_slabs_and_slices_are_known_by_what_their_names_say():
    assert labelled_patients.is_ill("ricord-1A-000006")
    assert not labelled_patients.is_ill("ricord-1B-000046")
    assert labelled_patients.is_ill("A048382_19010410")
    assert not labelled_patients.is_ill("A048383_19010410")


def test_the_readers_labels_run_from_feet_to_head():
    data = os.environ.get("M3LUNGSCREEN_DATA")
    if not data:
        pytest.skip("M3LUNGSCREEN_DATA names no folder with the real CT")
    labels = labelled_patients.read_labels(Path(data) / "slice_labels.csv")
    counts = {case: int(each["lesion"].sum()) for case, each in labels.items()}
    assert counts == {"covid-P001": 80, "cap-001": 30, "normal-001": 0}
    lower, upper = (np.flatnonzero(labels["covid-P001"][lobe]).mean() for lobe in ("RLL", "RUL"))
    assert lower < upper


def test_the_section_names_date_weights_and_revision(monkeypatch, tmp_path, capsys):
    data = os.environ.get("M3LUNGSCREEN_DATA")
    if not data:
        pytest.skip("M3LUNGSCREEN_DATA names no folder with the real CT")
    monkeypatch.setattr(labelled_patients, "patients", lambda *_: SHORT)
    monkeypatch.setattr(labelled_patients, "masked_slices", lambda *_: MASKED)
    monkeypatch.setattr(sys, "argv", ["labelled_patients", "--json", str(tmp_path / "f.json")])
    labelled_patients.main()
    figures = json.loads((tmp_path / "f.json").read_text("utf-8"))
    first = capsys.readouterr().out.splitlines()[0]
    assert first == (
        f"## {figures['date']}, weights {figures['weights']}, revision {figures['revision']}"
    )
    answers = {kind: each["answers"] for kind, each in figures["slabs_and_slices"].items()}
    assert {kind: len(each) for kind, each in answers.items()} == {"slabs": 5, "slices": 14}
    for each in answers["slices"].values():
        # A single slice has a class, never 'indeterminate': its likeliest.
        own = each["probabilities"][CLASS_KEYS.index(each["verdict"])]
        assert own == max(each["probabilities"])


SHORT = {"cases": {}, "middle_slices": {}, "slice_auc": {}, "lobes": {}}
MASKED = dict.fromkeys(
    ("count", "p_lesion", "mass_share", "area_share", "points_inside", "dice", "pixel_auc"), 0.0
)
