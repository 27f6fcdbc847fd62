"""What every step of one screening needs."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

from M3LungScreenLib.bundle import Bundle
from M3LungScreenLib.chest import Chest
from M3LungScreenLib.engines.choice import EngineName
from M3LungScreenLib.engines.fallback_engine import GPU_MEMORY_RAN_OUT, lasting_engine
from M3LungScreenLib.engines.interface import Engine
from M3LungScreenLib.errors import Cancelled
from M3LungScreenLib.events import Listener, Notice, Progress
from M3LungScreenLib.settings import PreprocessingSettings

Detail = Literal["full", "preview"]


@dataclass(frozen=True)
class Run:
    """The model, engine and detail of one screening, and how to report progress."""

    bundle: Bundle
    engine: Engine
    detail: Detail
    progress: Listener
    cancelled: Callable[[], bool]

    @property
    def settings(self) -> PreprocessingSettings:
        """The bundle's preprocessing; a preview keeps only the middle window."""
        settings = self.bundle.settings.preprocessing
        if self.detail == "full":
            return settings
        centers = sorted(settings.window_centers_hu)
        return replace(settings, window_centers_hu=(centers[len(centers) // 2],))

    def tell(self, step: str, done: int, total: int) -> None:
        """Report progress; raises Cancelled if the user has stopped the run."""
        tell(self.progress, self.cancelled, step, done, total)

    def neighbour_sigma(self, chest: Chest) -> float:
        """Width, in slices, of the Gaussian that averages neighboring slices."""
        return self.bundle.settings.assessment.neighbour_sigma_mm / chest.volume.spacing_mm[2]


def tell(
    progress: Listener, cancelled: Callable[[], bool], step: str, done: int, total: int
) -> None:
    """Report progress; raises Cancelled if the user has stopped the run."""
    if cancelled():
        raise Cancelled
    progress(Progress(step, done, total))


def choose_engine(bundle: Bundle, device: str, name: EngineName, progress: Listener) -> Engine:
    """As `engines.choice.make_engine`; a Notice tells if the CPU takes over from a GPU."""
    return lasting_engine(bundle, device, name, lambda: progress(Notice(GPU_MEMORY_RAN_OUT)))
