"""The loop of every level, on Lightning Fabric: one process or many, killed and gone on with."""

import importlib.util
import json
import math
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol, Self, cast

import torch
from lightning_fabric import Fabric
from lightning_fabric.loggers import Logger, TensorBoardLogger
from lightning_fabric.strategies import DDPStrategy
from lightning_fabric.wrappers import _FabricModule
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from tqdm import tqdm

from M3LungScreenLib.errors import UsageError
from Training.atomic_files import write_text
from Training.config import Precision, ScheduleSettings
from Training.learning.optimisation import check_same, choose_device, make_optimiser, make_schedule

CHECKPOINT = "checkpoint.pt"
BEST, BEST_FIGURES = "best.pt", "best.json"
LOG = "log.jsonl"
PRECISIONS: dict[Precision, Literal["bf16-mixed", "32-true"]] = {
    "bfloat16": "bf16-mixed",
    "float32": "32-true",
}
Losses = dict[str, Tensor]


@dataclass(frozen=True)
class Share:
    """Which part of each batch a process takes: every `count`-th, from `rank` on."""

    rank: int = 0
    count: int = 1

    def of(self, items: Any) -> Any:
        return items[self.rank :: self.count]

    def check(self, **sizes: int) -> None:
        """UsageError where a part of the batch cannot be shared out evenly."""
        for name, size in sizes.items():
            if size % self.count:
                raise UsageError(
                    "processes",
                    f"{name}={size} cannot be shared evenly by {self.count} processes. "
                    f"Choose a multiple of {self.count}.",
                )


class Level(Protocol):
    """What a level tells the loop. All is a function of seed, epoch and place: nothing is kept."""

    groups: list[tuple[nn.Module, float]]
    steps_per_epoch: int
    checkpoint_every_steps: int

    @property
    def schedule(self) -> ScheduleSettings:
        """Epochs, rates and what goes with them."""
        ...

    def batches(self, epoch: int, first: int, share: Share) -> Iterable[Any]:
        """The share of each global batch of an epoch, from the batch `first` on."""
        ...

    def parts(self, batch: Any) -> list[tuple[Any, float]]:
        """The batch in micro-batches, each with its part of the batch's mean loss."""
        ...

    def prepare(self) -> None:
        """Bring the network into the state in which it trains."""
        ...

    def losses(self, network: nn.Module, part: Any) -> Losses:
        """Terms, all means over images or patients, with their sum as 'loss'."""
        ...

    def validate(self) -> tuple[float, dict[str, float]]:
        """The score to choose the best epoch by, and all metrics."""
        ...


def make_fabric(device: str, precision: Precision = "float32", logs: Path | None = None) -> Fabric:
    """One process, or as many as torchrun started; TensorBoard's events under `logs`."""
    whole, local = (int(os.environ.get(name, 1)) for name in ("WORLD_SIZE", "LOCAL_WORLD_SIZE"))
    chosen = choose_device(device).type
    # Batches are of one size: the fastest convolution is worth finding out.
    torch.backends.cudnn.benchmark = chosen == "cuda"
    fabric = Fabric(
        accelerator="gpu" if chosen == "cuda" else chosen,
        devices=local,
        num_nodes=whole // local,
        # A head may lie outside the loss: the map's without truth masks.
        strategy=DDPStrategy(find_unused_parameters=True) if whole > 1 else "auto",
        precision=PRECISIONS[precision],
        loggers=_loggers(logs),
    )
    fabric.launch()
    return fabric


def _loggers(logs: Path | None) -> list[Logger]:
    if logs is None:
        return []
    if importlib.util.find_spec("tensorboard") is None:
        print("TensorBoard is not installed: the losses go to log.jsonl alone.")
        return []
    return [TensorBoardLogger(logs, name="tensorboard", version="")]


