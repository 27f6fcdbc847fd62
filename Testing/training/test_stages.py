"""Stages of the slice level: compact's recipe, their order, and kills between and within them."""

import argparse
import json
from pathlib import Path

import pytest
import torch

from M3LungScreenLib.errors import UsageError
from Testing.stand_ins.disc_cache import SMALL, SMOKE, fill_cache
from Testing.stand_ins.killed import kill_when
from Training import train_slice
from Training.config import TrainingConfig, load_config
from Training.learning.compatibility import check_trained
from Training.learning.run import BEST, BEST_FIGURES, CHECKPOINT, LOG, Run
from Training.stages import config_of_stage

COMPACT = Path(__file__).parents[2] / "Training/configs/compact.yaml"
# How the shipped slice level was trained, each part in full.
SHIPPED = {
    "from-imagenet": "{model: {slice_network: {pooling: mean}}, slice: {epochs: 3}}",
    "more-lesions": """
        model: {slice_network: {pooling: mean}}
        data: {seed: 2}
        slice: {learning_rate: 5.0e-4, epochs: 2, pairs: 9, healthy: 6}
        """,
    "small-lesions": """
        data: {seed: 3, copies: {in_volume: 18, in_slice: 4}}
        slice: {learning_rate: 8.0e-4, epochs: 2, pairs: 9, healthy: 6}
        """,
    "more-small-lesions": """
        data: {seed: 5, copies: {in_volume: 24, in_slice: 5}}
        slice: {learning_rate: 8.0e-4, epochs: 2, pairs: 9, healthy: 6}
        """,
}
STAGES = """
stages:
  - {name: first, model: {slice_network: {pooling: mean}}, slice: {learning_rate: 5.0e-4}}
  - {name: second, data: {seed: 2}}
  - {name: third, data: {seed: 3}}
  - {name: mean, mean_of: [second, third]}
"""


@pytest.mark.parametrize("name", SHIPPED)
def test_compact_has_the_stages_that_the_shipped_model_was_trained_in(
    name: str, tmp_path: Path
) -> None:
    (tmp_path / "part.yaml").write_text(SHIPPED[name])
    part, config = load_config(tmp_path / "part.yaml", []), load_config(COMPACT, [])
    stage = config_of_stage(config, {each.name: each for each in config.stages}[name])
    assert (stage.seed, stage.model) == (part.seed, part.model)
    assert (stage.data, stage.slice) == (part.data, part.slice)


def planned(config: TrainingConfig, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, ...]]:
    """What train_slice would do: where to, and from which weights."""
    done: list[tuple[str, ...]] = []
    monkeypatch.setattr(
        train_slice,
        "train_stage",
        lambda _, out, before, __: done.append((str(out), str(before))),
    )
    monkeypatch.setattr(
        train_slice,
        "average_stage",
        lambda _, runs, out, __: done.append((str(out), *map(str, runs))),
    )
    train_slice.train_stages(config, argparse.Namespace(out=Path("runs/compact")))
    return done


