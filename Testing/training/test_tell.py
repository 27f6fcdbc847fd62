"""Nothing but the lesions tells the classes apart: what is learnt cannot be the background."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from M3LungScreenLib.classes import CLASS_KEYS
from M3LungScreenLib.simulation.patient import SimulatedPatient, simulate_patient
from Training.sources.simulated_slices import ILL, TEST, Source, make_pair


def test_the_same_seed_is_the_same_chest_in_every_disease_when_its_lesions_are_left_out():
    pairs = [make_pair(Source(key, TEST + 7), None) for key in ILL]
    assert all(np.array_equal(pair.clean, pairs[0].clean) for pair in pairs)
    assert not any(np.array_equal(pair.ill, pairs[0].ill) for pair in pairs[1:])


@pytest.mark.slow
def test_a_classifier_tells_classes_by_their_lesions_alone():
    """Other patients in each class; the classifier sees intensities by height and depth."""
    truth, clean, ill = [], [], []
    for n in range(40):
        for index, key in enumerate(CLASS_KEYS):
            patient = simulate_patient(
                key, TEST + 1000 + 4 * n + index, slice_thickness_mm=10, matrix=64, severity=0.15
            )
            truth.append(index)
            clean.append(intensities(patient.without_lesions()))
            ill.append(intensities(patient))
    assert mean_auc(np.array(clean), np.array(truth)) <= 0.55
    assert mean_auc(np.array(ill), np.array(truth)) > 0.75


def intensities(patient: SimulatedPatient) -> np.ndarray:
    """Quantiles of HU in the lower, middle and upper third of each lung."""
    hu, lungs = patient.volume.hu, patient.lungs
    found = []
    for side in (1, 2):
        inside = np.flatnonzero((lungs == side).any(axis=(1, 2)))
        for part in np.array_split(inside, 3):
            values = hu[part][lungs[part] == side]
            found += list(np.percentile(values, (5, 25, 50, 75, 90, 98)))
    return np.array(found)


def mean_auc(features: np.ndarray, truth: np.ndarray) -> float:
    """One class against the rest, mean of the four, cross-validated by patient."""
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=1000))
    folds = StratifiedKFold(5, shuffle=True, random_state=0)
    p = cross_val_predict(model, features, truth, cv=folds, method="predict_proba")
    return float(roc_auc_score(truth, p, multi_class="ovr"))
