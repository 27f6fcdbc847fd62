"""Simulated patients written as a data set: an index, volumes, and masks where lesions are."""

from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from Training import simulate_index
from Training.datasets.index_file import read_index, read_terms
from Training.simulate_index import list_bodies, main
from Training.sources.simulated_slices import CALIBRATION, Pair, Source


def made_up(source: Source, folder: Path | None) -> Pair:
    """A chest of `source`'s seed whose lesion tells the class."""
    clean = np.full((4, 16, 16), source.seed - CALIBRATION - 800, np.int16)
    truth = np.zeros(clean.shape, np.uint8)
    truth[1, 2:6, 3:9] = 1 + len(source.class_key)
    return Pair(np.where(truth > 0, np.int16(-100), clean), clean, truth, truth)


@pytest.fixture
def written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    class Chest:
        spacing_mm = (2.0, 2.0, 6.0)

    monkeypatch.setattr(simulate_index, "make_pair", made_up)
    monkeypatch.setattr(simulate_index, "chest_of", lambda *_: Chest)
    # One process: what was put in the place of the simulator is in this one alone.
    monkeypatch.setattr(simulate_index, "process_map", lambda task, each, **_: map(task, each))
    main(["-o", str(tmp_path), "--bodies", "2"])
    return tmp_path


def test_each_body_is_there_once_a_class_with_masks_where_it_is_ill(written: Path) -> None:
    cases = read_index(written / "index.csv")
    assert [each.patient_class for each in cases] == ["Healthy", "COVID-19", "H1N1", "CAP"] * 2
    assert {each.split for each in cases} == {"validation"}
    assert [each.mask is None for each in cases] == [True, False, False, False] * 2
    assert read_terms(written / "index.csv")["dataset"] == "simulated patients"


def test_the_mask_marks_the_lesion_in_the_cts_own_place(written: Path) -> None:
    healthy, covid19 = read_index(written / "index.csv")[:2]
    ct, mask, clean = (
        sitk.ReadImage(str(each)) for each in (covid19.path, covid19.mask, healthy.path)
    )
    changed = sitk.GetArrayFromImage(ct) != sitk.GetArrayFromImage(clean)
    assert np.array_equal(changed, sitk.GetArrayFromImage(mask) == 1)
    assert ct.GetSpacing() == mask.GetSpacing() == (2.0, 2.0, 6.0)


def test_half_the_bodies_are_real_chests_that_training_held_out(tmp_path: Path) -> None:
    for name in ("crlm-1006", "lidc-0002", "lidc-0003"):
        (tmp_path / f"{name}.npz").touch()
    bodies = list_bodies(8, tmp_path)
    assert [each.background for each in bodies] == [None, "crlm-1006", None, "lidc-0003"] * 2
    assert len({each.seed for each in bodies}) == 8
