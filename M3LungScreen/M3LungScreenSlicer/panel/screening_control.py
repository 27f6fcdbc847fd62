"""The Screen button: packages first, then a screening, and what the panel shows meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import slicer
from slicer.i18n import translate

from ..installation import DICOM, Plan
from ..scene import volumes
from ..scene.scene_result import SceneResult
from ..screening_session import State, Status
from .devices import DeviceSelector
from .dicom_section import OnEnd
from .model_manager import ModelManager
from .package_section import PackageSection
from .parameters import M3LungScreenParameterNode
from .result_view import ResultView
from .run_section import RunSection, installing_reason
from .screening_queue import ScreeningQueue


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
        self.results = ResultView(ui, parameterNode, self._run.show_message, self)
        self._models = ModelManager(ui, lambda folder: self._set_parameter("model", folder))
        self._devices = DeviceSelector(ui, lambda name: self._set_parameter("device", name))
        self._packages = PackageSection(
            ui, requirements, lambda: self._models.extras, self.install, self._run.show_message
        )
        self._volume: Any = None  # the message below the button is about this CT
        self._after_installation: Callable[[], None] | None = None
        self._queue: ScreeningQueue | None = None
        ui.screenButton.connect("clicked(bool)", self.onScreenButton)
        ui.screenAllButton.connect("clicked(bool)", self.onScreenAllButton)

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
            self._show_reasons()
            self.results.show_volume(self._volume)

    def update_status(self) -> None:
        """Show the logic's status: button, progress and message."""
        self._run.show_status(self._logic.status)

    def reset(self) -> None:
        """The scene is being closed."""
        self._queue, self._run.position = None, ""
        self.update_status()
        self._volume = self._after_installation = None
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
        else:
            volume = self._parameterNode().inputVolume
            self._start_or_install(lambda: self._screen_selected(volume), self._models.extras)

    def onScreenAllButton(self) -> None:
        """Screen every CT of the scene; ask to install packages if some are missing."""
        self._start_or_install(self._screen_all, self._models.extras)

    def with_packages(self, start: Callable[[], None]) -> None:
        """Call `start` once the packages for DICOM objects are there."""
        self._start_or_install(start, (DICOM,))

    def make_dicom(self, result: SceneResult, files: list[Path], pdf: Path, on_end: OnEnd) -> None:
        """Make the DICOM objects of `result`; `on_end` gets a sentence or the folder."""

        def on_status(status: Status) -> None:
            if status.state.busy:
                self._run.show_status(status)
                return
            self._run.show_status(Status())
            if self._parameterNode() is not None:
                self._show_reasons()
            self._run.show_message("", status.details)
            problem = "" if status.state is State.DONE else status.message
            if status.state is State.CANCELLED:
                problem = translate("M3LungScreen", "Cancelled. No DICOM objects were saved.")
            on_end(problem, status.result)

        try:
            self._logic.make_dicom(result, files, pdf, on_status)
        except RuntimeError as busy:
            on_end(str(busy), None)

    def _start_or_install(self, start: Callable[[], None], extras: Sequence[str]) -> None:
        if self._packages.has(extras):
            start()
        else:
            self._after_installation = start
            self._packages.install_missing(extras)

    def _screen_selected(self, volume: Any) -> None:
        """Screen `volume` if it is still selected after an installation."""
        if volume is self._parameterNode().inputVolume and not self._reason_disabled():
            self.results.show(None)
            self._start(volume, self.onStatusChanged)

    def _screen_all(self) -> None:
        found = volumes.screenable(slicer.mrmlScene)
        if not found or self._models.problem():
            return
        self._queue = ScreeningQueue(found, self._start, self.onQueueStatusChanged, self.onQueueEnd)
        self._queue.start_next()

    def _start(self, volume: Any, on_status: Callable[[Status], None]) -> None:
        model = self._models.current
        self._logic.start(
            volume,
            None if model is None else model.folder,
            device=self._devices.current,
            keep_previous=self._saved_parameters().keepPrevious,
            on_status=on_status,
            on_result=self.onResult,
        )

    def _saved_parameters(self) -> M3LungScreenParameterNode:
        """The scene's parameter node, also while the form is not bound to it."""
        wrapper: Any = M3LungScreenParameterNode
        return wrapper(self._logic.getParameterNode())

    def _show_reasons(self) -> None:
        """Why the buttons cannot be clicked, now that nothing is being screened."""
        self._run.show_reason(self._reason_disabled())
        if self._logic.status.state is State.INSTALLING:
            self._run.show_reason_for_all(installing_reason())
        elif not volumes.screenable(slicer.mrmlScene):
            none = translate("M3LungScreen", "There is no CT in the scene. Load a chest CT.")
            self._run.show_reason_for_all(none)
        else:
            self._run.show_reason_for_all(self._models.problem())

    def _reason_disabled(self) -> str:
        """Why Screen cannot be clicked, in one sentence; '' if it can."""
        if self._logic.status.state is State.INSTALLING:
            return installing_reason()
        problem = volumes.problem_with(self._parameterNode().inputVolume)
        return problem or self._models.problem()

    def install(self, plan: Plan) -> None:
        """Install packages; screen afterwards what was asked for."""
        self._logic.install(plan, self.onInstallationStatusChanged)

    def onInstallationStatusChanged(self, status: Status) -> None:
        self._run.show_status(status)
        if status.state is State.INSTALLING:
            return
        self._packages.update()
        if self._parameterNode() is None:
            return
        self._show_reasons()
        start, self._after_installation = self._after_installation, None
        if status.state is State.INSTALLED and not status.replaced and start is not None:
            start()

    def onQueueStatusChanged(self, status: Status) -> None:
        """A status of one of several CTs; the panel goes on showing the selected one."""
        if self._queue is not None:
            self._run.position = self._queue.position
        self._show_status(status)

    def onQueueEnd(self) -> None:
        queue, self._queue = self._queue, None
        if queue is not None:
            self._run.show_summary(queue.summary)
        if self._parameterNode() is not None:
            self._show_reasons()
            self.results.show_volume(self._parameterNode().inputVolume)

    def _show_status(self, status: Status) -> None:
        parameterNode = self._parameterNode()
        self._run.show_status(status)
        if status.hello:
            self._devices.show_devices(status.hello["devices"])
            if parameterNode is not None:
                self._devices.select(parameterNode.device)

    def onStatusChanged(self, status: Status) -> None:
        parameterNode, verdict = self._parameterNode(), self.results.verdict
        self._show_status(status)
        if status.state is State.PROVISIONAL and status.provisional:
            verdict.show_provisional(status.provisional, self._models.unverified)
        elif status.state.busy:
            verdict.show_waiting()
        elif status.state is not State.IDLE and parameterNode is not None:
            self._show_reasons()
            self.results.show_volume(parameterNode.inputVolume)
            if self.results.result is None and status.state is not State.DONE:
                verdict.show_stopped()

    def onResult(self, result: SceneResult) -> None:
        """Show the result, unless another CT was selected meanwhile."""
        parameterNode = self._saved_parameters()
        localization = result.content["settings"]["model"]["localization"]
        parameterNode.locationThreshold = localization["threshold"]
        self.results.add(result, result.volume is parameterNode.inputVolume)
