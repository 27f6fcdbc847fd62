"""Settings of a training run: frozen, checked when created, read from YAML and `--set`."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml

from M3LungScreenLib.allowed_values import Range
from M3LungScreenLib.errors import UsageError
from M3LungScreenLib.settings import PRESETS, ModelSettings, Share, from_dict, with_values
from Training.stages import Stage, config_of_stage, flat, read_stages

Number = Annotated[int, Range(0, 1_000_000)]  # of things; some may be none
AtLeastOne = Annotated[int, Range(1, 1_000_000)]
Rate = Annotated[float, Range(0, 1000)]
Seed = Annotated[int, Range(0, 2**31 - 1)]
Optimiser = Literal["adamw", "sgd"]
Precision = Literal["bfloat16", "float32"]


@dataclass(frozen=True)
class Copies:
    """Simulated patients of each disease per real volume, and per single real slice."""

    in_volume: Number = 36
    in_slice: Number = 6


@dataclass(frozen=True)
class DataSettings:
    """Simulated patients of each disease, and lesions simulated in real CT ("backgrounds").

    Training, validation and test patients have separate blocks of seeds. `seed` changes the
    validation patients, too: compare only runs with the same seed.
    """

    seed: Seed = 1
    simulated_per_class: Number = 40
    copies: Copies = Copies()
    validation_simulated_per_class: Number = 6
    validation_copies: Copies = Copies(8, 0)
    validation_backgrounds: tuple[str, ...] = ("crlm-1006", "lidc-0003")
    # Reserved for the patient level: in chests it was trained on, the slice level makes too few
    # mistakes for the patient level to learn from. Without these, both levels use all volumes.
    patient_backgrounds: tuple[str, ...] = (
        "pyradiomics-lung1",
        "pyradiomics-lung2",
        "totalsegmentator-aorta",
    )
    slices_per_patient: AtLeastOne = 10
    healthy_slices_per_patient: Number = 4
    smallest_lesion_share: Share = 0.0015
    # Harmless findings (simulation.variants) to leave out of training chests, for ablations.
    left_out_findings: tuple[str, ...] = ()


@dataclass(frozen=True)
class ScheduleSettings:
    """'one_cycle' warms up and decays to zero; 'steps' is ×0.1 every `decay_every_epochs`."""

    optimiser: Optimiser = "adamw"
    learning_rate: Rate = 1e-3
    weight_decay: Rate = 1e-4
    epochs: AtLeastOne = 5
    schedule: Literal["one_cycle", "steps"] = "one_cycle"
    decay_every_epochs: AtLeastOne = 40
    largest_gradient_norm: Rate = 5.0


@dataclass(frozen=True)
class SliceSettings(ScheduleSettings):
    """The slice level. A batch has `pairs` slices with a lesion and the same slices without it.

    `map_loss_weight` weighs the location map's loss on truth masks; 0 turns it off.
    """

    pairs: AtLeastOne = 10
    # Further healthy slices in each batch.
    healthy: Number = 4
    # ImageNet's first stages work on CT unchanged; frozen, they halve the time of a step.
    frozen_stages: Number = 3
    # The heads start from random weights, the backbone from ImageNet's.
    head_learning_rate_factor: Rate = 10.0
    map_loss_weight: Rate = 1.0
    augmentation: Literal["full", "flips"] = "full"
    # 'bfloat16' halves the time on hardware that supports it; weights stay float32.
    precision: Precision = "bfloat16"
    checkpoint_every_steps: AtLeastOne = 50
    # Keep the initial batch-normalisation statistics: then micro-batches and several processes
    # give the gradient of the whole batch.
    frozen_batch_norm: bool = False
    # Images per micro-batch, with gradients accumulated; 0 is the whole batch at once.
    micro_batch: Number = 0
    # Data loader processes.
    workers: Number = 0


@dataclass(frozen=True)
class PatientSettings(ScheduleSettings):
    """The patient level, trained on patients that the slice level has not seen."""

    learning_rate: Rate = 3e-4
    weight_decay: Rate = 1e-2
    epochs: AtLeastOne = 60
    largest_gradient_norm: Rate = 1.0
    batch: AtLeastOne = 8
    # Share of the features that is dropped from each training patient.
    feature_dropout: Share = 0.0
    simulated_per_class: Number = 9
    copies: Copies = Copies(5, 0)
    validation_simulated_per_class: Number = 5
    validation_copies: Copies = Copies(4, 0)
    largest_slice_count: AtLeastOne = 24


@dataclass(frozen=True)
class JointSettings(ScheduleSettings):
    """Both networks end to end. A batch has `patients` of `slices` each, and slice-level samples.

    The slice level's own losses on these, weighted by `slice_loss_weight`, preserve its location
    maps. `pairs` and `healthy` are as in SliceSettings.
    """

    learning_rate: Rate = 1e-5
    epochs: AtLeastOne = 2
    patients: AtLeastOne = 2
    slices: AtLeastOne = 16
    pairs: AtLeastOne = 4
    healthy: Number = 2
    slice_loss_weight: Rate = 0.5
    precision: Precision = "bfloat16"
    # Recompute features in the backward pass: half again as slow, a tenth of the memory.
    activation_checkpointing: bool = True
    checkpoint_every_steps: AtLeastOne = 20


@dataclass(frozen=True)
class TrainingConfig:
    """One run: its model, its data and how each level is trained.

    `stages` are trained one after the other; without any the slice level is trained once.
    """

    name: str = "compact"
    seed: Seed = 1
    model: ModelSettings = field(default_factory=lambda: PRESETS["compact"])
    data: DataSettings = field(default_factory=DataSettings)
    slice: SliceSettings = field(default_factory=SliceSettings)
    patient: PatientSettings = field(default_factory=PatientSettings)
    joint: JointSettings = field(default_factory=JointSettings)
    stages: tuple[Stage, ...] = ()


def load_config(path: Path, overrides: list[str]) -> TrainingConfig:
    """The YAML file at `path` with 'key=value' overrides (dotted keys, YAML values).

    `preset: NAME` selects the model settings, `model:` changes some of them. UsageError names
    the setting that is unknown or invalid.
    """
    try:
        values: dict[str, Any] = yaml.safe_load(path.read_text("utf-8")) or {}
        preset = values.pop("preset", "compact")
        of_model, stages = flat(values.pop("model", {})), values.pop("stages", [])
        config = from_dict(TrainingConfig, {"model": PRESETS[preset], **values})
        config = replace(config, model=with_values(config.model, of_model))
        changed = _parsed(overrides)
        config = with_values(config, changed)
        config = replace(config, stages=read_stages(stages, changed))
        _check_stages(config)
        return config
    except OSError as wrong:
        raise UsageError("config", f"The config {path} cannot be read: {wrong.strerror}.") from None
    except KeyError as wrong:
        raise UsageError(
            "config", f"There is no preset {wrong}. Available: {', '.join(PRESETS)}."
        ) from None
    except (ValueError, TypeError, yaml.YAMLError) as wrong:
        raise UsageError("config", f"The config {path} is invalid: {wrong}.") from None


def _check_stages(config: TrainingConfig) -> None:
    """ValueError for a setting that does not fit, or a mean of networks that differ."""
    found: dict[str, TrainingConfig] = {}
    for stage in config.stages:
        try:
            found[stage.name] = config_of_stage(config, stage)
        except ValueError as wrong:
            raise ValueError(f"stage {stage.name!r}: {wrong}") from None
        if any(found[each].model != found[stage.name].model for each in stage.mean_of):
            raise ValueError(f"stage {stage.name!r} is a mean of stages with other model settings")
    if config.stages and found[config.stages[-1].name].model != config.model:
        raise ValueError("the last stage changes model settings, which the patient level needs")


def _parsed(overrides: list[str]) -> dict[str, Any]:
    values = {}
    for each in overrides:
        key, equals, value = each.partition("=")
        if not equals:
            raise ValueError(f"--set {each} has no '='. Write --set key=value")
        values[key.strip()] = yaml.safe_load(value)
    return values
