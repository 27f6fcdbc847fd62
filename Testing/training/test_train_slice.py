"""The slice level's training: a loss that falls, a kill that costs nothing."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from M3LungScreenLib.errors import UsageError
from Testing.stand_ins.slices import slices_with_discs
from Training import train_slice
from Training.learning import slice_level
from Training.learning.epochs import balanced_order
from Training.learning.fabric import make_fabric
from Training.learning.level import Share, in_training
from Training.learning.run import BEST, CHECKPOINT, Run
from Training.learning.slice_batches import EpochOfSlices, gather, on_device, slice_batches

FABRIC = make_fabric("cpu")


def test_the_slice_level_learns_what_is_easy(small_config, tmp_path):
    config = small_config("slice.epochs=4", "slice.pairs=6", "slice.checkpoint_every_steps=1")
    samples = slices_with_discs(12)
    network = slice_level.make_network(config, None, None)
    run = train_slice.train(FABRIC, network, samples, samples, config, tmp_path)
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    losses = [line["loss"] for line in lines if "loss" in line]
    assert losses[-1] < 0.8 * losses[0]
    assert run.best > 1.2  # slice AUC plus the share of diseases; chance is 0.83


class Killed(Exception):
    pass


def test_a_killed_run_resumes_to_the_same_weights(small_config, untrained, tmp_path, monkeypatch):
    config, samples = small_config("slice.epochs=2", "slice.pairs=3"), slices_with_discs(12)
    whole = train_slice.train(FABRIC, untrained(config), samples, samples, config, tmp_path / "a")
    take_step = Run.take_step

    def killed_at_the_sixth(run, *rest):
        if run.step == 6:
            raise Killed
        return take_step(run, *rest)

    monkeypatch.setattr(Run, "take_step", killed_at_the_sixth)
    with pytest.raises(Killed):
        train_slice.train(FABRIC, untrained(config), samples, samples, config, tmp_path / "b")
    monkeypatch.setattr(Run, "take_step", take_step)
    resumed = train_slice.train(
        FABRIC, untrained(config), samples, samples, config, tmp_path / "b", resume=True
    )
    assert resumed.step == whole.step == 8
    assert_same_weights(tmp_path, CHECKPOINT, "network")
    assert_same_weights(tmp_path, BEST)
    assert (tmp_path / "a/log.jsonl").read_text() == (tmp_path / "b/log.jsonl").read_text()


def assert_same_weights(folder: Path, file: str, key: str | None = None) -> None:
    a, b = (torch.load(folder / run / file, weights_only=True) for run in "ab")
    a, b = (a[key], b[key]) if key else (a, b)
    assert all(torch.equal(a[name], b[name]) for name in a)


def test_a_run_is_not_resumed_under_other_settings(small_config, untrained, tmp_path):
    config, samples = small_config("slice.pairs=6"), slices_with_discs(6)
    train_slice.train(FABRIC, untrained(config), samples, samples, config, tmp_path)
    other = small_config("slice.pairs=6", "slice.learning_rate=0.5")
    with pytest.raises(UsageError, match=r"slice\.learning_rate=0\.001, but this run has 0\.5"):
        train_slice.train(FABRIC, untrained(other), samples, samples, other, tmp_path, resume=True)


@pytest.mark.parametrize("chests", [{}, {"a": "CC BY 4.0", "b": "CC BY 4.0"}])
def test_a_run_is_not_resumed_on_other_data(small_config, untrained, tmp_path, chests):
    config, samples = small_config("slice.pairs=6"), slices_with_discs(6)
    data = (samples, samples, config, tmp_path)
    origin = {"real_backgrounds": {"a": "CC BY 4.0"}, "simulator_sha256": "12"}
    train_slice.train(FABRIC, untrained(config), *data, origin=origin)
    train_slice.train(FABRIC, untrained(config), *data, resume=True, origin=origin)
    others = {**origin, "real_backgrounds": chests}
    with pytest.raises(UsageError, match=r"origin\.real_backgrounds\.[ab]="):
        train_slice.train(FABRIC, untrained(config), *data, resume=True, origin=others)


def test_another_run_is_not_written_over(small_config, untrained, tmp_path):
    config, samples = small_config("slice.pairs=6"), slices_with_discs(6)
    train_slice.train(FABRIC, untrained(config), samples, samples, config, tmp_path)
    before = (tmp_path / "checkpoint.pt").read_bytes()
    with pytest.raises(UsageError, match=r"holds a run\. Continue it with --resume"):
        train_slice.train(FABRIC, untrained(config), samples, samples, config, tmp_path)
    assert (tmp_path / "checkpoint.pt").read_bytes() == before


def test_a_slice_that_comes_twice_in_an_epoch_is_augmented_anew(small_config):
    samples, config = slices_with_discs(6), small_config()
    first, second = (
        gather(samples, np.array([3]), np.array([1]), 0, config, place) for place in (0, 5)
    )
    assert torch.equal(first.hu, second.hu)
    assert all(a != b for a, b in zip(first.drawn, second.drawn, strict=True))


def a_batch(samples, pairs, healthy, config):
    batch = gather(samples, np.array(pairs), np.array(healthy, int), 0, config)
    return on_device(batch, 1200, torch.device("cpu"))


def test_a_batch_holds_each_slice_with_and_without_its_lesion(small_config):
    samples = slices_with_discs(6)
    images, truth, classes, known = a_batch(samples, [0, 4], [1], small_config())
    assert images.shape == (5, 3, 64, 64)
    assert classes.tolist() == [samples.classes[0], samples.classes[4], 0, 0, 0]
    assert truth[:2].sum((1, 2)).min() > 0
    assert truth[2:].sum() == 0
    assert known.all()


def test_real_lesions_have_healthy_slices_for_partners(small_config):
    whole = slices_with_discs(12)
    real = replace(whole, clean=whole.clean[:0], has_truth=np.arange(12) < 6)
    config = small_config("slice.pairs=3", "slice.healthy=1")
    for batch in slice_batches(real, config, 0, 0, Share()):
        assert len(batch) == 7
        assert (batch.classes > 0).tolist() == [True] * 3 + [False] * 4
    assert batch.known[3:].all()


def test_processes_share_the_batch_of_one(small_config):
    samples = slices_with_discs(24)
    config = small_config("slice.pairs=4", "slice.healthy=2")
    whole = EpochOfSlices(samples, config, 0, Share())
    shares = [EpochOfSlices(samples, config, 0, Share(rank, 2)) for rank in range(2)]
    for place in range(len(whole)):
        parts = [each[place] for each in shares]
        together = sorted(each.tobytes() for part in parts for each in part.hu.numpy())
        assert together == sorted(each.tobytes() for each in whole[place].hu.numpy())
        drawn = [each.noise_seed for part in parts for each in part.drawn]
        assert sorted(drawn) == sorted(each.noise_seed for each in whole[place].drawn)


def test_a_batch_that_cannot_be_shared_evenly_is_refused(small_config):
    config = small_config("slice.pairs=3", "slice.healthy=2")
    with pytest.raises(UsageError, match="pairs=3 cannot be divided evenly among 2 processes"):
        EpochOfSlices(slices_with_discs(12), config, 0, Share(0, 2))


def test_workers_read_the_same_batches(small_config):
    samples = slices_with_discs(12)
    alone, with_workers = (
        list(slice_batches(samples, small_config(f"slice.workers={n}"), 1, 2, Share()))
        for n in (0, 1)
    )
    assert len(alone) == len(with_workers) == 4
    for one, other in zip(alone, with_workers, strict=True):
        assert torch.equal(one.hu, other.hu)
        assert one.drawn == other.drawn


def test_micro_batches_give_the_gradient_of_the_whole_batch(small_config, untrained):
    samples = slices_with_discs(6)
    gradients = []
    for size in (0, 2, 3):
        config = small_config(f"slice.micro_batch={size}", "slice.frozen_batch_norm=true")
        network = untrained(config)
        level = slice_level.SliceLevel(network, samples, samples, config)
        level.prepare()
        batch = gather(samples, np.array([0, 1, 5]), np.array([2]), 0, config)
        for part, share in level.parts(batch):
            (level.losses(network, part)["loss"] * share).backward()
        heads = nn.ModuleList([network.lesion_head, network.class_head])
        gradients.append(torch.cat([each.grad.flatten() for each in heads.parameters()]))
    assert torch.allclose(gradients[0], gradients[1], rtol=1e-3, atol=1e-6)
    assert torch.allclose(gradients[0], gradients[2], rtol=1e-3, atol=1e-6)


def test_a_map_without_truth_is_not_taught(small_config, untrained):
    samples = slices_with_discs(6)
    config = small_config("slice.map_loss_weight=1.0")
    network = untrained(config).eval()
    images, truth, classes, known = a_batch(samples, [0, 1], [2], config)
    out = network(images)

    def map_loss(known, truth):
        return slice_level.loss_terms(out, truth, classes, known, 1.0)["map_loss"]

    unknown = torch.tensor([False, True, True, True, True])
    other = truth.clone()
    other[0] = 1 - other[0]
    assert map_loss(unknown, truth) == map_loss(unknown, other)
    assert map_loss(known, truth) != map_loss(known, other)


def test_an_epoch_shows_every_class_as_often():
    classes = np.array([1] * 9 + [2] * 3 + [3])
    order = balanced_order(classes, seed=1, epoch=0)
    assert np.bincount(classes[order]).tolist() == [0, 9, 9, 9]
    assert not np.array_equal(order, balanced_order(classes, seed=1, epoch=1))


def test_frozen_stages_keep_their_weights_and_statistics(small_config, untrained):
    config, samples = small_config("slice.epochs=1", "slice.pairs=3"), slices_with_discs(6)
    network = untrained(config)
    slice_level.freeze(network, 3)
    in_training(network)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    network(a_batch(samples, [0, 4], [1], config)[0])
    changed = {
        name for name, value in network.state_dict().items() if (value != before[name]).any()
    }
    assert all(name.startswith(("backbone.first.", "backbone.last.")) for name in changed)
    assert not any(name.startswith(("backbone.first.0.", "backbone.first.1.")) for name in changed)
    assert any(name.startswith("backbone.first.2.") for name in changed)


def test_frozen_batch_norm_keeps_all_statistics(small_config, untrained):
    config, samples = small_config(), slices_with_discs(6)
    network = untrained(config)
    in_training(network, frozen_batch_norm=True)
    before = {name: value.clone() for name, value in network.named_buffers()}
    network(a_batch(samples, [0, 4], [1], config)[0])
    assert all(torch.equal(value, before[name]) for name, value in network.named_buffers())


def test_a_run_starts_from_the_best_weights_of_another(small_config, untrained, tmp_path):
    config = small_config()
    torch.save(untrained(config).state_dict(), tmp_path / "best.pt")
    network = slice_level.make_network(config, tmp_path / "best.pt", None)
    pairs = zip(network.parameters(), untrained(config).parameters(), strict=True)
    assert all(torch.equal(one, other) for one, other in pairs)
