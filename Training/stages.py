"""Stages of a training: which settings change, and which weights are averaged."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from M3LungScreenLib.settings import with_values

# Stages belong to the slice level.
CHANGEABLE = ("model", "data", "slice")


@dataclass(frozen=True)
class Stage:
    """One stage of the slice level; `changes` are its own settings, by dotted key.

    It starts from the best weights of the stage before. With `mean_of` nothing is trained: the
    stage is the mean of the weights of these earlier stages.
    """

    name: str
    changes: dict[str, Any] = field(default_factory=dict)
    mean_of: tuple[str, ...] = ()


def read_stages(
    listed: Sequence[Mapping[str, Any]], overrides: Mapping[str, Any]
) -> tuple[Stage, ...]:
    """The stages of a config file; `overrides` from --set apply to all of them.

    ValueError for a stage without a unique name, for settings outside CHANGEABLE, and for a mean of
    stages that do not come before it.
    """
    stages: list[Stage] = []
    for values in listed:
        settings = dict(values)
        name, mean_of = str(settings.pop("name", "")), tuple(settings.pop("mean_of", ()))
        changes = {k: v for k, v in flat(settings).items() if k not in overrides}
        stage = Stage(name, changes, mean_of)
        _check(stage, [each.name for each in stages])
        stages.append(stage)
    return tuple(stages)


def _check(stage: Stage, before: Sequence[str]) -> None:
    if not stage.name or stage.name in before or not stage.name.replace("-", "").isalnum():
        raise ValueError(f"stage {stage.name!r} needs a unique name of letters, digits and hyphens")
    if unknown := [key for key in stage.changes if key.split(".")[0] not in CHANGEABLE]:
        raise ValueError(
            f"stage {stage.name!r} sets {unknown[0]}; it may set {', '.join(CHANGEABLE)}"
        )
    if missing := [each for each in stage.mean_of if each not in before]:
        raise ValueError(
            f"stage {stage.name!r} is a mean of {missing[0]!r}, which is no earlier stage"
        )


def config_of_stage(config: Any, stage: Stage) -> Any:
    """The TrainingConfig of one stage."""
    return with_values(replace(config, stages=()), stage.changes)


def flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested settings with dotted keys."""
    found: dict[str, Any] = {}
    for name, value in values.items():
        inner = isinstance(value, Mapping)
        found |= flat(value, f"{prefix}{name}.") if inner else {f"{prefix}{name}": value}
    return found
