"""What a level of the model tells the training loop."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Protocol

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from M3LungScreenLib.errors import UsageError
from Training.config import ScheduleSettings

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


def in_training(network: nn.Module, frozen_batch_norm: bool = False) -> None:
    """Training mode; what is frozen keeps its statistics, too."""
    network.train()
    for module in network.modules():
        if isinstance(module, _BatchNorm) and (
            frozen_batch_norm or not module.weight.requires_grad
        ):
            module.eval()
