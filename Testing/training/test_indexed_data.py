"""An index's cases as training data: who is learnt from, and what the card says of them."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from M3LungScreenLib.errors import UsageError
from M3LungScreenLib.settings import with_values
from Testing.stand_ins.chests import a_small_chest, write_volume
from Training.config import TrainingConfig
from Training.datasets.folders import FOLDERS
from Training.datasets.index_file import Case, read_terms
from Training.datasets.index_writer import write_index
from Training.index import main
from Training.learning.level import Share
from Training.learning.slice_batches import slice_batches
from Training.sources.indexed_data import IndexedData, StoredRows

CONFIG = with_values(TrainingConfig(), {"model.preprocessing.input_size": 32})
LABELS = (0, 0, 0, 0, 1, 1, 1, 0, 0, 0, 0, 0)


def a_case(folder: Path, name: str, patient_class: str, split: str, **values: Any) -> Case:
    chest = a_small_chest(sum(map(ord, name)))
    path = write_volume(folder / f"{name}.nrrd", chest)
    return replace(Case(name, path, patient_class, split=split), **values)


@pytest.fixture
def an_index(tmp_path: Path) -> Path:
    """Training: a healthy, a labelled, a masked, an unlabelled one; validation: two."""
    mask = np.zeros((12, 64, 64), np.uint8)
    mask[3:5, 20:40, 14:26] = 1
    masked = write_volume(tmp_path / "mask.nrrd", mask)
    cases = [
        a_case(tmp_path, "anna", "Healthy", "training"),
        a_case(tmp_path, "bert", "COVID-19", "training", slice_labels=LABELS),
        a_case(tmp_path, "carl", "CAP", "training", mask=masked),
        a_case(tmp_path, "dora", "CAP", "training"),
        a_case(tmp_path, "emil", "Healthy", "validation"),
        a_case(tmp_path, "fritz", "COVID-19", "validation", slice_labels=LABELS),
        a_case(tmp_path, "gerd", "COVID-19", "test", slice_labels=LABELS),
    ]
    write_index(tmp_path / "index.csv", cases)
    return tmp_path / "index.csv"


@pytest.fixture
def data(an_index: Path, tmp_path: Path) -> IndexedData:
    return IndexedData(CONFIG, tmp_path / "cache", an_index)


def test_slice_level_learns_from_labelled_lesions_and_healthy_people(data: IndexedData) -> None:
    samples = data.slices(validation=False)
    assert samples.classes.tolist() == [1, 1, 1, 3, 3]
    assert samples.has_truth is not None
    assert samples.has_truth.tolist() == [False, False, False, True, True]
    assert samples.truth[np.arange(5)].any(axis=(1, 2)).tolist() == [False] * 3 + [True] * 2
    assert len(samples.healthy) == len(data.patients(validation=False)[0].hu[:])
    assert len(samples.clean) == 0


def test_window_of_a_cached_slice_is_drawn_anew_each_epoch(data: IndexedData) -> None:
    samples, config = data.slices(validation=False), with_values(CONFIG, {"slice.pairs": 5})
    epochs = [next(slice_batches(samples, config, epoch, 0, Share())) for epoch in range(20)]
    centers = [{each.center_hu for each in batch.drawn} for batch in epochs]
    every = set().union(*centers)
    assert len(every) == sum(map(len, centers)) > 40
    assert -700 <= min(every) < -690
    assert -510 < max(every) <= -500
    assert all(batch.hu.dtype == torch.int16 for batch in epochs)


def test_patients_are_whole_and_of_their_split(data: IndexedData) -> None:
    assert [each.class_index for each in data.patients(False)] == [0, 1, 3, 3]
    assert [each.class_index for each in data.patients(True)] == [0, 1]
    assert all(each.hu[:].shape[1:] == (32, 32) for each in data.patients(True))


def test_no_more_slices_of_a_patient_than_the_config_allows(data: IndexedData) -> None:
    few = replace(data, config=with_values(CONFIG, {"patient.largest_slice_count": 5}))
    whole, thinned = data.patients(True)[0].hu[:], few.patients(True)[0].hu[:]
    places = np.linspace(0, len(whole) - 1, 5).round().astype(int)
    assert np.array_equal(thinned, whole[places])


def test_rows_of_several_arrays_are_gathered_in_the_order_asked() -> None:
    rng = np.random.default_rng(0)
    arrays = [rng.integers(0, 9, (n, 2, 2)) for n in (5, 1, 7)]
    rows = [np.array([4, 0, 2]), np.array([], int), np.array([6, 6, 1])]
    together = np.concatenate([array[chosen] for array, chosen in zip(arrays, rows, strict=True)])
    wanted = rng.integers(0, len(together), 50)
    stored = StoredRows(arrays, rows)
    assert len(stored) == 6
    assert np.array_equal(stored[wanted], together[wanted])


def test_card_names_patients_terms_and_classes_never_seen(data: IndexedData) -> None:
    origin = data.origin()
    assert origin["patients"]["training"] == {"Healthy": 1, "COVID-19": 1, "CAP": 2}
    assert origin["licence"] == "unknown"
    assert data.sentence() == (
        "Trained on patients of index.csv: 1 Healthy, 1 COVID-19, 2 CAP. "
        "No patient with H1N1 was included."
    )


def test_terms_of_the_data_set_travel_with_its_index(tmp_path: Path) -> None:
    write_volume(tmp_path / "hospital" / "Healthy" / "anna.nrrd", a_small_chest(0))
    main(["folders", str(tmp_path / "hospital"), "-o", str(tmp_path / "index.csv")])
    told = read_terms(tmp_path / "index.csv")
    assert (told["dataset"], told["licence"]) == (FOLDERS.name, FOLDERS.licence)


def test_index_without_splits_is_refused_with_the_way_to_make_them(tmp_path: Path) -> None:
    whole = replace(a_case(tmp_path, "anna", "Healthy", "training"), split=None)
    write_index(tmp_path / "index.csv", [whole])
    with pytest.raises(UsageError, match=r"no cases in the split 'training'.*--split"):
        IndexedData(CONFIG, tmp_path / "cache", tmp_path / "index.csv").slices(False)


def test_index_without_labelled_slices_is_refused_for_the_slice_level(tmp_path: Path) -> None:
    cases = [
        a_case(tmp_path, "anna", "Healthy", "training"),
        a_case(tmp_path, "bert", "CAP", "training"),
    ]
    write_index(tmp_path / "index.csv", cases)
    data = IndexedData(CONFIG, tmp_path / "cache", tmp_path / "index.csv")
    with pytest.raises(UsageError, match="training split has 0 labelled slices of 1 patients with"):
        data.slices(validation=False)
    assert len(data.patients(validation=False)) == 2


def test_patient_on_two_sides_of_a_split_by_hand_is_refused(tmp_path: Path) -> None:
    case = a_case(tmp_path, "anna", "Healthy", "training")
    write_index(tmp_path / "index.csv", [case, replace(case, split="test")])
    with pytest.raises(UsageError, match="anna in more than one split"):
        IndexedData(CONFIG, tmp_path / "cache", tmp_path / "index.csv").patients(False)
