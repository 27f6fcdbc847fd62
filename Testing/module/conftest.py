"""A real MRML scene, a simulated CT in it, and result folders without a network."""

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
sys.path.append(str(ROOT / "M3LungScreen"))

from Testing.stand_ins.mrml_scene import SceneOfSlicer, add_volume, ijk_to_ras_of  # noqa: E402


@pytest.fixture
def scene(tmp_path, monkeypatch):
    """An empty scene of Slicer's, also slicer.mrmlScene."""
    import slicer

    kept = SceneOfSlicer(tmp_path / "cache")
    monkeypatch.setattr(slicer, "mrmlScene", kept.scene, raising=False)
    yield kept.scene
    kept.scene.Clear(True)


@pytest.fixture(scope="session")
def a_patient():
    """A small simulated patient with COVID-19, 30 slices of 96 × 96."""
    from M3LungScreenLib import simulate_patient

    return simulate_patient("covid19", 3, slice_count=30, slice_thickness_mm=8.0, matrix=96)


@pytest.fixture
def a_ct(scene, a_patient):
    """That patient's CT in the scene."""
    volume = a_patient.volume
    return add_volume(scene, volume.hu, ijk_to_ras_of(volume.geometry), "CT of Müller")


@pytest.fixture
def result_folder(make_result, tmp_path):
    """result_folder(...) writes what the worker would write, for a made-up result."""
    from M3LungScreenLib.outputs.folder import write

    def make(called="covid19", **options):
        result = make_result(called, **options)
        return result, write(result, tmp_path / f"{called} mit Öl", volumes="raw")

    return make
