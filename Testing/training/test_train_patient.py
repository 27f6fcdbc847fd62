"""The patient level's training on made-up features."""

import json

import numpy as np
import pytest
import torch

from M3LungScreenLib.errors import UsageError
from M3LungScreenLib.networks.patient_network import PatientNetwork
from Training import train_patient
from Training.learning import patient_level
from Training.learning.fabric import make_fabric
from Training.learning.level import Share
from Training.learning.patient_batches import drawn
from Training.learning.run import BEST, CHECKPOINT, LOG
from Training.sources.patient_features import PatientFeatures, features_folder

FABRIC = make_fabric("cpu")


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
    train_patient.train(FABRIC, network_of(config), PATIENTS, PATIENTS, config, tmp_path)
    best = torch.load(tmp_path / "best.pt", weights_only=True)
    network = network_of(config)
    network.load_state_dict(best)
    assert patient_level.validate(network, PATIENTS)["accuracy"] > 0.8


def test_the_best_epoch_by_validation_is_kept(small_config, tmp_path, monkeypatch):
    entropies, after = iter((0.9, 0.4, 0.7)), []

    def scripted(network, patients):
        after.append({name: value.clone() for name, value in network.state_dict().items()})
        return {"cross_entropy": next(entropies)}

    monkeypatch.setattr(patient_level, "validate", scripted)
    config = small_config(*SMALL, "patient.epochs=3")
    train_patient.train(FABRIC, network_of(config), PATIENTS, PATIENTS, config, tmp_path)
    best = torch.load(tmp_path / "best.pt", weights_only=True)
    assert all(torch.equal(best[name], after[1][name]) for name in best)
    assert not all(torch.equal(best[name], after[2][name]) for name in best)
    assert json.loads((tmp_path / "best.json").read_text("utf-8")) == {"cross_entropy": 0.4}


def test_a_killed_run_resumes_to_the_same_weights(small_config, tmp_path, monkeypatch):
    config = small_config(*SMALL, "patient.epochs=4")
    whole = network_of(config)
    train_patient.train(FABRIC, whole, PATIENTS, PATIENTS, config, tmp_path / "whole")
    validate, calls = patient_level.validate, []

    def killed_at_the_third(*each):
        calls.append(each)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return validate(*each)

    monkeypatch.setattr(patient_level, "validate", killed_at_the_third)
    with pytest.raises(KeyboardInterrupt):
        train_patient.train(
            FABRIC, network_of(config), PATIENTS, PATIENTS, config, tmp_path / "cut"
        )
    train_patient.train(
        FABRIC, network_of(config), PATIENTS, PATIENTS, config, tmp_path / "cut", resume=True
    )
    resumed = torch.load(tmp_path / "cut" / CHECKPOINT, weights_only=True)["network"]
    assert all(torch.equal(resumed[name], value) for name, value in whole.state_dict().items())


@pytest.mark.parametrize("resume", [False, True])
def test_the_weights_of_another_run_are_not_written_over(small_config, tmp_path, resume):
    config = small_config(*SMALL, "patient.epochs=1")
    (tmp_path / BEST).write_bytes(b"of fine-tuning")
    with pytest.raises(UsageError, match=r"the weights of another run\. Name another --out"):
        train_patient.train(
            FABRIC, network_of(config), PATIENTS, PATIENTS, config, tmp_path, resume
        )
    assert [each.name for each in tmp_path.iterdir()] == [BEST]


def test_a_run_killed_before_its_first_checkpoint_goes_on(small_config, tmp_path):
    config = small_config(*SMALL, "patient.epochs=1")
    (tmp_path / BEST).write_bytes(b"its own")
    (tmp_path / LOG).write_text('{"step": 1, "loss": 1.4}\n')
    train_patient.train(FABRIC, network_of(config), PATIENTS, PATIENTS, config, tmp_path, True)
    torch.load(tmp_path / BEST, weights_only=True)
    with pytest.raises(UsageError, match=r"holds a run\. Continue it with --resume"):
        train_patient.train(FABRIC, network_of(config), PATIENTS, PATIENTS, config, tmp_path)


def test_features_are_kept_apart_by_all_that_shapes_them(small_config, tmp_path):
    same = features_folder(tmp_path, small_config(), "0123")
    others = [
        features_folder(tmp_path, small_config(each), "0123")
        for each in (
            "patient.largest_slice_count=5",
            "model.preprocessing.window_width_hu=1000",
            "model.preprocessing.margin_px=3",
            "model.slice_network.pooling=mean",
            "data.left_out_findings=[bronchi]",
        )
    ]
    assert len({same, *others, features_folder(tmp_path, small_config(), "4567")}) == 7
    assert features_folder(tmp_path, small_config("patient.epochs=9"), "0123") == same


def test_processes_share_the_patients_of_one(small_config):
    config = small_config(*SMALL, "patient.batch=4", "patient.feature_dropout=0.3")
    level = patient_level.PatientLevel(network_of(config), PATIENTS, PATIENTS, config)
    whole = list(level.batches(1, 0, Share()))
    first, second = (list(level.batches(1, 0, Share(rank, 2))) for rank in range(2))
    for (all_of, mask, classes), a, b in zip(whole, first, second, strict=True):
        assert torch.equal(all_of[::2], a[0])
        assert torch.equal(all_of[1::2], b[0])
        assert torch.equal(mask[1::2], b[1])
        assert torch.equal(classes[::2], a[2])


def test_dropout_silences_a_share_of_features_in_all_slices_of_a_patient():
    patient = PatientFeatures(np.ones((3, 30, 400), np.float32), 1)
    found = drawn([patient], (1, 2), dropout=0.25)[0]
    silent = (found[0] == 0).all(axis=0)
    assert 0.15 < silent.mean() < 0.35
    assert np.allclose(found[0][:, ~silent], 1 / 0.75)
    assert not (found[0][:, ~silent] == 0).any()


def test_a_feature_that_a_patient_goes_without_is_what_is_usual():
    patient = PatientFeatures(np.full((3, 30, 400), 3.0, np.float32), 1)
    usual = np.full(400, 2.0, np.float32)
    found = drawn([patient], (1, 2), dropout=0.5, usual=usual)[0]
    assert set(np.unique(found[0].round(4))) == {2.0, 4.0}
