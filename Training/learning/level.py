"""What the training loop needs to know about a level of the model."""

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
    """The part of each batch for one process: every `count`-th sample, from `rank` on."""

    rank: int = 0
    count: int = 1

    def of(self, items: Any) -> Any:
        return items[self.rank :: self.count]

    def check(self, **sizes: int) -> None:
        """UsageError if a batch cannot be divided evenly."""
        for name, size in sizes.items():
            if size % self.count:
                raise UsageError(
                    "processes",
                    f"{name}={size} cannot be divided evenly among {self.count} processes. "
                    f"Choose a multiple of {self.count}.",
                )


class Level(Protocol):
    """A level as the training loop sees it: a function of seed, epoch and position."""

    groups: list[tuple[nn.Module, float]]
    steps_per_epoch: int
    checkpoint_every_steps: int

    @property
    def schedule(self) -> ScheduleSettings:
        """Epochs, learning rate and schedule."""
        ...

    def batches(self, epoch: int, first: int, share: Share) -> Iterable[Any]:
        """This process's share of each global batch of an epoch, starting at batch `first`."""
        ...

    def parts(self, batch: Any) -> list[tuple[Any, float]]:
        """The batch as micro-batches, each with its weight in the mean loss."""
        ...

    def prepare(self) -> None:
        """Put the network into training mode."""
        ...

    def losses(self, network: nn.Module, part: Any) -> Losses:
        """Loss terms, each a mean over images or patients, and their sum as 'loss'."""
        ...

    def validate(self) -> tuple[float, dict[str, float]]:
        """The score that selects the best epoch, and all metrics."""
        ...


def in_training(network: nn.Module, frozen_batch_norm: bool = False) -> None:
    """Training mode; frozen layers keep their batch-normalisation statistics."""
    network.train()
    for module in network.modules():
        if isinstance(module, _BatchNorm) and (
            frozen_batch_norm or not module.weight.requires_grad
        ):
            module.eval()
