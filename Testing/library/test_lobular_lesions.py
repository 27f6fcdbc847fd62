"""The second renderer: replayed alike, inside the lungs, each disease where it belongs."""

import numpy as np
import pytest
from scipy import ndimage

from M3LungScreenLib.simulation.patient import SimulatedPatient, simulate_patient
from Testing.stand_ins.lobular_lesions import apply_lobular_lesions, draw_lobular_lesions

DISEASES = ("covid19", "h1n1", "cap")


@pytest.fixture(scope="module")
def chest() -> SimulatedPatient:
    return simulate_patient("healthy", 12, slice_thickness_mm=8, matrix=96)


def truth_of(chest: SimulatedPatient, key: str, seed: int, severity: float = 0.1) -> np.ndarray:
    record = draw_lobular_lesions(key, np.random.default_rng(seed), severity)
    return apply_lobular_lesions(chest.volume.hu, chest.lungs, chest.volume.spacing_mm, record)[1]


@pytest.mark.parametrize("key", DISEASES)
def test_a_replayed_patient_is_the_same_and_ill_inside_the_lungs_alone(chest, key):
    truth = truth_of(chest, key, 3)
    assert np.array_equal(truth, truth_of(chest, key, 3))
    assert truth.any()
    assert not truth[chest.lungs == 0].any()


@pytest.mark.parametrize("severity", [0.03, 0.1, 0.3])
def test_about_as_much_of_the_lung_is_ill_as_was_asked(chest, severity):
    shares = [
        (truth_of(chest, "covid19", seed, severity) > 0).sum() / (chest.lungs > 0).sum()
        for seed in range(3)
    ]
    assert np.mean(shares) == pytest.approx(severity, rel=0.5)


def test_vessels_stay_as_they_are(chest):
    hu, lungs = chest.volume.hu, chest.lungs
    record = draw_lobular_lesions("covid19", np.random.default_rng(1), 0.3)
    ill, _ = apply_lobular_lesions(hu, lungs, chest.volume.spacing_mm, record)
    assert np.array_equal(ill[hu >= 40], hu[hu >= 40])


def test_covid_lies_at_the_pleura_and_the_back_and_in_both_lungs_more_than_the_others(chest):
    depth = ndimage.distance_transform_edt(chest.lungs > 0, sampling=(8, 4, 4))
    _, rows, _ = np.indices(chest.lungs.shape)
    found = {key: [truth_of(chest, key, seed, 0.06) > 0 for seed in range(6)] for key in DISEASES}
    deep = {key: np.mean([depth[each].mean() for each in listed]) for key, listed in found.items()}
    back = {key: np.mean([rows[each].mean() for each in listed]) for key, listed in found.items()}
    sides = {
        key: np.mean([len(np.unique(chest.lungs[each])) for each in listed])
        for key, listed in found.items()
    }
    assert deep["covid19"] < deep["h1n1"]
    assert back["covid19"] > max(back["h1n1"], back["cap"])
    assert sides["cap"] < 1.3 < 1.6 < sides["covid19"]
