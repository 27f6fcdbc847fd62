"""Real CT that lesions are set into: gathered once, replayed from arrays."""

import os
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from M3LungScreenLib.simulation.patient import simulate_patient
from Training.gather_backgrounds import gather
from Training.sources.backgrounds import ORIGINS, STACKED_SLICES, load, names_in

DATA = os.environ.get("M3LUNGSCREEN_DATA")


@pytest.fixture
def a_gathered_chest(tmp_path: Path) -> tuple[Path, np.ndarray]:
    """A folder with one simulated chest, and its HU."""
    volume = simulate_patient("healthy", 3, slice_thickness_mm=10, matrix=128).volume
    sitk.WriteImage(volume.to_stored(volume.hu), tmp_path / "chest.nrrd")
    gather(tmp_path / "chest.nrrd", tmp_path / "chest.npz")
    return tmp_path, volume.hu


def test_a_gathered_volume_keeps_its_voxels_and_has_both_lungs(a_gathered_chest):
    folder, hu = a_gathered_chest
    chest = load(folder, "chest")
    assert names_in(folder) == ["chest"]
    assert np.array_equal(chest.hu, hu)
    assert set(np.unique(chest.lungs)) == {0, 1, 2}
    assert chest.spacing_mm[2] == 10


def test_a_single_slice_becomes_a_stack_of_itself(tmp_path: Path):
    hu = np.arange(12, dtype=np.int16).reshape(1, 3, 4)
    np.savez(
        tmp_path / "one.npz", hu=hu, lungs=np.uint8(hu > 5), spacing_mm=np.array([0.7, 0.7, 1])
    )
    chest = load(tmp_path, "one")
    assert chest.hu.shape == (STACKED_SLICES, 3, 4)
    assert (chest.hu == hu).all()
    assert chest.spacing_mm == (0.7, 0.7, 8.0)


def test_every_named_background_is_there():
    if not DATA:
        pytest.skip("M3LUNGSCREEN_DATA names no folder with the real CT")
    lying = {name: origin for name, origin in ORIGINS.items() if origin.package is None}
    assert [name for name, each in lying.items() if not (Path(DATA) / each.path).exists()] == []
