"""A logic that screens nothing: it does what a test tells it."""

from pathlib import Path
from typing import Any

from M3LungScreenSlicer.scene.frames import frame_of
from M3LungScreenSlicer.scene.results import add_result
from M3LungScreenSlicer.screening_session import State, Status
from slicer.ScriptedLoadableModule import ScriptedLoadableModuleLogic

PROVISIONAL = {
    "predicted": "covid19",
    "verdict": "covid19",
    "probabilities": {"healthy": 0.07, "covid19": 0.81, "h1n1": 0.08, "cap": 0.04},
    "slices_screened": 12,
}


class M3LungScreenLogic(ScriptedLoadableModuleLogic):
    """ScreeningLogic's interface; `calls` are what the widget asked for."""

    def __init__(self, scene: Any) -> None:
        super().__init__()
        self.scene = scene
        self.status = Status()
        self.calls: list[tuple[Any, ...]] = []
        self._volume: Any = None
        self._options: dict[str, Any] = {}

    def start(
        self,
        volume: Any,
        model: Path | None = None,
        *,
        device: str = "auto",
        detail: str = "full",
        keep_previous: bool = False,
        on_status: Any,
        on_result: Any,
    ) -> None:
        self.calls.append(("start", volume, model, device))
        self._volume, self._on_status, self._on_result = volume, on_status, on_result
        self._options = {"frame": frame_of(volume), "keep_previous": keep_previous}
        self.set_status(state=State.STARTING)

    def warm_up(self, on_status: Any) -> None:
        self.calls.append(("warm_up",))
        self._on_status = on_status

    def cancel(self) -> None:
        self.calls.append(("cancel",))
        self.set_status(
            state=State.CANCELLED, message="The scene was not changed.", kind="cancelled"
        )

    def install(self, plan: Any, on_status: Any) -> None:
        self.calls.append(("install", plan))
        self._on_status = on_status
        self.set_status(state=State.INSTALLING)

    def stop_idle_child(self) -> None:
        self.calls.append(("stop_idle_child",))

    def stop_installation(self) -> None:
        self.calls.append(("stop_installation",))

    def close(self) -> None:
        self.calls.append(("close",))
        self.status = Status()

    def set_status(self, **status: Any) -> None:
        """Let the widget hear a status."""
        self.status = Status(**status)
        self._on_status(self.status)

    def run_for_a_while(self) -> None:
        """Half way through the slices."""
        self.set_status(state=State.RUNNING, step="slice_network", fraction=0.42, seconds_left=24.0)

    def give_provisional(self) -> None:
        """A first verdict while running."""
        self.set_status(
            state=State.PROVISIONAL,
            step="slice_network",
            fraction=0.55,
            seconds_left=18.0,
            provisional=PROVISIONAL,
        )

    def finish(self, folder: Path) -> None:
        """The result of a folder that the worker might have written."""
        self._on_result(add_result(self.scene, self._volume, folder, **self._options))
        self.set_status(state=State.DONE)
