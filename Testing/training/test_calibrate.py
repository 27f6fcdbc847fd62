"""Temperature and the rule for 'indeterminate', and the bundle that gets them."""

from dataclasses import dataclass, replace

import numpy as np
import pytest
import SimpleITK as sitk
from scipy.special import expit

from M3LungScreenLib import CTVolume, load_bundle, simulate_patient
from M3LungScreenLib.assessment import Nonparametric, calibrated, decide
from M3LungScreenLib.classes import CLASS_KEYS
from M3LungScreenLib.engines.interface import EngineSummary, PatientScores, SliceOutputs
from M3LungScreenLib.errors import UsageError
from M3LungScreenLib.settings import AssessmentSettings, with_values
from Testing.stand_ins.evaluation import untrained_bundle, write_index
from Training import calibrate
from Training.datasets.index_file import Case
from Training.evaluation.calibration import (
    Doubts,
    decided,
    doubts_of,
    fit_lesion_logits,
    fit_rule,
    fit_temperature,
    logits_of,
)
from Training.evaluation.screened import ScreenedCase, screen_case
from Training.evaluation.thresholds import THRESHOLDS
from Training.simulate_index import SIMULATED

SETTINGS = AssessmentSettings()


def patients(count, overconfidence, seed=0):
    """Logits that are `overconfidence` times too large for the classes drawn from them."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 2, (count, 4))
    p = calibrated(logits, 1.0)
    truth = np.array([rng.choice(4, p=each) for each in p])
    return logits * overconfidence, truth


def screened_cases(logits, truth, temperature=1.0):
    rng, p = np.random.default_rng(1), calibrated(logits, temperature)
    counted = np.where(rng.random(len(p)) < 0.7, p.argmax(axis=1), rng.integers(0, 4, len(p)))
    return [
        ScreenedCase(str(k), int(truth[k]), None, tuple(p[k]), int(p[k].argmax()),
                     counted=int(counted[k]), spread=float(rng.random() * 0.3),
                     logits=tuple(logits[k]))
        for k in range(len(p))
    ]  # fmt: skip


def test_the_temperature_undoes_a_known_overconfidence():
    logits, truth = patients(4000, overconfidence=3.0)
    assert fit_temperature(logits, truth) == pytest.approx(3.0, rel=0.06)


def test_answers_are_made_no_louder_than_the_least_temperature_allows():
    logits, truth = patients(4000, overconfidence=0.4)
    assert fit_temperature(logits, truth) == pytest.approx(0.4, rel=0.06)
    assert fit_temperature(logits, truth, least=1.0) == pytest.approx(1.0, abs=1e-3)


def test_lesion_logits_find_the_scale_and_offset_that_were_hidden():
    rng = np.random.default_rng(0)
    true_logits = rng.normal(0, 2, 40_000)
    is_ill = rng.random(40_000) < expit(true_logits)
    told = expit((true_logits + 0.8) / 0.5)
    scale, offset = fit_lesion_logits(told[is_ill], told[~is_ill])
    assert scale == pytest.approx(0.5, abs=0.02)
    assert offset == pytest.approx(-0.8, abs=0.05)
    # Thrice the slices without lesion are no reason to call fewer of them ill.
    more = fit_lesion_logits(told[is_ill], np.tile(told[~is_ill], 3))
    assert more == pytest.approx((scale, offset), abs=1e-3)


def test_p_lesion_is_made_no_louder():
    p_ill, p_free = np.array([0.8, 0.9, 1.0]), np.array([0.0, 0.1, 0.2])
    scale, offset = fit_lesion_logits(p_ill, p_free)
    assert scale == pytest.approx(1.0)
    assert offset == pytest.approx(0.0, abs=0.1)


@dataclass
class GapOfThree:
    """An engine whose patient-level logits are 0, 3, 0, 0 whatever it is given."""

    device: str = "cpu"
    summary = EngineSummary("onnx", "0", "float32")

    def run_slices(self, images: np.ndarray) -> SliceOutputs:
        count = len(images)
        classes = np.tile(np.array([0.1, 0.7, 0.1, 0.1], np.float32), (count, 1))
        return SliceOutputs(
            np.full(count, 0.9), classes, np.zeros((count, 7, 7)), np.ones((count, 1))
        )

    def run_patient(self, features: np.ndarray) -> PatientScores:
        return PatientScores(np.array([0.0, 3.0, 0.0, 0.0]), np.full(len(features), 1.0))


def test_the_logits_of_a_slab_are_kept_and_the_fit_sees_what_screening_answers(tmp_path):
    """Temperature 1.7, that of a part 2: gaps of 3 stay 3, and are answered as 3 / 3.4."""
    bundle = untrained_bundle(tmp_path / "bundle")
    changed = {"assessment.temperature": 1.7, "assessment.slab_temperature": 2.0}
    bundle = replace(bundle, settings=with_values(bundle.settings, changed))
    volume = simulate_patient("cap", 3, slice_count=40, slice_thickness_mm=8.0, matrix=96).volume
    found = []
    for name, slices in (("whole", slice(None)), ("slab", slice(14, 26))):
        part = CTVolume.from_array(volume.hu[slices].copy(), volume.spacing_mm)
        path = tmp_path / f"{name}.nrrd"
        sitk.WriteImage(part.to_stored(part.hu), str(path))
        case = Case(name, path, "COVID-19")
        found.append(screen_case(case, bundle, GapOfThree(), tmp_path / f"{name}.json"))
    whole, slab = found
    assert whole.logits == slab.logits == (0.0, 3.0, 0.0, 0.0)
    assert (whole.part_temperature, slab.part_temperature) == pytest.approx((1.0, 2.0))
    for each, gap in ((whole, 3 / 1.7), (slab, 3 / 3.4)):
        assert np.log(each.probabilities[1] / each.probabilities[0]) == pytest.approx(gap)
    assert calibrated(logits_of(found), 1.7) == pytest.approx(
        np.array([each.probabilities for each in found])
    )


def test_the_rule_keeps_the_stated_error_at_the_coverage():
    logits, truth = patients(300, 1.0)
    doubts = doubts_of(screened_cases(logits, truth), calibrated(logits, 1.0))
    stated = 1 - doubts.right.mean() - 0.01
    rule = fit_rule(doubts, SETTINGS, stated, least_coverage=0.8)
    stands = decided(doubts, rule.settings)
    assert rule.reached
    assert stands.mean() == rule.coverage >= 0.8
    assert 1 - doubts.right[stands].mean() == pytest.approx(rule.error)
    assert rule.error <= stated < rule.error_upper_95


def test_an_error_out_of_reach_is_told():
    logits, truth = patients(200, 1.0)
    doubts = doubts_of(screened_cases(logits, truth), calibrated(logits, 1.0))
    rule = fit_rule(doubts, SETTINGS, stated_error=0.0, least_coverage=0.8)
    assert not rule.reached
    assert rule.coverage >= 0.8
    assert rule.error < 1 - doubts.right.mean()


def test_the_rule_that_is_fitted_is_the_one_that_screening_follows():
    logits, truth = patients(120, 1.0)
    cases, p = screened_cases(logits, truth), calibrated(logits, 1.0)
    doubts = doubts_of(cases, p)
    settings = fit_rule(doubts, SETTINGS, stated_error=0.2, least_coverage=0.8).settings
    for case, each, stands in zip(cases, p, decided(doubts, settings), strict=True):
        counted = Nonparametric(CLASS_KEYS[case.counted], 0.0, {})
        assert (decide(each, counted, settings, case.spread).verdict != "indeterminate") == stands


def test_what_is_unlike_all_validation_cases_is_doubted():
    top, none = np.array([0.8, 0.9, 0.95]), np.zeros(3, bool)
    doubts = Doubts(top, none, np.array([0.01, 0.02, 0.05]), ~none)
    settings = fit_rule(doubts, SETTINGS, 0.05, 0.8).settings
    stranger = Doubts(np.array([0.7, 0.9]), none[:2], np.array([0.01, 0.2]), ~none[:2])
    assert decided(doubts, settings).all()
    assert not decided(stranger, settings).any()
    assert settings.minimum_top_probability_on_disagreement == pytest.approx(0.8, abs=1e-5)


@pytest.mark.parametrize(("unsure", "floor_holds"), [(1, True), (9, False)])
def test_a_class_less_likely_than_not_is_no_verdict_unless_the_coverage_needs_it(
    unsure: int, floor_holds: bool
) -> None:
    top = np.array([0.4] * unsure + [0.9] * 10)
    none = np.zeros(len(top), bool)
    doubts = Doubts(top, none, np.full(len(top), 0.01), ~none)
    settings = fit_rule(doubts, SETTINGS, 0.05, 0.8).settings
    assert (settings.minimum_top_probability >= 0.5) == floor_holds
    assert decided(doubts, settings).mean() >= 0.8


@pytest.fixture(scope="module")
def a_calibrated_bundle(tmp_path_factory):
    """Folder with `bundle` and `calibrated`, by two simulated patients."""
    folder = tmp_path_factory.mktemp("calibrate")
    untrained_bundle(folder / "bundle")
    index = write_index(folder, ("healthy", "cap"), "validation")
    named = ["--data", str(index), "--out", str(folder / "calibrated")]
    calibrate.main([str(folder / "bundle"), *named])
    return folder


def test_the_new_bundle_has_the_same_weights_and_the_fitted_settings(a_calibrated_bundle):
    before, after = (load_bundle(a_calibrated_bundle / each) for each in ("bundle", "calibrated"))
    block = after.card["calibration"]
    assert after.sha256 == before.sha256
    assert after.settings.assessment.temperature == block["temperature"] != 1.0
    assert after.settings.assessment.maximum_spread_over_windows is not None
    assert after.settings.slice_network == before.settings.slice_network
    fitted = block["location_map"]
    assert after.settings.localization.threshold == fitted["threshold"] in THRESHOLDS
    assert fitted["patients"] == 1
    assert "from 1 truth mask " in after.card["notes"][-1]


def test_the_card_says_on_what_and_how_well(a_calibrated_bundle):
    card = load_bundle(a_calibrated_bundle / "calibrated").card
    block = card["calibration"]
    assert (block["data_set"], block["split"]) == ("index.csv", "validation")
    assert (block["patients"], block["refused"]) == (2, 1)
    assert block["after"]["cross_entropy"] <= block["before"]["cross_entropy"]
    assert sum(each["count"] for each in block["after"]["reliability"]) == 2
    assert card["notes"][-1].startswith("Calibrated on 2 cases of index.csv")
    names = {each.name for each in (a_calibrated_bundle / "calibrated").iterdir()}
    assert names == {"model.json", "weights.safetensors", "reliability.png", "reliability.svg"}


@pytest.mark.parametrize(
    ("overconfidence", "told"),
    [
        (0.1, ": temperature fixed at 0.20 (the fit alone would be overconfident), "),
        (1.5, None),
        (90.0, ": temperature 20.00, its limit (the model barely separates these cases), "),
    ],
)
def test_the_sentence_says_where_the_temperature_is_at_its_limit(tmp_path, overconfidence, told):
    bundle = untrained_bundle(tmp_path / "bundle")
    logits, truth = patients(300, overconfidence)
    block, _ = calibrate.calibrate(screened_cases(logits, truth), bundle, 0.05, 0.8)
    said = calibrate.calibration_note({"data_set": "made up", **block})
    assert (told or f": temperature {block['temperature']:.2f}, ") in said
    assert "% with 95 % confidence)" in said


def test_the_note_says_that_simulated_patients_are_no_real_ones(tmp_path):
    bundle = untrained_bundle(tmp_path / "bundle")
    logits, truth = patients(300, 1.5)
    block, _ = calibrate.calibrate(screened_cases(logits, truth), bundle, 0.05, 0.8)
    said = calibrate.calibration_note({"data_set": SIMULATED.name, **block})
    assert said.startswith("Calibrated on simulated patients only (300 cases): temperature ")


def test_cases_of_one_class_are_refused(tmp_path):
    bundle = untrained_bundle(tmp_path / "bundle")
    logits, _ = patients(3, 1.0)
    with pytest.raises(UsageError, match=r"3 of 3 cases .* fewer than two classes\. Calibrate on"):
        calibrate.calibrate(screened_cases(logits, np.ones(3, int)), bundle, 0.05, 0.8)
