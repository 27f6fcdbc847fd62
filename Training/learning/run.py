"""A network in training: steps, checkpoints, best weights."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self, cast

import torch
from lightning_fabric import Fabric
from lightning_fabric.wrappers import _FabricModule
from torch import Tensor, nn

from M3LungScreenLib.errors import UsageError
from Training.atomic_files import save_tensors, write_text
from Training.learning.level import Level, Losses
from Training.learning.optimisation import make_optimiser, make_schedule
from Training.stages import flat

CHECKPOINT = "checkpoint.pt"
BEST, BEST_FIGURES = "best.pt", "best.json"
LOG = "log.jsonl"


@dataclass
class Run:
    """A network in training; `folder` contains what a resume needs.

    `kept` maps folders to the modules whose weights are saved there in the best epoch.
    """

    folder: Path
    fabric: Fabric
    network: nn.Module
    wrapped: _FabricModule
    optimiser: Any
    schedule: torch.optim.lr_scheduler.LRScheduler
    config: dict[str, Any]
    kept: Mapping[Path, nn.Module]
    step: int = 0
    best: float = -math.inf
    metrics: dict[str, float] = field(default_factory=dict)

    @classmethod
    def start(
        cls,
        fabric: Fabric,
        level: Level,
        network: nn.Module,
        folder: Path,
        config: dict[str, Any],
        kept: Mapping[Path, nn.Module] | None = None,
    ) -> Self:
        """Create optimiser and schedule; gradients are averaged over processes."""
        chosen = level.schedule
        optimiser = make_optimiser(level.groups, chosen.optimiser, chosen.weight_decay)
        schedule = make_schedule(optimiser, chosen, level.steps_per_epoch)
        if fabric.world_size > 1 and fabric.device.type == "cuda":
            network = nn.SyncBatchNorm.convert_sync_batchnorm(network)
        wrapped, prepared = fabric.setup(network, optimiser)
        kept = kept or {folder: network}
        return cls(folder, fabric, network, wrapped, prepared, schedule, config, kept)

    def take_step(self, level: Level, batch: Any) -> dict[str, float]:
        """One optimisation step on this process's share; losses averaged over processes."""
        level.prepare()
        parts = level.parts(batch)
        total: dict[str, Tensor] = {}
        for place, (part, share) in enumerate(parts, start=1):
            with self.fabric.no_backward_sync(self.wrapped, enabled=place < len(parts)):
                losses = level.losses(self.wrapped, part)
                self.fabric.backward(losses["loss"] * share)
            for name, value in losses.items():
                total[name] = share * value.detach() + total.get(name, 0.0)
        self.fabric.clip_gradients(
            self.wrapped, self.optimiser, max_norm=level.schedule.largest_gradient_norm
        )
        self.optimiser.step()
        self.optimiser.zero_grad()
        self.schedule.step()
        self.step += 1
        reduced = cast(Losses, self.fabric.all_reduce(total, reduce_op="mean"))
        return {name: float(value) for name, value in reduced.items()}

    def save(self) -> None:
        """Write the checkpoint, whole or not at all."""
        state = {
            "network": self.network.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "schedule": self.schedule.state_dict(),
            "config": self.config,
            "step": self.step,
            "best": self.best,
            "metrics": self.metrics,
        }
        self._write(state, self.folder / CHECKPOINT)

    def resume(self) -> bool:
        """Load the checkpoint, if there is one; UsageError if it has other settings."""
        path = self.folder / CHECKPOINT
        if not path.exists():
            return False
        state = torch.load(path, map_location="cpu", weights_only=True)
        check_same(state["config"], self.config, path)
        self.network.load_state_dict(state["network"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.schedule.load_state_dict(state["schedule"])
        self.step, self.best, self.metrics = state["step"], state["best"], state["metrics"]
        return True

    def keep_if_best(self, score: float, metrics: dict[str, float]) -> None:
        """Save the weights and metrics if this is the best validation score so far."""
        if score <= self.best:
            return
        self.best, self.metrics = score, metrics
        for folder, module in self.kept.items():
            self._write(module.state_dict(), folder / BEST)
            if self.fabric.is_global_zero:
                write_text(folder / BEST_FIGURES, json.dumps(metrics, indent=2) + "\n")

    def log(self, **values: float) -> None:
        """Append one line to the log, and the same to TensorBoard."""
        if not self.fabric.is_global_zero:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        line = {"step": self.step, **{name: round(value, 7) for name, value in values.items()}}
        with (self.folder / LOG).open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
        self.fabric.log_dict(values, step=self.step)

    def _write(self, state: Any, path: Path) -> None:
        if not self.fabric.is_global_zero:
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        save_tensors(state, path)

    def check_new(self) -> None:
        """UsageError if this would overwrite the weights of another run."""
        if (self.folder / CHECKPOINT).exists():
            raise UsageError(
                "out",
                f"{self.folder} already holds a run. Continue it with --resume, name another "
                "--out, or delete the folder.",
            )
        # Weights without a checkpoint but with a log are this run's: it was killed in between.
        names = (CHECKPOINT,) if (self.folder / LOG).exists() else (CHECKPOINT, BEST)
        held = [each for each in self.kept for name in names if (each / name).exists()]
        if held:
            raise UsageError(
                "out",
                f"{held[0]} holds the weights of another run. Name another --out, or delete the "
                "folder.",
            )

    def forget_later_lines(self) -> None:
        """Remove log lines of steps after the checkpoint; they are logged again."""
        path = self.folder / LOG
        if not self.fabric.is_global_zero or not path.exists():
            return
        lines = [each for each in path.read_text("utf-8").splitlines() if each.endswith("}")]
        kept = [each for each in lines if json.loads(each)["step"] <= self.step]
        write_text(path, "".join(f"{each}\n" for each in kept))


def check_same(before: dict[str, Any], now: dict[str, Any], path: Path) -> None:
    """UsageError if a checkpoint was trained with other settings or on other data (`origin`)."""
    then, today = flat(before), flat(now)
    for name in [*today, *flat({"origin": before.get("origin", {})})]:
        old, value = then.get(name), today.get(name)
        if old != value:
            raise UsageError(
                "config",
                f"The checkpoint {path} was trained with {name}={old}, but this run has {value}. "
                "Resume with the same settings, or name another --out.",
            )
