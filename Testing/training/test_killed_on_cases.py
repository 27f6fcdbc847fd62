"""Killed in the middle of a data set, by SIGKILL, every script that reads cases goes on as told."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from M3LungScreenLib.bundle import load_bundle
from Testing.stand_ins.chests import a_small_chest, write_volume
from Testing.stand_ins.disc_cache import SMALL, SMOKE
from Testing.stand_ins.evaluation import untrained_bundle, write_index
from Testing.stand_ins.killed import kill_when
from Training import calibrate, evaluate, index, train_patient, train_slice
from Training.atomic_files import work_beside
from Training.evaluation import bootstrap
from Training.learning.run import BEST

CLASSES = ("Healthy", "COVID-19", "H1N1", "CAP")
KEYS = ("healthy", "covid19", "h1n1", "cap")
PATIENTS = 5
Main = Callable[[list[str]], None]


def some(folder: Path, pattern: str, count: int = 1) -> Callable[[], bool]:
    """Whether so many files of a pattern are in a folder."""
    return lambda: len(list(folder.glob(pattern))) >= count


@pytest.fixture(scope="module")
def a_hospital(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`hospital`, five patients a class, the ill with a mask, and `index.csv`, with splits."""
    folder = tmp_path_factory.mktemp("hospital")
    for c, name in enumerate(CLASSES):
        for n in range(PATIENTS):
            hu, mask = a_small_chest(10 * c + n, slices=24), np.zeros((24, 64, 64), np.uint8)
            mask[8:16, 24 : 26 + 4 * c, 14:22] = c > 0
            hu[mask > 0] = -100
            write_volume(folder / f"hospital/{name}/{name}-{n}.nrrd", hu)
            write_volume(folder / f"hospital/{name}/{name}-{n}-mask.nrrd", mask)
    index.main(["folders", str(folder / "hospital"), "-o", str(folder / "index.csv"), "--split"])
    return folder


def test_index_killed_while_it_reads_is_the_same_in_the_end(a_hospital: Path) -> None:
    out = a_hospital / "again.csv"
    asked = ["folders", str(a_hospital / "hospital"), "-o", str(out), "--split", "--resume"]
    kill_when(["Training.index", *asked], some(work_beside(out), "*.json", 3))
    assert not out.exists()
    index.main(asked)
    assert out.read_text("utf-8") == (a_hospital / "index.csv").read_text("utf-8")


def learning(folder: Path, run: str, cache: str) -> list[str]:
    asked = ["--config", SMOKE, "--data", folder / "index.csv", "--device", "cpu", "--resume"]
    asked += [word for each in (*SMALL, "patient.batch=4") for word in ("--set", each)]
    return [*map(str, asked), "--out", str(folder / run), "--cache", str(folder / cache)]


@pytest.fixture(scope="module")
def learned(a_hospital: Path) -> Path:
    """The hospital with `whole`, a run of both levels that nobody stopped."""
    for stage in (train_slice, train_patient):
        stage.main(learning(a_hospital, "whole", "cache"))
    return a_hospital


def assert_same_weights(folder: Path, run: str, level: str) -> None:
    whole, cut = (
        torch.load(folder / each / level / BEST, weights_only=True) for each in ("whole", run)
    )
    assert all(torch.equal(whole[name], cut[name]) for name in whole)


def test_crops_killed_in_the_midst_of_an_entry_are_made_again(learned: Path) -> None:
    asked = learning(learned, "cut-crops", "other-cache")
    half_written = some(learned / "other-cache", "crops-*/*.part/hu.npy")
    kill_when(["Training.train_slice", *asked], half_written)
    train_slice.main(asked)
    assert_same_weights(learned, "cut-crops", "slice")


def test_features_killed_in_the_midst_of_the_patients_are_the_same(learned: Path) -> None:
    (learned / "cut-features").mkdir()
    shutil.copytree(learned / "whole/slice", learned / "cut-features/slice")
    shutil.copytree(learned / "cache", learned / "third-cache")
    for each in (learned / "third-cache").glob("features-*"):
        shutil.rmtree(each)
    asked = learning(learned, "cut-features", "third-cache")
    kill_when(["Training.train_patient", *asked], some(learned / "third-cache", "features-*/*", 2))
    train_patient.main(asked)
    assert_same_weights(learned, "cut-features", "patient")


@pytest.fixture(scope="module")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`bundle`, untrained, and `index.csv` of a simulated patient a class."""
    folder = tmp_path_factory.mktemp("simulated")
    untrained_bundle(folder / "bundle")
    write_index(folder, KEYS)
    return folder


def killed_and_resumed(folder: Path, script: str, main: Main) -> tuple[Path, Path]:
    """What a run that nobody stopped writes, and what a killed one does once resumed."""
    asked = [str(folder / "bundle"), "--data", str(folder / "index.csv"), "--device", "cpu"]
    whole, cut = folder / f"{script}-whole", folder / f"{script}-cut"
    main([*asked, "--out", str(whole)])
    again = [*asked, "--out", str(cut), "--resume"]
    one_done = some(work_beside(cut), f"{KEYS[0]}*.json")
    kill_when([f"Training.{script}", *again], one_done)
    assert not cut.exists()
    main(again)
    assert not work_beside(cut).exists()
    return whole, cut


def files(folder: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_calibration_killed_between_two_cases_ends_with_the_same_card(simulated: Path) -> None:
    whole, cut = killed_and_resumed(simulated, "calibrate", calibrate.main)
    assert load_bundle(cut).settings == load_bundle(whole).settings
    assert files(cut) == files(whole)


def test_evaluation_killed_between_two_cases_ends_with_the_same_files(
    simulated: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bootstrap, "RESAMPLES", 20)
    whole, cut = killed_and_resumed(simulated, "evaluate", evaluate.main)
    assert files(cut).keys() == files(whole).keys()
    assert [name for name, each in files(cut).items() if each != files(whole)[name]] == []
