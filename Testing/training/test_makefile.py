"""The make target of the backgrounds: made once, whole, and anew where chests were added."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# In place of a Python: gathers a chest a call, and stops there when told.
PYTHON = """#!/bin/sh
case "$*" in *Training.gather_backgrounds*) ;; *) echo "$*" >> asked; exit 0 ;; esac
mkdir -p build/backgrounds
touch "build/backgrounds/chest-$(ls build/backgrounds | wc -l).npz"
exit "${STOPPED:-0}"
"""


@pytest.fixture
def a_checkout(tmp_path: Path) -> Path:
    """The Makefile among what its rules ask for, the scripts empty."""
    if shutil.which("make") is None or os.name != "posix":
        pytest.skip("there is no make here")
    shutil.copy(ROOT / "Makefile", tmp_path)
    for name in ("backgrounds", "pypi_chests"):
        aged(tmp_path / f"Training/sources/{name}.py", 100)
    aged(tmp_path / ".venv/bin/.installed-training", 100)
    python = tmp_path / ".venv/bin/python"
    python.write_text(PYTHON)
    python.chmod(0o755)
    return tmp_path


def aged(path: Path, seconds: float) -> None:
    """An empty file that was written so long ago."""
    path.parent.mkdir(exist_ok=True, parents=True)
    path.touch()
    then = path.stat().st_mtime - seconds
    os.utime(path, (then, then))


def make(folder: Path, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    unset = ("M3LUNGSCREEN_DATA", "BACKGROUNDS", "MAKEFLAGS", "MAKELEVEL", "PACKAGES", "CONFIG")
    inherited = {name: value for name, value in os.environ.items() if name not in unset}
    return subprocess.run(
        ["make", *words], cwd=folder, env=inherited | variables, capture_output=True, text=True
    )


def gathered(folder: Path) -> int:
    return len(list((folder / "build/backgrounds").glob("*.npz")))


def test_gathering_that_stopped_halfway_goes_on(a_checkout: Path) -> None:
    assert make(a_checkout, "training-cache", STOPPED="1").returncode != 0
    assert gathered(a_checkout) == 1
    assert make(a_checkout, "training-cache").returncode == 0
    assert gathered(a_checkout) == 2
    make(a_checkout, "training-cache")
    assert gathered(a_checkout) == 2, "it was complete"


def test_the_chests_of_packages_are_gathered_when_asked_for_later(a_checkout: Path) -> None:
    assert "--packages" not in make(a_checkout, "training-cache").stdout
    assert "--packages" in make(a_checkout, "training-cache", PACKAGES="1").stdout
    assert gathered(a_checkout) == 2
    make(a_checkout, "training-cache", PACKAGES="1")
    assert gathered(a_checkout) == 2, "it was complete"


@pytest.mark.parametrize("script", ["backgrounds", "pypi_chests"])
def test_chests_that_were_added_are_gathered_into_an_old_folder(
    a_checkout: Path, script: str
) -> None:
    make(a_checkout, "training-cache")
    aged(a_checkout / "build/backgrounds/.complete", 50)
    make(a_checkout, "training-cache")
    assert gathered(a_checkout) == 1
    aged(a_checkout / f"Training/sources/{script}.py", 0)
    make(a_checkout, "training-cache")
    assert gathered(a_checkout) == 2


def test_training_gathers_first_where_the_data_are(a_checkout: Path) -> None:
    done = make(a_checkout, "train", "CONFIG=smoke", M3LUNGSCREEN_DATA="data")
    assert done.returncode == 0, done.stderr
    assert (a_checkout / "build/backgrounds/.complete").exists()
    asked = (a_checkout / "asked").read_text().splitlines()
    assert sum("--backgrounds build/backgrounds" in each for each in asked) == 4


def test_compact_is_trained_by_one_command_a_level(a_checkout: Path) -> None:
    assert make(a_checkout, "train").returncode == 0
    asked = (a_checkout / "asked").read_text().splitlines()
    scripts = [each.split()[1].removeprefix("Training.") for each in asked if "-m Training" in each]
    assert scripts[-4:] == ["train_slice", "train_patient", "export", "calibrate"]
    slices = next(each for each in asked if "Training.train_slice" in each)
    assert "compact.yaml --out runs/compact --resume" in slices


@pytest.mark.parametrize(("config", "fetched"), [("compact", True), ("smoke", False)])
def test_the_compact_models_training_fetches_the_chests_of_packages(
    a_checkout: Path, config: str, fetched: bool
) -> None:
    done = make(a_checkout, "train", f"CONFIG={config}", M3LUNGSCREEN_DATA="data")
    assert done.returncode == 0, done.stderr
    assert ("--packages" in done.stdout) == fetched


@pytest.mark.parametrize("data", ["", "data"])
@pytest.mark.parametrize("folder", ["own", "build/backgrounds"])
def test_a_folder_of_ones_own_is_taken_as_it_is(a_checkout: Path, folder: str, data: str) -> None:
    aged(a_checkout / folder / ".complete", 0)
    done = make(
        a_checkout, "train", "CONFIG=smoke", f"BACKGROUNDS={folder}", M3LUNGSCREEN_DATA=data
    )
    assert done.returncode == 0, done.stderr
    assert gathered(a_checkout) == 0
    asked = (a_checkout / "asked").read_text().splitlines()
    assert sum(f"--backgrounds {folder}" in each for each in asked) == 4


def test_a_folder_that_was_copied_here_needs_no_data(a_checkout: Path) -> None:
    (a_checkout / "build/backgrounds").mkdir(parents=True)
    done = make(a_checkout, "train", "CONFIG=smoke", "BACKGROUNDS=build/backgrounds")
    assert done.returncode == 0, done.stderr
    assert gathered(a_checkout) == 0
