"""The slice level's training: a loss that falls, a kill that costs nothing."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from M3LungScreenLib.errors import UsageError
from Testing.stand_ins.slices import slices_with_discs
from Training import train_slice
from Training.learning import BEST, CHECKPOINT, balanced_order


def test_the_slice_level_learns_what_is_easy(small_config, tmp_path):
    config = small_config("slice.epochs=4", "slice.pairs=6", "slice.checkpoint_every_steps=1")
    samples = slices_with_discs(12)
    network = train_slice.make_network(config, None, None)
    run = train_slice.fit(network, samples, samples, config, tmp_path, resume=False)
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    losses = [line["loss"] for line in lines if "loss" in line]
    assert losses[-1] < 0.8 * losses[0]
    assert run.best > 1.2  # slice AUC plus the share of diseases; chance is 0.83


class Killed(Exception):
    pass


def test_a_killed_run_resumes_to_the_same_weights(small_config, untrained, tmp_path, monkeypatch):
    config, samples = small_config("slice.epochs=2", "slice.pairs=3"), slices_with_discs(12)
    whole = train_slice.fit(untrained(config), samples, samples, config, tmp_path / "a", False)
    take_step = train_slice.take_step

    def killed_at_the_sixth(run, *rest):
        if run.step == 6:
            raise Killed
        return take_step(run, *rest)

    monkeypatch.setattr(train_slice, "take_step", killed_at_the_sixth)
    with pytest.raises(Killed):
        train_slice.fit(untrained(config), samples, samples, config, tmp_path / "b", False)
    monkeypatch.setattr(train_slice, "take_step", take_step)
    resumed = train_slice.fit(untrained(config), samples, samples, config, tmp_path / "b", True)
    assert resumed.step == whole.step == 8
    assert_same_weights(tmp_path, CHECKPOINT, "network")
    assert_same_weights(tmp_path, BEST)


def assert_same_weights(folder: Path, file: str, key: str | None = None) -> None:
    a, b = (torch.load(folder / run / file, weights_only=True) for run in "ab")
    a, b = (a[key], b[key]) if key else (a, b)
    assert all(torch.equal(a[name], b[name]) for name in a)


def test_a_run_is_not_resumed_under_other_settings(small_config, untrained, tmp_path):
    config, samples = small_config("slice.pairs=6"), slices_with_discs(6)
    train_slice.fit(untrained(config), samples, samples, config, tmp_path, resume=False)
    other = small_config("slice.pairs=6", "slice.learning_rate=0.5")
    with pytest.raises(UsageError, match=r"slice\.learning_rate=0\.001, this run asks for 0\.5"):
        train_slice.fit(untrained(other), samples, samples, other, tmp_path, resume=True)


def test_a_batch_holds_each_slice_with_and_without_its_lesion(small_config):
    samples = slices_with_discs(6)
    config = small_config("slice.healthy=1")
    images, truth, classes = train_slice.pair_batch(samples, np.array([0, 4]), 0, config)
    assert images.shape == (5, 3, 64, 64)
    assert classes.tolist() == [samples.classes[0], samples.classes[4], 0, 0, 0]
    assert truth[:2].sum((1, 2)).min() > 0
    assert truth[2:].sum() == 0


def test_an_epoch_shows_every_class_as_often():
    classes = np.array([1] * 9 + [2] * 3 + [3])
    order = balanced_order(classes, seed=1, epoch=0)
    assert np.bincount(classes[order]).tolist() == [0, 9, 9, 9]
    assert not np.array_equal(order, balanced_order(classes, seed=1, epoch=1))


def test_frozen_stages_keep_their_weights_and_statistics(small_config, untrained):
    config, samples = small_config("slice.epochs=1", "slice.pairs=3"), slices_with_discs(6)
    network = untrained(config)
    train_slice.freeze(network, 3)
    train_slice.in_training(network)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    network(train_slice.pair_batch(samples, np.array([0, 4]), 0, config)[0])
    changed = {
        name for name, value in network.state_dict().items() if (value != before[name]).any()
    }
    assert all(name.startswith(("backbone.first.", "backbone.last.")) for name in changed)
    assert not any(name.startswith(("backbone.first.0.", "backbone.first.1.")) for name in changed)
    assert any(name.startswith("backbone.first.2.") for name in changed)
