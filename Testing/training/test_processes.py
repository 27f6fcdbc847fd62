"""Two processes that share each batch learn what one does."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from Testing.stand_ins.disc_cache import SMALL, SMOKE, fill_cache
from Training.learning.run import BEST, LOG

ROOT = Path(__file__).parents[2]
# AdamW divides by gradients near nothing, where rounding is all there is.
PLAIN = ("slice.optimiser=sgd", "slice.learning_rate=0.0003", "slice.head_learning_rate_factor=1")
OVERRIDES = ("slice.epochs=2", "slice.healthy=2", "slice.frozen_batch_norm=true", *PLAIN)
PATIENT = ("patient.epochs=6", "patient.batch=4", "patient.feature_dropout=0.2")
COMMON = [word for each in (*SMALL, *OVERRIDES, *PATIENT) for word in ("--set", each)]


def losses(stage: str, run: Path, cache: Path, processes: int) -> np.ndarray:
    """The loss of every step of a run by so many processes."""
    torchrun = ["torch.distributed.run", "--standalone", "--nproc_per_node", str(processes), "-m"]
    asked = ["--config", str(SMOKE), "--out", str(run), "--cache", str(cache), "--device", "cpu"]
    launcher = torchrun if processes > 1 else []
    command = [sys.executable, "-m", *launcher, f"Training.train_{stage}", *asked, *COMMON]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    lines = [json.loads(each) for each in (run / stage / LOG).read_text("utf-8").splitlines()]
    return np.array([each["loss"] for each in lines if "loss" in each])


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, np.ndarray]:
    """A folder with `cache` and `one`, the slice level trained by one process; its losses."""
    folder = tmp_path_factory.mktemp("processes")
    fill_cache(folder / "cache")
    return folder, losses("slice", folder / "one", folder / "cache", 1)


def assert_the_same_curve(one: np.ndarray, two: np.ndarray) -> None:
    assert len(one) == len(two) > 5
    assert one == pytest.approx(two, rel=2e-4, abs=1e-5)
    assert np.ptp(one) > 1e-3


def test_two_processes_follow_the_slice_levels_loss_curve(alone: tuple[Path, np.ndarray]) -> None:
    folder, one = alone
    assert_the_same_curve(one, losses("slice", folder / "two", folder / "cache", 2))


def test_two_processes_follow_the_patient_levels_loss_curve(
    alone: tuple[Path, np.ndarray],
) -> None:
    folder, _ = alone
    (folder / "both/slice").mkdir(parents=True)
    shutil.copy(folder / "one/slice" / BEST, folder / "both/slice")
    one = losses("patient", folder / "one", folder / "cache", 1)
    assert_the_same_curve(one, losses("patient", folder / "both", folder / "cache", 2))
