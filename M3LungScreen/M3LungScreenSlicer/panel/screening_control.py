"""The Screen button: packages first, then a screening, and what the panel shows meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..installation import Plan
from ..scene import volumes
from ..scene.scene_result import SceneResult
from ..screening_session import State, Status
from .devices import DeviceSelector
from .model_manager import ModelManager
from .package_section import PackageSection
from .parameters import M3LungScreenParameterNode
from .result_view import ResultView
from .run_section import RunSection, installing_reason


class ScreeningControl:
    """Starts and cancels screenings with the selected CT, model and device.

    `parameterNode()` is the node bound to the form, None while the module is not open: a
    screening and an installation go on meanwhile. `requirements` is the path of
    requirements.txt.
    """

    def __init__(
        self, ui: Any, logic: Any, parameterNode: Callable[[], Any], requirements: Path
    ) -> None:
        self._logic = logic
        self._parameterNode = parameterNode
        self._run = RunSection(ui)
        self.results = ResultView(ui, parameterNode, self._run.show_message)
        self._models = ModelManager(ui, lambda folder: self._set_parameter("model", folder))
        self._devices = DeviceSelector(ui, lambda name: self._set_parameter("device", name))
        self._packages = PackageSection(
            ui, requirements, lambda: self._models.extras, self.install, self._run.show_message
        )
        self._volume: Any = None  # the message below the button is about this CT
        self._volume_after_installation: Any = None
        ui.screenButton.connect("clicked(bool)", self.onScreenButton)

    def _set_parameter(self, name: str, value: str) -> None:
        if self._parameterNode() is not None:
            setattr(self._parameterNode(), name, value)

    def update(self) -> None:
        """Bring the panel up to date with the parameter node, which must be bound."""
        parameterNode, busy = self._parameterNode(), self._logic.status.state.busy
        if parameterNode.inputVolume is not self._volume and not busy:
            self._run.show_message("")
        self._volume = parameterNode.inputVolume
        self.results.display.show(self._volume)
        self._models.select(parameterNode.model)
        self._devices.select(parameterNode.device)
        if not busy:
            self._run.show_reason(self._reason_disabled())
            self.results.show_volume(self._volume)

    def update_status(self) -> None:
        """Show the logic's status: button, progress and message."""
        self._run.show_status(self._logic.status)

    def reset(self) -> None:
        """The scene is being closed."""
        self.update_status()
        self._volume = self._volume_after_installation = None
        self.results.reset()

    def warm_up(self) -> None:
        """Start the child process before the first click, if nothing has to be installed."""
        if not self._logic.status.state.busy and self._packages.complete:
            self._logic.warm_up(self.onStatusChanged)

    def onScreenButton(self) -> None:
        """Start or cancel a screening; ask to install packages if some are missing."""
        state = self._logic.status.state
        if state.busy:
            self._logic.cancel()
        elif state is State.INSTALLING:
            self.update_status()
        elif self._packages.complete:
            self._start()
        else:
            self._volume_after_installation = self._parameterNode().inputVolume
            self._packages.install_missing()

    def _start(self) -> None:
        parameterNode, model = self._parameterNode(), self._models.current
        self.results.show(None)
        self._logic.start(
            parameterNode.inputVolume,
            None if model is None else model.folder,
            device=self._devices.current,
            keep_previous=parameterNode.keepPrevious,
            on_status=self.onStatusChanged,
            on_result=self.onResult,
        )

    def _reason_disabled(self) -> str:
        """Why Screen cannot be clicked, in one sentence; '' if it can."""
        if self._logic.status.state is State.INSTALLING:
            return installing_reason()
        problem = volumes.problem_with(self._parameterNode().inputVolume)
        return problem or self._models.problem()

    def install(self, plan: Plan) -> None:
        """Install packages; screen the CT afterwards if Screen was clicked for it."""
        self._logic.install(plan, self.onInstallationStatusChanged)

    def onInstallationStatusChanged(self, status: Status) -> None:
        self._run.show_status(status)
        if status.state is State.INSTALLING:
            return
        self._packages.update()
        if self._parameterNode() is None:
            return
        self._run.show_reason(self._reason_disabled())
        volume, self._volume_after_installation = self._volume_after_installation, None
        if status.state is not State.INSTALLED or status.replaced or volume is None:
            return
        if volume is self._parameterNode().inputVolume and not self._reason_disabled():
            self._start()

    def onStatusChanged(self, status: Status) -> None:
        parameterNode, verdict = self._parameterNode(), self.results.verdict
        self._run.show_status(status)
        if status.hello:
            self._devices.show_devices(status.hello["devices"])
            if parameterNode is not None:
                self._devices.select(parameterNode.device)
        if status.state is State.PROVISIONAL and status.provisional:
            verdict.show_provisional(status.provisional, self._models.unverified)
        elif status.state.busy:
            verdict.show_waiting()
        elif status.state is not State.IDLE and parameterNode is not None:
            self._run.show_reason(self._reason_disabled())
            self.results.show_volume(parameterNode.inputVolume)
            if self.results.result is None and status.state is not State.DONE:
                verdict.show_stopped()

    def onResult(self, result: SceneResult) -> None:
        """Show the result, unless another CT was selected meanwhile."""
        # The scene's parameter node, also while the form is not bound to it.
        wrapper: Any = M3LungScreenParameterNode
        parameterNode = wrapper(self._logic.getParameterNode())
        localization = result.content["settings"]["model"]["localization"]
        parameterNode.locationThreshold = localization["threshold"]
        self.results.add(result, result.volume is parameterNode.inputVolume)
