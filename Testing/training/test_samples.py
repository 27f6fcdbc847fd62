"""Which patients train, which validate, and how a patient's slices become a batch."""

from functools import partial
from pathlib import Path

import numpy as np
import pytest

from M3LungScreenLib.settings import PreprocessingSettings
from M3LungScreenLib.simulation.findings import VariantRecord
from Training import samples
from Training.config import DataSettings, TrainingConfig
from Training.datasets.shards import cached, keyed_folder
from Training.patients import PatientFeatures, padded, patient_sources
from Training.samples import Pair, Source, make_pair, make_slices, slice_sources

BACKGROUNDS = ["crlm-1006", "lidc-0002", "lidc-0003"]


def test_no_patient_of_one_split_or_level_is_in_another():
    config = TrainingConfig()
    splits = [
        [(source.seed, source.background) for source in listed]
        for held_out in (False, True)
        for listed in (
            slice_sources(config.data, BACKGROUNDS, held_out),
            patient_sources(config, BACKGROUNDS, held_out),
        )
    ]
    seen = [{seed for seed, _ in split} for split in splits]
    assert sum(map(len, seen)) == len(set.union(*seen))


def test_held_out_backgrounds_validate_and_never_train():
    training, validation = (
        {source.background for source in slice_sources(DataSettings(), BACKGROUNDS, held_out)}
        for held_out in (False, True)
    )
    assert training == {None, "lidc-0002"}
    assert validation == {None, "crlm-1006", "lidc-0003"}


def test_only_slices_with_a_visible_lesion_are_kept_of_ill_patients():
    clean = np.full((4, 64, 64), -850, np.int16)
    clean[:, :8] = clean[:, -8:] = clean[:, :, :8] = clean[:, :, -8:] = 40
    lungs = np.uint8(clean < -300)
    truth = np.zeros_like(lungs)
    truth[1:3, 30:40, 30:40] = 2
    ill = np.where(truth > 0, np.int16(-100), clean)
    pair = Pair(ill, clean, truth, lungs)
    made = make_slices(pair, Source("h1n1", 1), DataSettings(), PreprocessingSettings(64))
    assert made.classes.tolist() == [2, 2]
    assert len(made.healthy) == 2
    assert (made.ill[made.truth] > -450).all()
    assert (made.clean[made.truth] < -800).all()


def test_a_simulated_pair_differs_only_where_the_lesion_is():
    pair = make_pair(Source("cap", 5), None)
    changed = np.abs(pair.ill.astype(int) - pair.clean) > 150
    assert changed[pair.truth > 0].mean() > 0.5
    assert changed[pair.truth == 0].mean() < 0.01


def test_findings_left_out_leave_all_else_as_it_was(monkeypatch: pytest.MonkeyPatch):
    records = tuple(VariantRecord(kind, 1.0, 1, 3) for kind in ("nodules", "pulsation"))
    monkeypatch.setattr(samples, "draw_variants", lambda *_: records)
    whole, calm = (make_pair(Source("cap", 5), None, out) for out in ((), ("pulsation",)))
    moved = np.abs(whole.clean.astype(int) - calm.clean).max(axis=(1, 2))
    assert moved.max() > 50
    assert np.array_equal(whole.truth, calm.truth)
    monkeypatch.setattr(samples, "draw_variants", lambda *_: records[:1])
    assert np.array_equal(make_pair(Source("cap", 5), None).ill, calm.ill)


def test_a_batch_of_patients_is_padded_with_a_mask():
    patients = [PatientFeatures(np.full((3, n, 5), n, np.float32), 1) for n in (2, 4)]
    features, mask = padded(patients, None)
    assert mask.tolist() == [[True, True, False, False], [True] * 4]
    assert features[0].tolist() == [[2] * 5, [2] * 5, [0] * 5, [0] * 5]


def test_drawn_slices_stay_in_order_and_are_drawn_alike_by_the_same_seed():
    rising = np.broadcast_to(np.arange(24, dtype=np.float32)[None, :, None], (3, 24, 1))
    patient = PatientFeatures(np.array(rising), 1)
    drawn, _ = padded([patient], (1, 7))
    assert (np.diff(drawn[0, :, 0]) >= -1e-5).all()
    assert np.array_equal(drawn, padded([patient], (1, 7))[0])


def test_arrays_in_the_cache_are_not_made_again(tmp_path: Path):
    np.savez(tmp_path / "a.npz", x=np.arange(3))
    made = cached(tmp_path, {"a": partial(dict, x=np.zeros(1))}, "making")
    assert made[0]["x"].tolist() == [0, 1, 2]


def test_other_settings_have_another_cache(tmp_path: Path):
    folders = {keyed_folder(tmp_path, "slices", PreprocessingSettings(n), 3) for n in (64, 96)}
    assert len(folders) == 2
