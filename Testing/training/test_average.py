"""The mean of slice levels: tensor by tensor, told apart from other networks, never over a run."""

from pathlib import Path

import pytest
import torch

from M3LungScreenLib.errors import UsageError
from M3LungScreenLib.networks.slice_network import SliceNetwork
from Testing.stand_ins.disc_cache import SMALL, SMOKE
from Training import average
from Training.average import mean_of
from Training.config import load_config
from Training.learning import load_weights
from Training.loop import BEST, BEST_FIGURES, CHECKPOINT


def test_a_mean_is_taken_tensor_by_tensor_and_counters_are_the_lasts():
    first = {"weight": torch.tensor([1.0, 4.0]), "batches": torch.tensor(7)}
    last = {"weight": torch.tensor([3.0, 0.0]), "batches": torch.tensor(9)}
    found = mean_of([first, last])
    assert found["weight"].tolist() == [2.0, 2.0]
    assert found["batches"].item() == 9


def test_other_networks_have_no_mean():
    with pytest.raises(UsageError, match="different networks"):
        mean_of([{"weight": torch.zeros(2)}, {"weight": torch.zeros(3)}])


def test_two_runs_become_one_that_can_be_gone_on_with(tmp_path: Path):
    config = load_config(SMOKE, SMALL)
    for seed in (1, 2):
        torch.manual_seed(seed)
        folder = tmp_path / f"run-{seed}" / "slice"
        folder.mkdir(parents=True)
        torch.save(SliceNetwork(config.model.slice_network).state_dict(), folder / BEST)
    runs = [str(tmp_path / f"run-{seed}") for seed in (1, 2)]
    asked = ["--config", str(SMOKE), "--cache", str(tmp_path / "cache")]
    asked += [word for each in SMALL for word in ("--set", each)]
    for _ in range(2):  # again: as a chain of steps that was stopped does
        average.main([*runs, "--out", str(tmp_path / "mean"), *asked])
    first, second, mean = (
        load_weights(folder / "slice" / BEST) for folder in (*map(Path, runs), tmp_path / "mean")
    )
    weight = "lesion_head.weight" if "lesion_head.weight" in mean else next(iter(mean))
    assert torch.allclose(mean[weight], (first[weight] + second[weight]) / 2)
    assert not torch.equal(first[weight], second[weight])
    assert (tmp_path / "mean" / "slice" / BEST_FIGURES).is_file()

    (tmp_path / "run-1" / "slice" / CHECKPOINT).touch()
    with pytest.raises(UsageError, match="holds a run"):
        average.main([*runs, "--out", runs[0], *asked])
