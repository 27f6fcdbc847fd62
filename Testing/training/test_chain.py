"""The chain as a user runs it: both levels, then export; samples stand ready in the cache."""

import json
import shutil
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.metrics import log_loss
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from M3LungScreenLib.assessment import calibrated_p_lesion
from M3LungScreenLib.bundle import load_bundle
from M3LungScreenLib.engines.onnx_engine import OnnxEngine
from M3LungScreenLib.engines.pytorch_engine import PyTorchEngine
from M3LungScreenLib.errors import UsageError
from M3LungScreenLib.networks.slice_network import SliceNetwork
from Testing.stand_ins.disc_cache import SMALL, SMOKE, fill_cache
from Testing.stand_ins.slices import SIZE
from Training import export, model_card, train_patient, train_slice
from Training.config import load_config
from Training.learning import slice_level
from Training.learning.run import BEST, LOG
from Training.sources.learning_data import SimulatedData


@pytest.fixture(scope="module")
def a_finished_chain(tmp_path_factory) -> Path:
    """Folder with `run`, `cache` and `bundle` of the smoke config."""
    folder = tmp_path_factory.mktemp("chain")
    fill_cache(folder / "cache")
    asked = ["--config", str(SMOKE), "--out", str(folder / "run"), "--cache", str(folder / "cache")]
    asked += [word for each in SMALL for word in ("--set", each)]
    train_slice.main(asked)
    train_patient.main(asked)
    export.main([*asked, "--bundle", str(folder / "bundle")])
    return folder


def test_the_exported_bundle_answers_as_the_trained_network(a_finished_chain):
    bundle = load_bundle(a_finished_chain / "bundle")
    images = np.random.default_rng(0).random((2, 3, SIZE, SIZE), np.float32)
    network = SliceNetwork(bundle.settings.slice_network).eval()
    network.load_state_dict(torch.load(a_finished_chain / "run/slice" / BEST, weights_only=True))
    with torch.inference_mode():
        expected = network(torch.from_numpy(images)).lesion_logits.softmax(1)[:, 1].numpy()
    for engine in (PyTorchEngine(bundle, "cpu"), OnnxEngine(bundle)):
        answered = engine.run_slices(images)
        assert answered.p_lesion == pytest.approx(expected, abs=5e-3)  # float16 weights


def test_the_lesion_head_is_calibrated_on_the_validation_slices(a_finished_chain):
    bundle = load_bundle(a_finished_chain / "bundle")
    config = load_config(SMOKE, SMALL)
    network = SliceNetwork(config.model.slice_network)
    network.load_state_dict(torch.load(a_finished_chain / "run/slice" / BEST, weights_only=True))
    samples = SimulatedData(config, a_finished_chain / "cache", None).slices(validation=True)
    p_ill, p_free = (
        slice_level.answers(network, rows, config)[0]
        for rows in (samples.ill, np.concatenate([samples.clean, samples.healthy]))
    )
    before, after = (
        log_loss(
            [True] * len(p_ill) + [False] * len(p_free),
            calibrated_p_lesion(np.concatenate([p_ill, p_free]), assessment),
            sample_weight=[1 / len(p_ill)] * len(p_ill) + [1 / len(p_free)] * len(p_free),
        )
        for assessment in (config.model.assessment, bundle.settings.assessment)
    )
    assert 0 < bundle.settings.assessment.lesion_logit_scale <= 1
    assert after < before


def test_the_card_says_what_trained_it(a_finished_chain):
    card = load_bundle(a_finished_chain / "bundle").card
    assert card["training"]["slice"]["pairs"] == 2
    assert card["verified_on_real_ct"] == {"healthy": 0, "covid19": 0, "h1n1": 0, "cap": 0}
    assert set(card["metrics"]) == {"slice_validation", "patient_validation"}
    assert card["training_data"]["real_backgrounds"] == {}


def test_the_card_knows_the_weights_of_a_file_by_their_digest(a_finished_chain):
    weights = a_finished_chain / "run/slice" / BEST
    config = load_config(SMOKE, SMALL)
    data = SimulatedData(config, a_finished_chain / "cache", None)
    card = model_card.make_card(config, data, {}, weights)
    digest = sha256(weights.read_bytes()).hexdigest()
    assert card["training_data"]["initial_weights"] == {"weights": BEST, "sha256": digest}
    with pytest.raises(UsageError, match=r"no weights at .*none\.pt"):
        model_card.make_card(config, data, {}, weights.with_name("none.pt"))


@pytest.mark.parametrize("setting", ["slice_network.pooling=mean", "preprocessing.margin_px=3"])
def test_no_level_goes_on_with_other_settings_than_the_slice_levels(a_finished_chain, setting):
    asked = ["--config", str(SMOKE), "--out", str(a_finished_chain / "run")]
    asked += [word for each in (*SMALL, f"model.{setting}") for word in ("--set", each)]
    with pytest.raises(UsageError, match=f"trained with model.{setting.partition('=')[0]}="):
        train_patient.main(asked)
    with pytest.raises(UsageError, match=f"trained with model.{setting.partition('=')[0]}="):
        export.main([*asked, "--bundle", str(a_finished_chain / "other")])
    assert not (a_finished_chain / "other").exists()


@pytest.mark.parametrize("level", ["slice", "patient"])
def test_tensorboard_shows_the_losses_of_the_log(a_finished_chain, level):
    folder = a_finished_chain / "run" / level
    shown = EventAccumulator(str(folder / "tensorboard")).Reload().Scalars("loss")
    lines = [json.loads(each) for each in (folder / LOG).read_text("utf-8").splitlines()]
    logged = {each["step"]: each["loss"] for each in lines if "loss" in each}
    assert {each.step: each.value for each in shown} == pytest.approx(logged, abs=1e-5)


def test_training_goes_on_from_a_bundle(a_finished_chain):
    config = load_config(SMOKE, SMALL)
    network = slice_level.make_network(config, a_finished_chain / "bundle", None)
    weights = load_bundle(a_finished_chain / "bundle").weights("slice")
    assert np.array_equal(network.class_head.weight.detach().numpy(), weights["class_head.weight"])


def test_patient_level_before_the_slice_level_is_told_what_comes_first(a_finished_chain):
    asked = ["--config", str(SMOKE), "--out", str(a_finished_chain / "other")]
    with pytest.raises(UsageError, match=r"no weights at .*other/slice/best\.pt\. Train the slice"):
        train_patient.main([*asked, "--cache", str(a_finished_chain / "cache")])


def test_a_patient_level_does_not_go_on_over_another_slice_level(a_finished_chain, tmp_path):
    shutil.copytree(a_finished_chain / "run", tmp_path / "run")
    asked = ["--config", str(SMOKE), "--out", str(tmp_path / "run"), "--resume"]
    asked += ["--cache", str(a_finished_chain / "cache")]
    asked += [word for each in SMALL for word in ("--set", each)]
    train_patient.main(asked)
    weights = torch.load(tmp_path / "run/slice" / BEST)
    torch.save({name: value * 2 for name, value in weights.items()}, tmp_path / "run/slice" / BEST)
    with pytest.raises(UsageError, match=r"origin\.slice_level_sha256="):
        train_patient.main(asked)


def test_card_without_git_has_no_revision(monkeypatch):
    monkeypatch.setenv("PATH", "")
    assert model_card._revision() == "unknown"


def test_revision_is_that_of_the_checkout_wherever_one_stands(monkeypatch, tmp_path):
    here = model_card._revision()
    monkeypatch.chdir(tmp_path)
    assert model_card._revision() == here
