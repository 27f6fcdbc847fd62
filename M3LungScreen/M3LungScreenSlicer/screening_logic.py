"""The module's logic on any scene and any child process: from a volume node to a result."""

from __future__ import annotations

import shutil
import tempfile
import weakref
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from slicer.i18n import translate

from .child_process import ChildProcess, worker_process
from .installation import InstallationRefused, Plan, missing_packages
from .installer import INSTALLER, Installer, Outcome
from .library import MODULE_FOLDER, library_root
from .models import extras_of
from .scene.results import add_result, export_result
from .scene.scene_result import SceneResult
from .scene.volumes import (
    ExportedVolume,
    VolumeRefused,
    export_volume,
    grid_of,
    problem_with,
    screenable,
)
from .screening_session import DicomRequest, Request, ScreeningSession, State, Status

OnStatus = Callable[[Status], None]
OnResult = Callable[[SceneResult], None]
AddResult = Callable[[Path], SceneResult]
SHIPPED_MODEL = Path("Resources") / "Models" / "compact"
REQUIREMENTS = MODULE_FOLDER / "Resources" / "requirements.txt"
WAIT_SECONDS = 1.0


class VolumeRemoved(Exception):
    """The CT was removed during the screening; the message says so."""


class ScreeningFailed(RuntimeError):
    """A run without a result; the message is that of its status."""


