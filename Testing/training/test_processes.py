"""Two processes that share each batch learn what one does."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from Testing.stand_ins.disc_cache import SMALL, SMOKE, fill_cache
from Training.loop import BEST, LOG

ROOT = Path(__file__).parents[2]
OVERRIDES = ("slice.epochs=2", "slice.healthy=2", "slice.frozen_batch_norm=true")
PATIENT = ("patient.epochs=3", "patient.batch=4", "patient.feature_dropout=0.2")
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
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("processes")
    fill_cache(folder)
    return folder


@pytest.mark.parametrize("stage", ["slice", "patient"])
def test_two_processes_follow_the_loss_curve_of_one(
    stage: str, cache: Path, tmp_path: Path
) -> None:
    if stage == "patient":
        for name in ("one", "two"):
            losses("slice", tmp_path / name, cache, 1)
        weights = (tmp_path / "one/slice" / BEST).read_bytes()
        (tmp_path / "two/slice" / BEST).write_bytes(weights)
    one = losses(stage, tmp_path / "one", cache, 1)
    two = losses(stage, tmp_path / "two", cache, 2)
    assert len(one) == len(two) > 3
    assert one == pytest.approx(two, rel=2e-4, abs=1e-5)
    assert np.ptp(one) > 1e-3
