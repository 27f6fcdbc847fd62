"""A command for the worker, and engines without networks."""

import time
from pathlib import Path

import pytest

from M3LungScreenLib.engines import fallback_engine
from M3LungScreenLib.simulation.patient import simulate_patient
from Testing.stand_ins.worker import CountingEngine

BUNDLE = Path(__file__).parents[2] / "Resources" / "Models" / "compact"


@pytest.fixture(scope="session")
def a_command(tmp_path_factory):
    """a_command(**changes): a 'screen' of a small simulated patient, as a dict."""
    folder = tmp_path_factory.mktemp("Übergabe")
    volume = simulate_patient(
        "covid19", 3, slice_count=30, slice_thickness_mm=8.0, matrix=96
    ).volume
    volume.hu.tofile(folder / "volume.raw")
    place = volume.geometry

    def make(**changes):
        return {
            "command": "screen",
            "run": 1,
            "volume": str(folder / "volume.raw"),
            "geometry": {name: list(value) for name, value in vars(place).items()},
            "model": str(BUNDLE),
            "device": "cpu",
            "detail": "preview",
            "out": str(folder / f"out-{time.monotonic_ns()}"),
            **changes,
        }

    return make


@pytest.fixture
def engines(monkeypatch):
    """Engines that are made, in order, instead of networks."""
    made = []

    def make(bundle, device, engine):
        made.append(CountingEngine(device))
        return made[-1]

    monkeypatch.setattr(fallback_engine, "make_engine", make)
    return made
