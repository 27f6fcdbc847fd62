"""A process killed without warning in the middle of any stage ends, resumed, as if it never was."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from Testing.stand_ins.disc_cache import SMALL, SMOKE, fill_cache
from Testing.stand_ins.killed import ROOT, kill_when
from Training.learning.run import BEST, LOG

STAGES = ("train_slice", "train_patient", "finetune_joint")
OVERRIDES = (
    "slice.epochs=2",
    "slice.checkpoint_every_steps=1",
    "patient.epochs=3",
    "patient.feature_dropout=0.2",
    "joint.epochs=2",
    "joint.slices=4",
    "joint.pairs=2",
    "joint.healthy=1",
    "joint.checkpoint_every_steps=1",
    "joint.precision=float32",
)


def command(stage: str, run: Path, cache: Path) -> list[str]:
    asked = ["--config", SMOKE, "--out", run, "--cache", cache, "--resume", "--device", "cpu"]
    asked += [word for each in (*SMALL, *OVERRIDES) for word in ("--set", each)]
    asked += ["--run", run.with_name("both")] if stage == "finetune_joint" else []
    return [f"Training.{stage}", *map(str, asked)]


def train(stage: str, run: Path, cache: Path) -> None:
    asked = [sys.executable, "-m", *command(stage, run, cache)]
    done = subprocess.run(asked, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def logged(log: Path, lines: int) -> Callable[[], bool]:
    """Whether a log has so many lines."""
    return lambda: log.exists() and log.read_text("utf-8").count("\n") >= lines


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with `cache` and a whole run of the first two levels, `both`."""
    folder = tmp_path_factory.mktemp("killed")
    fill_cache(folder / "cache")
    for stage in STAGES[:2]:
        train(stage, folder / "both", folder / "cache")
    return folder


@pytest.mark.parametrize(
    ("stage", "level", "lines"),
    [("train_slice", "slice", 2), ("train_patient", "patient", 2), ("finetune_joint", "joint", 2)],
)
def test_killed_stage_resumes_to_the_same_numbers(
    runs: Path, stage: str, level: str, lines: int
) -> None:
    whole, cut = (runs / f"{stage}-{name}" for name in ("whole", "cut"))
    if level == "patient":
        for run in (whole, cut):
            (run / "slice").mkdir(parents=True)
            (run / "slice" / BEST).write_bytes((runs / "both/slice" / BEST).read_bytes())
    train(stage, whole, runs / "cache")
    kill_when(command(stage, cut, runs / "cache"), logged(cut / level / LOG, lines))
    train(stage, cut, runs / "cache")
    for name in ("slice", "patient") if level == "joint" else (level,):
        best = [torch.load(run / name / BEST, weights_only=True) for run in (whole, cut)]
        assert all(torch.equal(best[0][key], best[1][key]) for key in best[0])
    logs = [(run / level / LOG).read_text("utf-8").splitlines() for run in (whole, cut)]
    assert [json.loads(each) for each in logs[0]] == [json.loads(each) for each in logs[1]]
