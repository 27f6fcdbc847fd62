"""ONNX Runtime and PyTorch give the same result, and ONNX Runtime needs no PyTorch for it."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from M3LungScreenLib import load_bundle, read_ct, screen, simulate_patient
from M3LungScreenLib.classes import CLASS_KEYS
from M3LungScreenLib.commands.screen import SHIPPED_BUNDLE

DATA = os.environ.get("M3LUNGSCREEN_DATA", "")
REAL_CASES = ("cap-001", "covid-P001", "lidc-0001", "normal-001")
LARGEST_DIFFERENCE = 1e-3
LEAST_DICE = 0.99


@pytest.fixture(scope="module")
def shipped():
    return load_bundle(SHIPPED_BUNDLE)


def check_agreement(volume, bundle):
    """Screens with both engines; fails where they differ by more than the bounds."""
    ours, theirs = (
        screen(volume, bundle, device="cpu", engine=name) for name in ("onnx", "pytorch")
    )
    assert (ours.engine.name, theirs.engine.name) == ("onnx", "pytorch")
    assert ours.patient.verdict == theirs.patient.verdict
    assert ours.patient.predicted == theirs.patient.predicted
    one, other = (each.patient.probabilities.as_array() for each in (ours, theirs))
    assert one == pytest.approx(other, abs=LARGEST_DIFFERENCE)
    for mine, its in zip(ours.slices, theirs.slices, strict=True):
        assert (mine.p_lesion is None) == (its.p_lesion is None)
        if mine.p_lesion is not None:
            assert mine.p_lesion == pytest.approx(its.p_lesion, abs=LARGEST_DIFFERENCE)
            both = (each.probabilities.as_array() for each in (mine, its))
            assert np.abs(np.subtract(*both)).max() < LARGEST_DIFFERENCE
    for label in range(1, len(CLASS_KEYS)):
        assert dice(ours.arrays.lesions == label, theirs.arrays.lesions == label) >= LEAST_DICE


def dice(one, other):
    """1 where both are empty."""
    total = np.count_nonzero(one) + np.count_nonzero(other)
    return 2 * np.count_nonzero(one & other) / total if total else 1.0


@pytest.mark.parametrize("key", ["covid19", "healthy"])
def test_engines_agree_on_a_simulated_patient(shipped, key):
    patient = simulate_patient(key, 5, slice_count=30, slice_thickness_mm=10.0, matrix=96)
    check_agreement(patient.volume, shipped)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("key", CLASS_KEYS)
def test_engines_agree_on_forty_simulated_patients(shipped, key, seed):
    patient = simulate_patient(key, 100 + seed, slice_count=36, slice_thickness_mm=8.0, matrix=192)
    check_agreement(patient.volume, shipped)


@pytest.mark.slow
@pytest.mark.parametrize("name", REAL_CASES)
def test_engines_agree_on_a_real_ct(shipped, name):
    place = Path(DATA) / "ct" / name
    if not DATA or not place.exists():
        pytest.skip("set M3LUNGSCREEN_DATA to the folder with real CT")
    check_agreement(read_ct(place), shipped)


def test_a_ct_is_screened_without_pytorch(tmp_path):
    """As `python -m M3LungScreenLib simulate` and `screen`, where torch cannot be imported."""
    script = (
        "import sys; sys.modules.update(torch=None, torchvision=None)\n"  # importing them fails
        "from M3LungScreenLib.__main__ import main\n"
        "sys.exit(main())"
    )

    def run(*words):
        command = [sys.executable, "-c", script, *map(str, words)]
        ran = subprocess.run(command, capture_output=True, text=True)
        assert ran.returncode == 0, ran.stderr
        return ran.stdout

    case = tmp_path / "case.nrrd"
    run("simulate", "--class", "cap", "--seed", "3", "--thickness", "10", "-o", case)
    told = run("screen", case, "-o", tmp_path / "out", "--detail", "preview")
    assert "on cpu (onnx)" in told
    assert (tmp_path / "out" / "report.html").is_file()
    refused = subprocess.run(
        [sys.executable, "-c", script, "screen", case, "-o", tmp_path / "o", "--device", "cuda"],
        capture_output=True,
        text=True,
    )
    assert refused.returncode == 2
    assert refused.stderr.startswith("CUDA needs PyTorch, which is not installed.")
