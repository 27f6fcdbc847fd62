"""What was measured on real patients stands in the card, and in that of no other weights."""

import numpy as np
import pytest

from M3LungScreenLib.bundle import load_bundle, save_bundle
from M3LungScreenLib.classes import CLASS_KEYS
from M3LungScreenLib.errors import UsageError
from M3LungScreenLib.settings import ModelSettings
from Training.model_card import verification_note
from Training.record_verification import record


@pytest.fixture(params=["float16", "float32"])
def a_bundle(tmp_path, request):
    """A bundle with the notes of an export; its weights are of no network."""
    notes = ["trained on", verification_note(dict.fromkeys(CLASS_KEYS, 0)), "not calibrated"]
    weights = {"layer": np.arange(4, dtype=np.float32) / 3}
    return save_bundle(
        tmp_path / "bundle",
        name="tiny",
        version="1",
        settings=ModelSettings(),
        slice_weights=weights,
        patient_weights=weights,
        card={"notes": notes},
        dtype=request.param,
    )


def test_the_card_says_how_many_real_patients_were_right(a_bundle):
    figures = {"weights": a_bundle.sha256[:12], "verified_on_real_ct": {"covid19": 2, "cap": 1}}
    record(a_bundle, figures)
    reread = load_bundle(a_bundle.folder)
    assert reread.sha256 == a_bundle.sha256
    assert reread.card["weights"] == a_bundle.card["weights"]
    assert reread.card["verified_on_real_ct"] == {"healthy": 0, "covid19": 2, "h1n1": 0, "cap": 1}
    assert reread.card["notes"] == [
        "trained on",
        "Correct on real patients: 2 COVID-19, 1 CAP; too few to rely on. "
        "Never verified on real CT: Healthy, H1N1.",
        "not calibrated",
    ]


@pytest.mark.parametrize(
    ("counts", "note"),
    [
        ({}, "Never verified on real CT: Healthy, COVID-19, H1N1, CAP."),
        ({"cap": 1}, "Correct on one real patient of CAP; too few to rely on. Never"),
        (
            {"healthy": 1, "covid19": 1, "cap": 1},
            "Correct on one real patient each of Healthy, COVID-19 and CAP; too few to rely on. ",
        ),
        (
            dict.fromkeys(("healthy", "covid19", "h1n1", "cap"), 3),
            "Correct on real patients: 3 Heal",
        ),
    ],
)
def test_the_note_counts_the_patients_of_each_class(counts, note):
    whole = dict.fromkeys(("healthy", "covid19", "h1n1", "cap"), 0) | counts
    said = verification_note(whole)
    assert said.startswith(note)
    assert ("Never verified" in said) == (min(whole.values()) == 0)


def test_figures_of_other_weights_are_refused(a_bundle):
    with pytest.raises(UsageError, match="Measure this bundle first"):
        record(a_bundle, {"weights": "0123456789ab", "verified_on_real_ct": {}})


def test_lung_crops_are_told_apart_from_verified_patients_and_only_once(a_bundle):
    total = {"slice_auc": 0.908, "pointing": 0.748, "dice": 0.468}
    patient = {"verdict": "covid19", "probabilities": [0.1, 0.85, 0.03, 0.02]}
    other = {"verdict": "indeterminate", "probabilities": [0.5, 0.4, 0.05, 0.05]}
    figures = {
        "weights": a_bundle.sha256[:12],
        "patients": {"a": patient, "b": other},
        "all": total,
    }
    before = a_bundle.card.get("verified_on_real_ct")
    for _ in range(2):
        recorded = record(load_bundle(a_bundle.folder), figures)
    assert recorded.card.get("verified_on_real_ct") == before
    *others, note = recorded.card["notes"]
    assert others == a_bundle.card["notes"]
    assert note.startswith("Lung crops of 2 patients with COVID-19: 1 classified correctly")
    assert "0.40 to 0.85" in note
    assert "75% of slices, mean Dice 0.47" in note
