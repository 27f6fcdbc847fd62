"""The training scripts on a handful of made-up slices: they learn, stop, resume and export."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from M3LungScreenLib.settings import with_values
from Training.augmentation import NONE, apply, draw, place
from Training.config import load_config
from Training.learning import balanced_order, batches
from Training.patients import PatientFeatures, padded
from Training.samples import SliceSamples, Source, make_pair, make_slices, slice_sources
from Training.train_patient import fit as fit_patients
from Training.train_slice import fit, make_network, pair_batch

SMOKE = Path(__file__).parents[2] / "Training" / "configs" / "smoke.yaml"
SIZE = 64


@pytest.fixture
def config():
    small = {"model.preprocessing.input_size": SIZE, "slice.precision": "float32"}
    return with_values(load_config(SMOKE, []), small)


@pytest.fixture
def samples():
    """Twelve dark squares; the lesion is a bright patch whose place tells the disease."""
    rng = np.random.default_rng(0)
    clean = rng.normal(-850, 30, (12, SIZE, SIZE)).astype(np.int16)
    ill, truth = clean.copy(), np.zeros(clean.shape, bool)
    classes = np.arange(12) % 3 + 1
    for i, disease in enumerate(classes):
        truth[i, 16 * disease : 16 * disease + 14, 20:44] = True
    ill[truth] = -100
    return SliceSamples(ill, clean, truth, classes)


def weights(network):
    return torch.cat([each.detach().flatten().float() for each in network.state_dict().values()])


def test_a_run_that_was_stopped_resumes_to_the_same_weights(config, samples, tmp_path):
    torch.manual_seed(0)
    whole, cut = (make_network(config, None, None) for _ in range(2))
    fit(whole, samples, samples, config, tmp_path / "whole", resume=False)
    with pytest.raises(KeyboardInterrupt):
        fit(cut, interrupted(samples, after=3), samples, config, tmp_path / "cut", resume=False)
    again = make_network(config, None, None)
    run = fit(again, samples, samples, config, tmp_path / "cut", resume=True)
    assert run.step == 6
    assert torch.equal(weights(again), weights(whole))


def interrupted(samples, after):
    """Samples that stop the run at the batch after `after` batches."""

    class Stopping(SliceSamples):
        count = 0

        def __len__(self):
            Stopping.count += 1
            if Stopping.count > after:
                raise KeyboardInterrupt
            return super().__len__()

    return Stopping(samples.ill, samples.clean, samples.truth, samples.classes)


def test_the_slice_level_learns_what_is_easy(config, samples, tmp_path):
    longer = with_values(config, {"slice.epochs": 4, "slice.pairs": 6})
    run = fit(make_network(longer, None, None), samples, samples, longer, tmp_path, resume=False)
    assert (tmp_path / "best.pt").exists()
    assert run.best > 1.2  # slice AUC plus the share of diseases; chance is 0.83


def test_a_batch_holds_each_slice_with_its_lesion_and_without(config, samples):
    images, truth, classes = pair_batch(samples, np.array([4, 7]), 0, config)
    assert images.shape == (4, 3, SIZE, SIZE)
    assert classes.tolist() == [2, 2, 0, 0]
    assert truth[:2].any()
    assert not truth[2:].any()


def test_a_draw_depends_on_seed_epoch_and_sample_alone():
    assert draw(1, 2, 3) == draw(1, 2, 3)
    assert len({draw(*each) for each in ((1, 2, 3), (2, 2, 3), (1, 3, 3), (1, 2, 4))}) == 4


def test_no_augmentation_is_the_window_alone():
    hu = torch.linspace(-1400, 200, SIZE * SIZE).view(1, SIZE, SIZE)
    expected = ((hu + 1200) / 1200).clamp(0, 1)
    assert torch.allclose(apply(hu, [NONE], 1200)[0, 2], expected[0], atol=1e-5)


def test_a_flip_mirrors_the_image_and_its_mask_alike():
    image = torch.rand(1, SIZE, SIZE)
    flipped = place(image, [replace(NONE, flip=True)])
    assert torch.allclose(flipped, image.flip(2), atol=1e-5)


def test_an_epoch_shows_every_class_equally_often():
    classes = np.array([1] * 9 + [2] * 3 + [3] * 5)
    order = balanced_order(classes, seed=0, epoch=0)
    assert np.bincount(classes[order]).tolist() == [0, 9, 9, 9]
    assert set(order) == set(range(17))
    assert [len(batch) for batch in batches(order, 4)] == [4] * 6
    assert (balanced_order(classes, 0, 1) != order).any()


def test_splits_share_no_seed_and_no_background(config):
    names = ["lidc-0002", "crlm-1006", "rider-1225316081"]
    data = replace(config.data, copies_per_background=2, validation_copies_per_background=2)
    training, validation = (slice_sources(data, names, held_out) for held_out in (False, True))
    assert {each.background for each in validation} == {None, "crlm-1006"}
    assert not {each.background for each in training} & {"crlm-1006"}
    assert not {each.seed for each in training} & {each.seed for each in validation}


def test_a_pair_differs_only_where_the_lesion_is(config):
    source = Source("cap", 5)
    pair = make_pair(source, None)
    far = pair.truth == 0
    changed = np.abs(pair.ill.hu.astype(int) - pair.clean.hu) > 150
    assert changed[pair.truth > 0].mean() > 0.5
    assert changed[far].mean() < 0.01
    made = make_slices(pair, source, config.data, config.model.preprocessing)
    assert 0 < len(made) <= config.data.slices_per_patient
    assert made.truth.any(axis=(1, 2)).all()
    assert set(made.classes) == {3}


def features(count, class_index, size):
    rng = np.random.default_rng(count)
    values = rng.normal(0, 1, (3, count, size)).astype(np.float32)
    values[..., class_index] += 4
    return PatientFeatures(values, class_index)


def test_the_patient_level_learns_what_is_easy(config, tmp_path):
    size = {"model.patient_network.feature_size": 16, "model.patient_network.head_size": 4}
    longer = with_values(config, {**size, "patient.epochs": 12, "patient.learning_rate": 0.01})
    patients = [features(count, count % 4, 16) for count in range(20, 36)]
    from M3LungScreenLib.networks.patient_network import PatientNetwork

    network = PatientNetwork(longer.model.patient_network)
    run = fit_patients(network, patients, patients, longer, tmp_path, resume=False)
    assert run.best > 0.8


def test_patients_are_padded_with_a_mask():
    rows, mask = padded([features(3, 0, 8), features(5, 1, 8)], seed=0, epoch=0, augment=False)
    assert rows.shape == (2, 5, 8)
    assert mask.tolist() == [[True] * 3 + [False] * 2, [True] * 5]
    assert not rows[0, 3:].any()
