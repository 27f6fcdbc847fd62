"""The mean of slice levels: tensor by tensor, told apart from other networks, never over a run."""

from pathlib import Path

import pytest
import torch

from M3LungScreenLib.errors import UsageError
from M3LungScreenLib.networks.slice_network import SliceNetwork
from Testing.stand_ins.disc_cache import SMALL, SMOKE, fill_cache
from Training import average_weights
from Training.config import load_config
from Training.learning.averaging import mean_of
from Training.learning.compatibility import check_trained
from Training.learning.run import BEST, BEST_FIGURES, CHECKPOINT
from Training.learning.weights import load_weights


def test_a_mean_is_taken_tensor_by_tensor_and_counters_are_the_lasts():
    first = {"weight": torch.tensor([1.0, 4.0]), "batches": torch.tensor(7)}
    last = {"weight": torch.tensor([3.0, 0.0]), "batches": torch.tensor(9)}
    found = mean_of([first, last])
    assert found["weight"].tolist() == [2.0, 2.0]
    assert found["batches"].item() == 9


def test_other_networks_have_no_mean():
    with pytest.raises(UsageError, match="different networks"):
        mean_of([{"weight": torch.zeros(2)}, {"weight": torch.zeros(3)}])


@pytest.fixture
def asked(tmp_path: Path) -> list[str]:
    """Two runs `run-1` and `run-2` of other weights, and what to ask for beside their names."""
    fill_cache(tmp_path / "cache")
    for seed in (1, 2):
        write_run(tmp_path / f"run-{seed}", seed)
    asked = ["--config", str(SMOKE), "--cache", str(tmp_path / "cache"), "--out"]
    return [*(word for each in SMALL for word in ("--set", each)), *asked]


def write_run(folder: Path, seed: int) -> None:
    torch.manual_seed(seed)
    (folder / "slice").mkdir(parents=True, exist_ok=True)
    network = SliceNetwork(load_config(SMOKE, SMALL).model.slice_network)
    torch.save(network.state_dict(), folder / "slice" / BEST)


def take_mean(folder: Path, out: str, asked: list[str]) -> None:
    average_weights.main([*asked, str(folder / out), str(folder / "run-1"), str(folder / "run-2")])


def test_two_runs_become_one_that_knows_its_settings(tmp_path: Path, asked: list[str]):
    for _ in range(2):  # again: as a chain of steps that was stopped does
        take_mean(tmp_path, "mean", asked)
    first, second, mean = (
        load_weights(tmp_path / each / "slice" / BEST) for each in ("run-1", "run-2", "mean")
    )
    learnt = [name for name, each in mean.items() if each.is_floating_point()]
    assert all(torch.allclose(mean[k], (first[k] + second[k]) / 2) for k in learnt)
    assert sum(not torch.equal(first[k], second[k]) for k in learnt) > 10
    assert (tmp_path / "mean" / "slice" / BEST_FIGURES).is_file()
    check_trained(tmp_path / "mean", load_config(SMOKE, SMALL))
    other = load_config(SMOKE, [*SMALL, "model.slice_network.pooling=mean"])
    with pytest.raises(UsageError, match="pooling"):
        check_trained(tmp_path / "mean", other)


def test_no_run_gets_a_mean_in_place_of_its_own_weights(tmp_path: Path, asked: list[str]):
    before = (tmp_path / "run-1" / "slice" / BEST).read_bytes()
    with pytest.raises(UsageError, match="already holds other"):
        take_mean(tmp_path, "run-1", asked)
    assert (tmp_path / "run-1" / "slice" / BEST).read_bytes() == before
    begun = tmp_path / "begun" / "slice"
    begun.mkdir(parents=True)
    (begun / CHECKPOINT).touch()
    with pytest.raises(UsageError, match="delete the folder"):
        take_mean(tmp_path, "begun", asked)


def test_a_patient_level_keeps_the_mean_that_it_was_trained_on(tmp_path: Path, asked: list[str]):
    take_mean(tmp_path, "mean", asked)
    (tmp_path / "mean" / "patient").mkdir()
    (tmp_path / "mean" / "patient" / CHECKPOINT).touch()
    take_mean(tmp_path, "mean", asked)  # the same one
    write_run(tmp_path / "run-2", seed=3)
    with pytest.raises(UsageError, match="other slice-level weights"):
        take_mean(tmp_path, "mean", asked)
