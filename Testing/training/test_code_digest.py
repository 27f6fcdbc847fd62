"""Caches are keyed by the code that fills them: any change of it, however far down, is seen."""

import importlib
import sys
from pathlib import Path
from types import ModuleType

import pytest

from M3LungScreenLib import chest, lungs, reading
from Training.datasets import code_digest, crop_cache
from Training.datasets.code_digest import code_sha256
from Training.datasets.crop_cache import crops_code
from Training.sources.simulated_slices import pairs_code, simulator_sha256


@pytest.fixture
def edited(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """edited(module): as if somebody had changed a line of its source."""

    def edit(module: ModuleType) -> None:
        path_of = code_digest._path_of
        changed = tmp_path / "changed.py"
        changed.write_bytes(path_of(module.__name__).read_bytes() + b"\nCHANGED = 1\n")
        monkeypatch.setattr(
            code_digest,
            "_path_of",
            lambda name: changed if name == module.__name__ else path_of(name),
        )
        code_sha256.cache_clear()

    yield edit
    monkeypatch.undo()
    code_sha256.cache_clear()


@pytest.mark.parametrize(
    "name",
    ["lungs", "preprocessing", "ct", "reading", "dicom.frames", "suitability", "settings"],
)
def test_a_change_of_what_crops_are_made_by_makes_other_crops(edited, name):
    before = crops_code()
    edited(importlib.import_module(f"M3LungScreenLib.{name}"))
    assert crops_code() != before


@pytest.mark.parametrize("name", ["outputs.html", "worker", "networks.slice_network"])
def test_a_change_of_something_else_leaves_the_crops(edited, name):
    before = crops_code()
    edited(importlib.import_module(f"M3LungScreenLib.{name}"))
    assert crops_code() == before


@pytest.mark.parametrize("name", ["simulation.findings", "simulation.vessels", "preprocessing"])
def test_a_change_of_the_simulator_or_the_crop_makes_other_slices(edited, name):
    before = pairs_code()
    edited(importlib.import_module(f"M3LungScreenLib.{name}"))
    assert pairs_code() != before


def test_functions_count_by_their_own_source():
    assert code_sha256(crop_cache._write) != code_sha256(crop_cache._write_crops)
    assert code_sha256(chest) == code_sha256(sys.modules["M3LungScreenLib.chest"])
    assert code_sha256(lungs) != code_sha256(reading)
    assert len(simulator_sha256()) == 64


def test_crops_of_older_code_are_not_used(edited, tmp_path):
    folders = []
    for _ in range(2):
        cache = crop_cache.CropCache(tmp_path, crop_cache.PreprocessingSettings())
        folders.append(cache._entries)
        edited(lungs)
    assert folders[0] != folders[1]