@dataclass
class Run:
    """A network under training at one step; `folder` keeps what a resume needs.

    `kept` are the modules whose weights of the best epoch are kept, by their folder.
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
        """Optimiser and schedule as the level asks for; gradients are averaged over processes."""
        chosen = level.schedule
        optimiser = make_optimiser(level.groups, chosen.optimiser, chosen.weight_decay)
        schedule = make_schedule(optimiser, chosen, level.steps_per_epoch)
        if fabric.world_size > 1 and fabric.device.type == "cuda":
            network = nn.SyncBatchNorm.convert_sync_batchnorm(network)
        wrapped, prepared = fabric.setup(network, optimiser)
        kept = kept or {folder: network}
        return cls(folder, fabric, network, wrapped, prepared, schedule, config, kept)

    def take_step(self, level: Level, batch: Any) -> dict[str, float]:
        """One optimisation step on this process's share of a batch; losses of all processes."""
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
        """Write the checkpoint whole or not at all."""
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
        """Go on from the checkpoint, where there is one; UsageError where its settings differ."""
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
        """Keep the weights of the best validation score, with its metrics beside them."""
        if score <= self.best:
            return
        self.best, self.metrics = score, metrics
        for folder, module in self.kept.items():
            self._write(module.state_dict(), folder / BEST)
            if self.fabric.is_global_zero:
                write_text(folder / BEST_FIGURES, json.dumps(metrics, indent=2) + "\n")

    def log(self, **values: float) -> None:
        """One line in the run's log, and the same for TensorBoard."""
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
        beside = path.with_suffix(".part")
        torch.save(state, beside)
        os.replace(beside, path)

    def check_new(self) -> None:
        """UsageError where the weights of a run would be written over that is not gone on with."""
        if (self.folder / CHECKPOINT).exists():
            raise UsageError(
                "out",
                f"{self.folder} holds a run. Go on with it by --resume, name another --out, or "
                "delete the folder.",
            )
        # With a log, weights without a checkpoint are its own: it was killed in between.
        names = (CHECKPOINT,) if (self.folder / LOG).exists() else (CHECKPOINT, BEST)
        held = [each for each in self.kept for name in names if (each / name).exists()]
        if held:
            raise UsageError(
                "out",
                f"{held[0]} holds the weights of another run. Name another --out, or delete the "
                "folder.",
            )

    def forget_later_lines(self) -> None:
        """What the log has of later steps will be logged again."""
        path = self.folder / LOG
        if not self.fabric.is_global_zero or not path.exists():
            return
        lines = [each for each in path.read_text("utf-8").splitlines() if each.endswith("}")]
        kept = [each for each in lines if json.loads(each)["step"] <= self.step]
        write_text(path, "".join(f"{each}\n" for each in kept))


def fit(run: Run, level: Level, resume: bool) -> Run:
    """Train to the end; the weights of the best epoch lie in best.pt.

    UsageError where another run's checkpoint or weights lie there and are not to be gone on with.
    """
    if not (resume and run.resume()):
        run.check_new()
    run.forget_later_lines()
    steps, fabric = level.steps_per_epoch, run.fabric
    share = Share(fabric.global_rank, fabric.world_size)
    quiet = not fabric.is_global_zero
    for epoch in range(run.step // steps, level.schedule.epochs):
        first = run.step - epoch * steps
        progress = tqdm(
            level.batches(epoch, first, share),
            desc=f"epoch {epoch + 1} of {level.schedule.epochs}",
            initial=first,
            total=steps,
            mininterval=10,
            disable=quiet,
        )
        for batch in progress:
            run.log(**run.take_step(level, batch))
            # A checkpoint at an epoch's end would have a resume skip its validation.
            if run.step % level.checkpoint_every_steps == 0 and run.step % steps:
                run.save()
        # The others wait: each would find the same.
        score, metrics = level.validate() if fabric.is_global_zero else (0.0, {})
        score, metrics = fabric.broadcast((score, metrics))
        run.log(**metrics)
        run.keep_if_best(score, metrics)
        run.save()
    return run


def in_training(network: nn.Module, frozen_batch_norm: bool = False) -> None:
    """Training mode; what is frozen keeps its statistics, too."""
    network.train()
    for module in network.modules():
        if isinstance(module, _BatchNorm) and (
            frozen_batch_norm or not module.weight.requires_grad
        ):
            module.eval()
