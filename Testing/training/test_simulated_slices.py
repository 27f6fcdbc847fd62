"""Which patients train, which validate, and how a patient's slices become a batch."""

from functools import partial
from pathlib import Path

import numpy as np
import pytest

from M3LungScreenLib.settings import PreprocessingSettings
from M3LungScreenLib.simulation.findings import VariantRecord
from Training.config import DataSettings, TrainingConfig
from Training.datasets import code_digest
from Training.datasets.shards import cached, keyed_folder
from Training.learning.patient_batches import drawn, whole
from Training.sources import patient_features, simulated_slices
from Training.sources.backgrounds import ORIGINS, names_in, place_of
from Training.sources.learning_data import SimulatedData
from Training.sources.patient_features import PatientFeatures, patient_sources
from Training.sources.simulated_slices import (
    Pair,
    Source,
    make_pair,
    make_slices,
    slice_sources,
    slices_folder,
)

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
    monkeypatch.setattr(simulated_slices, "draw_variants", lambda *_: records)
    whole, calm = (make_pair(Source("cap", 5), None, out) for out in ((), ("pulsation",)))
    moved = np.abs(whole.clean.astype(int) - calm.clean).max(axis=(1, 2))
    assert moved.max() > 50
    assert np.array_equal(whole.truth, calm.truth)
    monkeypatch.setattr(simulated_slices, "draw_variants", lambda *_: records[:1])
    assert np.array_equal(make_pair(Source("cap", 5), None).ill, calm.ill)


def test_a_batch_of_patients_is_padded_with_a_mask():
    patients = [PatientFeatures(np.full((3, n, 5), n, np.float32), 1) for n in (2, 4)]
    features, mask = whole(patients)
    assert mask.tolist() == [[True, True, False, False], [True] * 4]
    assert features[0].tolist() == [[2] * 5, [2] * 5, [0] * 5, [0] * 5]


def test_drawn_slices_stay_in_order_and_are_drawn_alike_by_the_same_seed():
    rising = np.broadcast_to(np.arange(24, dtype=np.float32)[None, :, None], (3, 24, 1))
    patient = PatientFeatures(np.array(rising), 1)
    features = drawn([patient], (1, 7))[0]
    assert (np.diff(features[0, :, 0]) >= -1e-5).all()
    assert np.array_equal(features, drawn([patient], (1, 7))[0])


def test_a_drawn_patient_has_the_class_of_what_is_shown_and_slabs_are_among_them():
    """The features tell the slice: whether a lesion is among those drawn can be looked up."""
    places = np.broadcast_to(np.arange(24, dtype=np.float32)[None, :, None], (3, 24, 1))
    lesions = np.zeros(24, bool)
    lesions[15] = True
    patients = [PatientFeatures(np.array(places), 2, lesions)] * 400
    features, mask, classes = drawn(patients, (1, 7))
    shown = [
        set(row[real, 0].round().astype(int)) for row, real in zip(features, mask, strict=True)
    ]
    assert classes.tolist() == [2 if 15 in each else 0 for each in shown]
    slabs = [max(each) - min(each) <= 12 for each in shown]
    assert 0.15 < np.mean(slabs) < 0.35
    assert 0.4 < np.mean(classes[slabs] == 0) < 0.95


def test_some_drawn_patients_keep_the_lesions_of_one_run_of_slices_alone():
    """One feature tells the slice, the other whether it is shown with its lesions."""
    places = np.broadcast_to(np.arange(24, dtype=np.float32)[None, :, None], (1, 24, 1))
    lesions = np.isin(np.arange(24), [3, 4, *range(9, 21)])
    ill = np.concatenate([places, np.ones_like(places)], axis=2)
    clean = np.concatenate([places, np.zeros_like(places)], axis=2)
    patients = [PatientFeatures(ill, 3, lesions, clean)] * 400
    features, mask, classes = drawn(patients, (1, 7))
    focal = []
    for row, real, class_index in zip(features, mask, classes, strict=True):
        shown = {int(place): bool(with_lesions) for place, with_lesions in row[real].round()}
        kept = [k for k in shown if lesions[k] and shown[k]]
        assert class_index == (3 if kept else 0)
        among = [shown[k] for k in sorted(shown) if lesions[k]]
        focal.append(not all(shown.values()))
        if focal[-1]:
            assert not any(shown[k] for k in shown if not lesions[k])
            assert np.abs(np.diff(np.int8([False, *among, False]))).sum() in (0, 2)
    assert 0.15 < np.mean(focal) < 0.35
    assert len(set(map(int, classes))) == 2


def test_a_patient_whose_lesions_are_all_too_small_is_drawn_as_it_is():
    ones = np.ones((1, 24, 1), np.float32)
    patient = PatientFeatures(ones, 3, np.zeros(24, bool), 0 * ones)
    features, mask, classes = drawn([patient] * 50, (1, 7))
    assert (features[mask] == 1).all()
    assert (classes == 0).all()


