"""The patient level's training on made-up features."""

import numpy as np
import pytest
import torch

from M3LungScreenLib.networks.patient_network import PatientNetwork
from Training import train_patient
from Training.learning import CHECKPOINT
from Training.patients import PatientFeatures


def features(count: int, class_index: int, size: int = 16) -> PatientFeatures:
    values = np.random.default_rng(count).normal(0, 1, (3, count, size)).astype(np.float32)
    values[..., class_index] += 4
    return PatientFeatures(values, class_index)


PATIENTS = [features(count, count % 4) for count in range(20, 36)]
SMALL = ("model.patient_network.feature_size=16", "model.patient_network.head_size=4")


def network_of(config) -> PatientNetwork:
    torch.manual_seed(0)
    return PatientNetwork(config.model.patient_network)


def test_the_patient_level_learns_what_is_easy(small_config, tmp_path):
    config = small_config(*SMALL, "patient.epochs=12", "patient.learning_rate=0.01")
    train_patient.fit(network_of(config), PATIENTS, PATIENTS, config, tmp_path, resume=False)
    best = torch.load(tmp_path / "best.pt", weights_only=True)
    network = network_of(config)
    network.load_state_dict(best)
    assert train_patient.validate(network, PATIENTS)["accuracy"] > 0.8


def test_a_killed_run_resumes_to_the_same_weights(small_config, tmp_path, monkeypatch):
    config = small_config(*SMALL, "patient.epochs=4")
    whole = network_of(config)
    train_patient.fit(whole, PATIENTS, PATIENTS, config, tmp_path / "whole", resume=False)
    validate, calls = train_patient.validate, []

    def killed_at_the_third(*each):
        calls.append(each)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return validate(*each)

    monkeypatch.setattr(train_patient, "validate", killed_at_the_third)
    with pytest.raises(KeyboardInterrupt):
        train_patient.fit(network_of(config), PATIENTS, PATIENTS, config, tmp_path / "cut", False)
    train_patient.fit(network_of(config), PATIENTS, PATIENTS, config, tmp_path / "cut", True)
    resumed = torch.load(tmp_path / "cut" / CHECKPOINT, weights_only=True)["network"]
    assert all(torch.equal(resumed[name], value) for name, value in whole.state_dict().items())
