"""Optimisers and learning-rate schedules."""

from collections.abc import Sequence

import torch
from torch import nn

from Training.config import Optimiser, ScheduleSettings


def make_optimiser(
    groups: Sequence[tuple[nn.Module, float]], name: Optimiser, weight_decay: float
) -> torch.optim.Optimizer:
    """'adamw', or 'sgd' with momentum 0.9, for modules with their learning rates."""
    parameters = [{"params": list(each.parameters()), "lr": rate} for each, rate in groups]
    if name == "sgd":
        return torch.optim.SGD(parameters, momentum=0.9, weight_decay=weight_decay)
    return torch.optim.AdamW(parameters, weight_decay=weight_decay)


def make_schedule(
    optimiser: torch.optim.Optimizer, chosen: ScheduleSettings, steps_per_epoch: int
) -> torch.optim.lr_scheduler.LRScheduler:
    """A schedule stepped once per batch: 'one_cycle', or 'steps' of ×0.1 as in the paper (IV-A)."""
    steps = steps_per_epoch * chosen.epochs
    if chosen.schedule == "steps":
        every = steps_per_epoch * chosen.decay_every_epochs
        return torch.optim.lr_scheduler.StepLR(optimiser, every, gamma=0.1)
    rates = [group["lr"] for group in optimiser.param_groups]
    return torch.optim.lr_scheduler.OneCycleLR(
        optimiser, rates, total_steps=max(steps, 20) + 1, pct_start=0.1
    )