class ScreeningLogic:
    """Screens volumes of `scene`; `make_child` makes the process, by default Qt's.

    Both are arguments so that tests give another, as is `installer`. `folder` is where
    temporary files go. `status.state` is idle, or the state of a screening or
    an installation.
    """

    def __init__(
        self,
        scene: Any,
        make_child: Callable[[], ChildProcess] | None = None,
        folder: Path | str | None = None,
        installer: Installer = INSTALLER,
    ) -> None:
        self.scene = scene
        self._session = ScreeningSession(make_child or partial(worker_process, library_root()))
        self._installer = installer
        self._parent_folder = folder
        self._temporary_folder: Path | None = None
        self._runs = 0
        self._status = Status()

    @property
    def status(self) -> Status:
        """The state of the screening or installation."""
        if self._installer.running:  # begun here or by the sample data
            return Status(State.INSTALLING, message=self._installer.line)
        return self._status

    def start(
        self,
        volume: Any,
        model: Path | str | None = None,
        *,
        device: str = "auto",
        detail: str = "full",
        keep_previous: bool = False,
        on_status: OnStatus = lambda status: None,
        on_result: OnResult = lambda result: None,
    ) -> None:
        """Screen without waiting (the widget's way); needs an event loop.

        Of a sequence the frame shown now is screened. With `keep_previous` the result comes
        beside an earlier one of the same volume, not in its place.

        `on_status` gets every change, also the last one; on success `on_result` gets
        the nodes first, then `on_status` the state DONE. A volume that cannot be
        screened ends in REFUSED at once. RuntimeError while a run or an installation
        is going on.
        """
        self._check_free()
        try:
            request, exported = self._request(volume, model, device, detail)
        except VolumeRefused as refusal:
            self._set_status(Status(State.REFUSED, message=str(refusal), kind="volume"), on_status)
            return
        add = partial(self._add_result, volume, exported, keep_previous)

        def on_change(status: Status) -> None:
            if not status.state.busy:
                status = self._finish_run(request, status, add, on_result)
            self._set_status(status, on_status)

        self._session.on_change = on_change
        self._session.start(request)

    def make_dicom(
        self,
        result: SceneResult,
        files: Iterable[Path],
        pdf: Path,
        on_status: OnStatus = lambda status: None,
    ) -> None:
        """Make DICOM objects of `result` without waiting; `files` are those of its CT.

        DONE names their folder, which is deleted when `on_status` returns. RuntimeError while
        a run or an installation is going on.
        """
        self._check_free()
        try:
            folder = self._run_folder()
            geometry = export_result(result, folder)
        except (VolumeRefused, OSError) as wrong:
            self._set_status(Status(State.REFUSED, message=str(wrong), kind="disk"), on_status)
            return
        names = [str(each) for each in files]
        request = DicomRequest(folder, geometry, names, pdf, folder / "dicom")

        def on_change(status: Status) -> None:
            self._set_status(status, on_status)
            if not status.state.busy:
                shutil.rmtree(folder, ignore_errors=True)

        self._session.on_change = on_change
        self._session.start(request)

    def warm_up(self, on_status: OnStatus = lambda status: None) -> None:
        """Start the child before the first click, so that the first screening starts sooner."""
        if not (self._session.status.state.busy or self._installer.running):
            self._session.on_change = partial(self._set_status, on_status=on_status)
            self._session.warm_up()

    def cancel(self) -> None:
        """Stop the run; the scene is as it was before."""
        self._session.cancel()

    def install(self, plan: Plan, on_status: OnStatus = lambda status: None) -> None:
        """Carry out `plan` without waiting; the end is INSTALLED or NOT_INSTALLED.

        `on_status` gets INSTALLING with each line of pip, then the final state.
        InstallationRefused while something else is going on.
        """
        if self._session.status.state.busy:
            raise InstallationRefused(
                translate(
                    "M3LungScreen",
                    "A screening is running. Cancel it, or wait until it has finished.",
                )
            )
        self._session.stop_if_idle()  # it may hold files that are to be replaced

        def on_finished(outcome: Outcome) -> None:
            state = State.NOT_INSTALLED if outcome.message else State.INSTALLED
            how = Status(state, message=outcome.message, details=outcome.details)
            self._set_status(replace(how, replaced=outcome.replaced), on_status)

        self._installer.start(plan, lambda line: on_status(self.status), on_finished)
        if self._installer.running:
            on_status(self.status)

    def stop_idle_child(self) -> None:
        """Stop the idle child, to free its CPU and GPU memory; does nothing during a screening."""
        self._session.stop_if_idle()

    def close(self) -> None:
        """End the child and delete the temporary files; a later start works again.

        An installation continues; `stop_installation` ends it.
        """
        self._session.close()
        self._status = Status()
        if self._temporary_folder is not None:
            shutil.rmtree(self._temporary_folder, ignore_errors=True)
            self._temporary_folder = None

    def stop_installation(self) -> None:
        """End an installation without a message; no package is left half written."""
        self._installer.close()

    def screen(
        self,
        volume: Any,
        model: Path | str | None = None,
        device: str = "auto",
        detail: str = "full",
        keep_previous: bool = False,
        on_status: OnStatus = lambda status: None,
    ) -> SceneResult:
        """Screen and wait, for the console and scripts; in the same child as the panel.

        Raises ScreeningFailed with the message that the panel would show.
        """
        self._check_ready(model)
        found: list[SceneResult] = []
        ends: list[Status] = []

        def on_change(status: Status) -> None:
            on_status(status)
            ends.extend([] if status.state.busy else [status])

        self.start(
            volume,
            model,
            device=device,
            detail=detail,
            keep_previous=keep_previous,
            on_status=on_change,
            on_result=found.append,
        )
        while not ends and self._session.child is not None:
            self._session.child.wait(WAIT_SECONDS)
        if not found:
            raise ScreeningFailed(
                ends[0].message if ends else translate("M3LungScreen", "The screening was stopped.")
            )
        return found[0]

    def screen_all(
        self, volumes: Iterable[Any] | None = None, **options: Any
    ) -> dict[str, SceneResult | ScreeningFailed]:
        """Every CT of the scene (or these) by node ID, one after another.

        Without `volumes`, scalar volumes that no screening made are taken. A volume
        that is refused has its exception in the place of a result. `options` are those
        of `screen`.
        """
        outcomes: dict[str, SceneResult | ScreeningFailed] = {}
        for volume in screenable(self.scene) if volumes is None else volumes:
            try:
                outcomes[volume.GetID()] = self.screen(volume, **options)
            except ScreeningFailed as refusal:
                outcomes[volume.GetID()] = refusal
        return outcomes

    def _check_free(self) -> None:
        if self._session.status.state.busy:
            raise RuntimeError("A screening is running; cancel it first.")
        if self._installer.running:
            raise RuntimeError(
                "Packages are being installed; wait until the installation has finished."
            )

    def _check_ready(self, model: Path | str | None) -> None:
        try:
            self._check_free()
        except RuntimeError as busy:
            raise ScreeningFailed(str(busy)) from busy
        if missing := missing_packages(REQUIREMENTS, extras_of(_bundle(model))):
            words = translate(
                "M3LungScreen",
                "{packages} is missing. Open the module and click Screen once to install it.",
            )
            raise ScreeningFailed(words.format(packages=", ".join(missing)))

    def _request(
        self, volume: Any, model: Path | str | None, device: str, detail: str
    ) -> tuple[Request, ExportedVolume]:
        problem = problem_with(volume)
        if problem:
            raise VolumeRefused(problem)
        folder = self._run_folder()
        try:
            exported = export_volume(volume, folder)
        except VolumeRefused:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        out = folder / "result"
        return Request(
            exported.path, exported.geometry, _bundle(model), out, device, detail
        ), exported

    def _run_folder(self) -> Path:
        parent = self._parent_folder or tempfile.gettempdir()
        self._runs += 1
        try:
            if self._temporary_folder is None:
                self._temporary_folder = Path(tempfile.mkdtemp(prefix="M3LungScreen-", dir=parent))
                # Also if this logic is never closed.
                weakref.finalize(self, shutil.rmtree, self._temporary_folder, ignore_errors=True)
            folder = self._temporary_folder / f"run-{self._runs}"
            folder.mkdir()
        except OSError as wrong:
            words = translate(
                "M3LungScreen",
                "A temporary folder could not be created in {parent}: {why}. Free some disk "
                "space, or select another temporary folder in Slicer's application settings.",
            )
            why = wrong.strerror or wrong
            raise VolumeRefused(words.format(parent=parent, why=why)) from wrong
        return folder

    def _finish_run(
        self, request: Request, status: Status, add: AddResult, on_result: OnResult
    ) -> Status:
        """Add the nodes of a run that is done; delete its files in any case."""
        if status.state is State.DONE:
            status = self._add_to_scene(request.out, status, add, on_result)
        # What a cancelled child still maps cannot go on Windows; `close` takes it away.
        shutil.rmtree(request.out.parent, ignore_errors=True)
        return status

    def _add_to_scene(
        self, folder: Path, status: Status, add: AddResult, on_result: OnResult
    ) -> Status:
        try:
            on_result(add(folder))
        except VolumeRemoved as removed:
            return replace(
                status, state=State.CANCELLED, message=str(removed), kind="volume_removed"
            )
        except VolumeRefused as changed:
            return replace(status, state=State.FAILED, message=str(changed), kind="volume_changed")
        except OSError as wrong:
            message = translate(
                "M3LungScreen",
                "The result could not be read. Free some disk space for temporary files and "
                "screen again.",
            )
            return replace(status, state=State.FAILED, message=message, details=str(wrong))
        return status

    def _add_result(
        self, volume: Any, exported: ExportedVolume, keep_previous: bool, folder: Path
    ) -> Any:
        """Add the result to the scene if the CT is still there and has the same grid."""
        if not self.scene.IsNodePresent(volume):
            raise VolumeRemoved(
                translate(
                    "M3LungScreen",
                    "The CT was removed during the screening; nothing was added to the scene.",
                )
            )
        if volume.GetImageData() is None or grid_of(volume) != exported.grid:
            words = translate(
                "M3LungScreen",
                "{name} was cropped, resampled or moved during the screening. The result no "
                "longer fits it and was not added. Screen it again.",
            )
            raise VolumeRefused(words.format(name=volume.GetName()))
        return add_result(
            self.scene, volume, folder, frame=exported.frame, keep_previous=keep_previous
        )

    def _set_status(self, status: Status, on_status: OnStatus) -> None:
        self._status = status
        on_status(status)


def _bundle(model: Path | str | None) -> Path:
    return library_root() / SHIPPED_MODEL if model is None else Path(model)