def test_each_stage_of_compact_starts_from_the_best_weights_of_the_one_before(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    names = [f"runs/compact/stages/{name}" for name in SHIPPED]
    weights = ["None", *(f"{name}/slice/best.pt" for name in names)]
    trained = list(zip(names, weights, strict=False))
    mean = ("runs/compact", names[2], names[3])
    assert planned(load_config(COMPACT, []), monkeypatch) == [*trained, mean]


def test_a_config_without_stages_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    assert planned(load_config(SMOKE, []), monkeypatch) == [("runs/compact", "None")]


def test_an_override_holds_for_every_stage() -> None:
    config = load_config(COMPACT, ["slice.epochs=1", "data.copies.in_volume=0"])
    stages = [config_of_stage(config, each) for each in config.stages]
    assert {each.slice.epochs for each in stages} == {1}
    assert {each.data.copies.in_volume for each in stages} == {0}
    assert [each.data.seed for each in stages] == [1, 2, 3, 5, 5]


@pytest.mark.parametrize(
    ("stages", "sentence"),
    [
        ("[{slice: {epochs: 1}}]", "needs a unique name"),
        ("[{name: a}, {name: a}]", "'a' needs a unique name"),
        ("[{name: a/b}]", "of letters, digits and hyphens"),
        ("[{name: a, patient: {epochs: 1}}]", r"'a' sets patient\.epochs; it may set model"),
        ("[{name: a, slice: {epoch: 1}}]", "no setting 'epoch'"),
        (
            "[{name: a, slice: {epochs: many}}]",
            r"stage 'a': slice\.epochs is 'many' but must be a whole",
        ),
        ("[{name: a, mean_of: [b]}, {name: b}]", "'a' is a mean of 'b', which is no earlier"),
        (
            "[{name: a, model: {slice_network: {pooling: mean}}}, {name: b, mean_of: [a]}]",
            "'b' is a mean of stages with other model settings",
        ),
        ("[{name: a, model: {slice_network: {pooling: mean}}}]", "the last stage changes model"),
    ],
)
def test_stages_that_do_not_fit_are_named(tmp_path: Path, stages: str, sentence: str) -> None:
    (tmp_path / "own.yaml").write_text(f"preset: compact\nstages: {stages}\n")
    with pytest.raises(UsageError, match=sentence):
        load_config(tmp_path / "own.yaml", [])


@pytest.fixture(scope="module")
def staged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with `config.yaml`, smoke in three stages and their mean, a `cache`, and `whole`."""
    folder = tmp_path_factory.mktemp("stages")
    (folder / "config.yaml").write_text(SMOKE.read_text("utf-8") + STAGES)
    for seed in (1, 2, 3):
        fill_cache(folder / "cache", f"data.seed={seed}")
    train_slice.main(asked(folder, "whole"))
    return folder


def asked(folder: Path, run: str, *more: str) -> list[str]:
    words = ["--config", str(folder / "config.yaml"), "--out", str(folder / run)]
    words += ["--cache", str(folder / "cache"), "--device", "cpu", *more]
    settings = (*SMALL, "slice.pairs=3", "slice.checkpoint_every_steps=1")
    return words + [word for each in settings for word in ("--set", each)]


def assert_the_same_run(folder: Path, run: str) -> None:
    for part in ("stages/first", "stages/second", "stages/third", "."):
        whole, other = (folder / each / part / "slice" for each in ("whole", run))
        a, b = (torch.load(each / BEST, weights_only=True) for each in (whole, other))
        assert all(torch.equal(a[name], b[name]) for name in a)
        logs = [each / LOG for each in (whole, other)] if part != "." else []
        assert len({each.read_text("utf-8") for each in logs}) < 2


class Killed(Exception):
    pass


def test_stages_killed_at_every_second_write_end_as_if_never_killed(
    staged: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, written = Run._write, []

    def killed_after_two(run: Run, state: object, path: Path) -> None:
        write(run, state, path)
        written.append(path)
        if len(written) == 2:
            raise Killed

    monkeypatch.setattr(Run, "_write", killed_after_two)
    kills = 0
    while True:
        try:
            train_slice.main(asked(staged, "cut", "--resume"))
            break
        except Killed:
            kills += 1
            written.clear()
    assert kills > 6
    assert_the_same_run(staged, "cut")


def test_a_process_killed_in_the_second_stage_resumes_there(staged: Path) -> None:
    log = staged / "shot/stages/second/slice" / LOG
    words = asked(staged, "shot", "--resume")
    kill_when(["Training.train_slice", *words], lambda: log.exists() and log.stat().st_size > 0)
    first = staged / "shot/stages/first/slice" / CHECKPOINT
    before = first.stat().st_mtime_ns
    train_slice.main(words)
    assert first.stat().st_mtime_ns == before
    assert_the_same_run(staged, "shot")


def test_the_patient_level_finds_the_mean_and_the_settings_it_works_with(staged: Path) -> None:
    config = load_config(staged / "config.yaml", list(SMALL))
    check_trained(staged / "whole", config, ["slice"])
    pooled = load_config(SMOKE, [*SMALL, "model.slice_network.pooling=mean"])
    with pytest.raises(UsageError, match="pooling"):
        check_trained(staged / "whole", pooled, ["slice"])
    weights = [
        torch.load(staged / "whole" / part / "slice" / BEST, weights_only=True)
        for part in ("stages/second", "stages/third", ".")
    ]
    name = "class_head.weight"
    assert torch.allclose((weights[0][name] + weights[1][name]) / 2, weights[2][name])
    assert not torch.equal(weights[0][name], weights[1][name])
    assert json.loads((staged / "whole/slice" / BEST_FIGURES).read_text("utf-8"))


def test_a_stage_is_not_resumed_on_other_weights_than_it_started_from(
    staged: Path, tmp_path: Path
) -> None:
    best = staged / "whole/stages/first/slice" / BEST
    kept = best.read_bytes()
    state = torch.load(best, weights_only=True)
    torch.save({name: value * 2 for name, value in state.items()}, best)
    with pytest.raises(UsageError, match=r"origin\.initial_weights_sha256="):
        train_slice.main(asked(staged, "whole", "--resume"))
    best.write_bytes(kept)


def test_weights_of_another_chain_are_not_taken_for_the_last_stage(staged: Path) -> None:
    old = staged / "old/slice"
    old.mkdir(parents=True)
    (old / BEST).write_bytes((staged / "whole/slice" / BEST).read_bytes())
    with pytest.raises(UsageError, match=r"stage first is missing\. Name another --out"):
        train_slice.main(asked(staged, "old", "--resume"))
    assert not (staged / "old/stages").exists()