def test_an_ill_patient_has_the_features_of_the_same_one_in_health_beside_its_own(
    small_config, tmp_path, monkeypatch
):
    bodies = {3: 11.0, 4: 22.0}

    def made(folder, makers, label):
        def of(source):
            hu = np.full((2, 4, 4), bodies[source.seed], np.int16)
            return {"ill": hu + 100, "clean": hu, "lesions": np.array([True, False])}

        return [of(maker.args[0]) for maker in makers.values()]

    monkeypatch.setattr(patient_features, "cached", made)
    monkeypatch.setattr(
        patient_features, "_features", lambda hu, *_: np.float32(hu[None, :, 0, :1])
    )
    sources = [Source(key, seed) for seed in bodies for key in ("cap", "h1n1")]
    config = small_config()
    crops = patient_features.cached_patients(sources, tmp_path, None, config)
    found = patient_features.features_of(crops, None, config.model.preprocessing, tmp_path)
    assert [each.class_index for each in found] == [0, 3, 2, 0, 3, 2]
    for each in found:
        if each.class_index:
            assert np.array_equal(each.clean, each.features - 100)
        else:
            assert each.clean is None


def test_where_no_lesion_is_known_of_the_class_and_the_chest_stay_whole():
    rising = np.broadcast_to(np.arange(24, dtype=np.float32)[None, :, None], (3, 24, 1))
    features, mask, classes = drawn([PatientFeatures(np.array(rising), 3)] * 100, (1, 7))
    assert (classes == 3).all()
    assert all(np.ptp(row[real, 0]) > 12 for row, real in zip(features, mask, strict=True))


def test_patients_know_which_of_their_slices_show_a_lesion():
    arrays = patient_features._patient_arrays(
        Source("cap", 5), None, PreprocessingSettings(64), 24, DataSettings()
    )
    changed = np.abs(arrays["ill"].astype(int) - arrays["clean"]) > 150
    seen = changed.mean(axis=(1, 2)) > 0.02
    assert arrays["lesions"].dtype == bool
    assert 0 < arrays["lesions"].sum() < 24
    assert arrays["lesions"][seen].all()
    assert not arrays["lesions"][~changed.any(axis=(1, 2))].any()


def test_backgrounds_of_the_patient_level_train_no_slice_level():
    config = TrainingConfig(data=DataSettings(patient_backgrounds=("lidc-0002",)))
    names = [*BACKGROUNDS, "rider-1225316081"]
    slices = {source.background for source in slice_sources(config.data, names, False)}
    whole_chests = {source.background for source in patient_sources(config, names, False)}
    assert slices == {None, "rider-1225316081"}
    assert whole_chests == {None, "lidc-0002"}
    validating = {source.background for source in patient_sources(config, names, True)}
    assert validating == {None, "crlm-1006", "lidc-0003"}


def test_where_no_volume_is_left_to_the_patient_level_it_learns_from_all():
    whole_chests = {
        source.background for source in patient_sources(TrainingConfig(), BACKGROUNDS, False)
    }
    assert whole_chests == {None, "lidc-0002"}


def test_ones_own_chest_trains_both_levels_and_its_licence_is_unknown(tmp_path: Path):
    for name in ("lidc-0002", "of-a-hospital"):
        (tmp_path / f"{name}.npz").touch()
    config = TrainingConfig()
    for sources in (
        slice_sources(config.data, names_in(tmp_path), False),
        patient_sources(config, names_in(tmp_path), False),
    ):
        assert {source.background for source in sources} == {None, "lidc-0002", "of-a-hospital"}
    card = SimulatedData(config, tmp_path, tmp_path).origin()
    assert card["real_backgrounds"]["of-a-hospital"] == "unknown"
    assert "2 volumes" in SimulatedData(config, tmp_path, tmp_path).sentence()


def test_no_two_backgrounds_share_their_lesions():
    places = [place_of(name) for name in ORIGINS]
    assert len(set(places)) == len(places)
    assert max(*places, *(place_of(f"own-{n}") for n in range(200))) == 48


def test_lesions_of_a_chest_stay_whichever_others_are_there():
    alone, both = (
        {source.name for source in slice_sources(DataSettings(), names, True)}
        for names in (BACKGROUNDS[2:], BACKGROUNDS)
    )
    assert alone < both


def test_another_simulator_has_another_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    config = TrainingConfig()
    shaping = (tmp_path, config.data, config.model.preprocessing)

    def folders() -> set[Path]:
        return {slices_folder(*shaping), patient_features.patients_folder(tmp_path, config)}

    before = folders()
    assert folders() == before
    path_of, changed = code_digest._path_of, tmp_path / "lesions.py"
    changed.write_text("# drawn otherwise\n")
    with monkeypatch.context() as patch:
        patch.setattr(
            code_digest,
            "_path_of",
            lambda name: changed if name.endswith("simulation.lesions") else path_of(name),
        )
        code_digest.code_sha256.cache_clear()
        assert not folders() & before
    code_digest.code_sha256.cache_clear()
    assert folders() == before


def test_arrays_in_the_cache_are_not_made_again(tmp_path: Path):
    np.savez(tmp_path / "a.npz", x=np.arange(3))
    made = cached(tmp_path, {"a": partial(dict, x=np.zeros(1))}, "making")
    assert made[0]["x"].tolist() == [0, 1, 2]


def test_other_settings_have_another_cache(tmp_path: Path):
    folders = {keyed_folder(tmp_path, "slices", PreprocessingSettings(n), 3) for n in (64, 96)}
    assert len(folders) == 2
