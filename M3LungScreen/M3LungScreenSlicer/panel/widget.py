"""The module's widget: the form, its sections and the logic brought together."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import qt
import slicer
from slicer.ScriptedLoadableModule import ScriptedLoadableModuleWidget
from slicer.util import VTKObservationMixin

from ..installation import Plan
from ..scene import chart, results, slices, volumes
from ..scene.frames import shows_another_frame
from ..scene.nodes import RESULT_ATTRIBUTE
from ..scene.scene_result import SceneResult
from ..screening_session import State, Status
from . import slice_views
from .chart_view import ChartView, is_in_view
from .devices import DeviceSelector
from .display_section import DisplaySection, proposed_volume
from .form_binding import FormBinding
from .idle import IdleWatch
from .model_manager import ModelManager
from .overlay_section import OverlaySection
from .package_section import PackageSection
from .parameters import M3LungScreenParameterNode
from .researcher_section import ResearcherSection
from .result_choice import ResultChoice
from .review import ReviewSection
from .run_section import RunSection, wait_for_packages
from .save_section import SaveSection
from .slice_section import SliceSection, brief
from .verdict import VerdictPanel

__all__ = ["M3LungScreenParameterNode", "M3LungScreenWidget"]

OUR_PACKAGES = ("M3LungScreenSlicer", "M3LungScreenLib")
SECTIONS_OF_A_RESULT = ("slice", "overlays", "review", "save", "researcher")


class M3LungScreenWidget(ScriptedLoadableModuleWidget, VTKObservationMixin):
    """`logic` is an argument for tests; Slicer gives the parent alone."""

    def __init__(self, parent: Any = None, logic: Any = None) -> None:
        self.logic = logic
        self._parameters: Any = None
        self._binding: FormBinding | None = None
        self._result: SceneResult | None = None
        self._entry: dict[str, Any] | None = None
        self._choice_due = False
        # The CT whose Screen was clicked before the packages were there.
        self._to_screen: Any = None
        self._told_of: Any = None  # the CT that the message below the button is about
        ScriptedLoadableModuleWidget.__init__(self, parent)
        VTKObservationMixin.__init__(self)

    # Slicer's calls

    def setup(self) -> None:
        """Called once, when the module is opened for the first time."""
        ScriptedLoadableModuleWidget.setup(self)
        form = slicer.util.loadUI(self.resourcePath("UI/M3LungScreen.ui"))
        self.layout.addWidget(form)
        self.ui = slicer.util.childWidgetVariables(form)
        form.setMRMLScene(slicer.mrmlScene)
        if self.logic is None:
            from M3LungScreen import M3LungScreenLogic

            self.logic = M3LungScreenLogic()
        self._make_sections()
        self._connect_buttons()
        self._observe_scene()
        self._use_parameter_node()

    def enter(self) -> None:
        """Called each time the user opens the module."""
        self._use_parameter_node()
        self._choose_volume()
        self._take_over_chart()
        self._follower.follow()
        self._slice_moved()
        self._idle.back()
        self._warm_up()

    def exit(self) -> None:
        """Called each time the user opens another module; a run or an installation goes on."""
        self._drop_parameter_node()
        self._idle.left()
        self._follower.rest()
        slice_views.write_at_edge(slice_views.axial_node(), "")

    def cleanup(self) -> None:
        """Called before the widget goes: no observer, no process and no text stays."""
        self._drop_parameter_node()
        self._idle.stop()
        self._follower.rest()
        self._chart.hide()
        slice_views.write_at_edge(slice_views.axial_node(), "")
        self.removeObservers()
        self.logic.stop_installing()
        self.logic.close()

    def onReload(self) -> None:
        """Reload the packages beside the module too, which Slicer would leave as they are."""
        for name in [each for each in sys.modules if each.split(".")[0] in OUR_PACKAGES]:
            del sys.modules[name]
        ScriptedLoadableModuleWidget.onReload(self)

    # What others may call

    def screenVolume(self, volume: Any) -> None:
        """Choose `volume` and click Screen, if it can be clicked (the context menu's way)."""
        self._use_parameter_node()
        self._parameters.inputVolume = volume
        if self.ui.screenButton.enabled and not self.logic.status.state.busy:
            self._screen_clicked()

    # Making

    def _make_sections(self) -> None:
        self._verdict = VerdictPanel(self.ui)
        self._run = RunSection(self.ui)
        self._display = DisplaySection(self.ui)
        self._models = ModelManager(self.ui, self._setter("model"))
        self._packages = PackageSection(
            self.ui,
            Path(self.resourcePath("requirements.txt")),
            lambda: self._models.backbone,
            self._install,
            self._run.show_message,
        )
        self._idle = IdleWatch(self.logic.rest)
        self._devices = DeviceSelector(self.ui, self._setter("device"))
        self._slice = SliceSection(self.ui, self._jump)
        self._overlays = OverlaySection(self.ui, self._run.show_message)
        self._review = ReviewSection(self.ui, self._record_review)
        self._save = SaveSection(self.ui, lambda: self._result)
        self._researcher = ResearcherSection(self.ui, self._apply_overlays)
        self._chart = ChartView(self._jump)
        self._choice = ResultChoice(self.ui, self._show_chosen_result)
        self._follower = slice_views.SliceFollower(self._slice_moved)
        self._show_result(None)

    def _setter(self, name: str) -> Callable[[Any], None]:
        def choose(value: Any) -> None:
            if self._parameters is not None:
                setattr(self._parameters, name, value)

        return choose

    def _connect_buttons(self) -> None:
        for button, clicked in {
            "screenButton": self._screen_clicked,
            "previousButton": lambda: self._jump(self._suspicious(-1)),
            "suspiciousButton": self._jump_to_most_suspicious,
            "nextButton": lambda: self._jump(self._suspicious(1)),
        }.items():
            getattr(self.ui, button).connect("clicked(bool)", clicked)
        self.ui.chartCheckBox.connect("toggled(bool)", self._show_chart)

    def _observe_scene(self) -> None:
        scene = slicer.mrmlScene
        self.addObserver(scene, scene.StartCloseEvent, self._scene_closes)
        self.addObserver(scene, scene.EndCloseEvent, self._scene_changed)
        self.addObserver(scene, scene.EndImportEvent, self._scene_changed)
        self.addObserver(scene, scene.EndBatchProcessEvent, self._batch_ended)
        self.addObserver(scene, scene.NodeAddedEvent, self._node_added)
        self.addObserver(scene, scene.NodeRemovedEvent, self._node_removed)

    # The parameter node

    def _use_parameter_node(self) -> None:
        """Bind the form to the scene's parameter node, once."""
        if self._parameters is not None:
            return
        self._parameters = self._wishes()
        self._binding = FormBinding(self._parameters, self.ui, self._wishes_changed)
        self._wishes_changed()

    def _wishes(self) -> Any:
        """The scene's parameter node, bound to the form or not."""
        wrapper: Any = M3LungScreenParameterNode
        return wrapper(self.logic.getParameterNode())

    def _drop_parameter_node(self) -> None:
        if self._binding is not None:
            self._binding.release()
        self._binding = self._parameters = None

    def _wishes_changed(self, caller: Any = None, event: Any = None) -> None:
        self._refresh()
        self._apply_overlays()

    def _refresh(self) -> None:
        """All but the layers of the slice views, which are the user's between two wishes."""
        volume, busy = self._parameters.inputVolume, self.logic.status.state.busy
        if volume is not self._told_of and not busy:
            self._run.show_message("")
        self._told_of = volume
        self._hide_results()
        self._display.show(volume)
        self._models.select(self._parameters.model)
        self._devices.select(self._parameters.device)
        if not busy:
            self._run.show_reason(self._why_not())
            self._show_result(self._stored_result())

    def _hide_results(self) -> None:
        """What a screening made is no choice, also not for Slicer when the chosen CT goes."""
        made = slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode")
        self.ui.inputSelector.sortFilterProxyModel().hiddenNodeIDs = [
            each.GetID() for each in made if each.GetAttribute(RESULT_ATTRIBUTE)
        ]

    def _why_not(self) -> str:
        """One sentence why Screen cannot be clicked, '' where it can."""
        if self.logic.status.state is State.INSTALLING:
            return wait_for_packages()
        return volumes.why_not(self._parameters.inputVolume) or self._models.why_not()

    def _choose_volume(self) -> None:
        """The active volume, or the only one, if none is chosen yet."""
        if self._parameters.inputVolume is None:
            self._parameters.inputVolume = proposed_volume()

    # The scene

    def _scene_closes(self, caller: Any, event: str) -> None:
        self.logic.close()
        self._drop_parameter_node()
        self._run.show_status(self.logic.status)
        self._follower.rest()
        self._display.forget()
        self._told_of = self._to_screen = None
        # The next scene's nodes may have the IDs of these.
        self.ui.inputSelector.sortFilterProxyModel().hiddenNodeIDs = []
        self._show_result(None)
        self.ui.chartCheckBox.checked = False

    def _scene_changed(self, caller: Any, event: str) -> None:
        if self.parent.isEntered:
            self._use_parameter_node()
            self._wishes_changed()
            self._follower.follow()

    def _batch_ended(self, caller: Any, event: str) -> None:
        # The selector learns of the new nodes in the same event.
        qt.QTimer.singleShot(0, self._catch_up)

    def _catch_up(self) -> None:
        """Show what was set while Slicer's selectors looked at no node, as in opening a scene."""
        if self._parameters is None or not self.parent.isEntered:
            return
        self._hide_results()
        self.ui.inputSelector.setCurrentNode(self._parameters.inputVolume)
        self._look_again()
        self._take_over_chart()

    def _take_over_chart(self) -> None:
        """A scene that was saved with its chart in view has it there again."""
        if is_in_view(self._result):
            self.ui.chartCheckBox.checked = True

    def _node_added(self, caller: Any, event: str) -> None:
        # A volume may get its voxels after its place in the scene, and many nodes come at once.
        if not self._choice_due:
            self._choice_due = True
            qt.QTimer.singleShot(0, self._choose_later)

    def _choose_later(self) -> None:
        self._choice_due = False
        if self._parameters is not None and self.parent.isEntered:
            self._choose_volume()
            self._look_again()  # the console may have screened the CT

    def _node_removed(self, caller: Any, event: str) -> None:
        # Many nodes go at once; the panel looks when they are gone.
        qt.QTimer.singleShot(0, self._look_again)

    def _look_again(self) -> None:
        if self._parameters is not None and not self.logic.status.state.busy:
            self._refresh()
            if self._result is not None and self._result.location_map is None:
                self._apply_overlays()  # what was shown of it goes, too

    # Running

    def _screen_clicked(self) -> None:
        state = self.logic.status.state
        if state.busy:
            self.logic.cancel()
        elif state is State.INSTALLING:
            self._run.show_status(self.logic.status)
        elif self._packages.complete:
            self._screen()
        else:
            self._to_screen = self._parameters.inputVolume
            self._packages.install_missing()

    def _screen(self) -> None:
        model = self._models.current
        self._show_result(None)
        self.logic.start(
            self._parameters.inputVolume,
            None if model is None else model.folder,
            device=self._devices.current,
            keep_previous=self._parameters.keepPrevious,
            on_status=self._status_changed,
            on_result=self._result_came,
        )

    def _install(self, plan: Plan) -> None:
        self.logic.install(plan, self._installation_changed)

    def _installation_changed(self, status: Status) -> None:
        """Also where the user is in another module by now."""
        self._run.show_status(status)
        if status.state is State.INSTALLING or self._parameters is None:
            return
        self._run.show_reason(self._why_not())
        volume, self._to_screen = self._to_screen, None
        if status.state is not State.INSTALLED or status.replaced:
            return
        if volume is not None and volume is self._parameters.inputVolume and not self._why_not():
            self._screen()

    def _status_changed(self, status: Status) -> None:
        self._run.show_status(status)
        if status.hello:
            self._devices.show_devices(status.hello["devices"])
            if self._parameters is not None:
                self._devices.select(self._parameters.device)
        if status.state is State.PROVISIONAL and status.provisional:
            self._verdict.show_provisional(status.provisional, self._models.unverified)
        elif status.state.busy:
            self._verdict.show_waiting()
        elif status.state is not State.IDLE and self._parameters is not None:
            self._run.show_reason(self._why_not())
            self._show_result(self._stored_result())
            if self._result is None and status.state is not State.DONE:
                self._verdict.show_stopped()

    def _result_came(self, result: SceneResult) -> None:
        """Also where the user is in another module by now, or has chosen another CT."""
        wishes = self._wishes() if self._parameters is None else self._parameters
        localization = result.content["settings"]["model"]["localization"]
        wishes.locationThreshold = localization["threshold"]
        self._display.result_came(result.volume)
        self._choice.choose(result)
        if result.volume is wishes.inputVolume:
            self._show_result(result)
            self._jump_to_most_suspicious()

    def _warm_up(self) -> None:
        """Start the child ahead of the click, where nothing has to be installed for it."""
        if not self.logic.status.state.busy and self._packages.complete:
            self.logic.warm_up(self._status_changed)

    # The result

    def _stored_result(self) -> SceneResult | None:
        volume = self._parameters.inputVolume
        return self._choice.of(results.results_of(volume) if volume is not None else [])

    def _show_chosen_result(self) -> None:
        if self._parameters is not None and not self.logic.status.state.busy:
            self._show_result(self._stored_result())

    def _show_result(self, result: SceneResult | None) -> None:
        """Fill every section from `result`, or empty them."""
        for name in SECTIONS_OF_A_RESULT:
            getattr(self.ui, f"{name}CollapsibleButton").visible = result is not None
        self.ui.keepPreviousCheckBox.visible = result is not None
        same = result is not None and self._result is not None and result.node is self._result.node
        self._follow_frames(result)
        self._result = result
        if same and not self.logic.status.state.busy:
            return
        self._entry = None
        self._show_chart(self.ui.chartCheckBox.checked)
        self._researcher.show_slice(None, None, False)
        self._researcher.show_result(result)
        self._overlays.show_result(result)
        self._save.show_result(result)
        self._review.show(result.review if result else {})
        if result is None:
            self._verdict.show_nothing()
            return
        self._verdict.show_result(result.content)
        self._show_frame()
        self._slice.show_result(result.content)
        self._slice_moved()
        self._apply_overlays()

    def _follow_frames(self, result: SceneResult | None) -> None:
        """A CT in a sequence may show another frame than the one that was screened."""
        changed = slicer.vtkMRMLVolumeNode.ImageDataModifiedEvent
        self.removeObservers(self._show_frame)
        if result is not None and result.frame and result.volume is not None:
            self.addObserver(result.volume, changed, self._show_frame)

    def _show_frame(self, caller: Any = None, event: Any = None) -> None:
        if self._result is not None:
            self._verdict.show_frame(self._result.frame, shows_another_frame(self._result))

    def _record_review(self, opinion: str, note: str) -> None:
        if self._result is not None:
            self._result.set_review(opinion, note)
            self._review.show(self._result.review)

    # Views

    def _apply_overlays(self) -> None:
        if self._parameters is not None:
            attention = self._researcher.attention(self._result, self._entry)
            self._overlays.apply(self._parameters, attention)
            self._show_slice_to_researcher()

    def _show_slice_to_researcher(self) -> None:
        if self._parameters is not None:
            self._researcher.show_slice(self._result, self._entry, self._parameters.showCrop)

    def _slice_moved(self) -> None:
        """Tell of the slice on which the axial view stands."""
        node = slice_views.axial_node()
        if self._result is None or self._result.volume is None or node is None:
            slice_views.write_at_edge(node, "")
            return
        anchor = slices.position_of(self._result, 0)
        entry = slices.slice_at(self._result, slice_views.point_on(node, anchor))
        if entry is not None and entry == self._entry:
            return
        self._entry = entry
        self._slice.show_slice(entry)
        self._slice.show_ways(self._suspicious(-1) is not None, self._suspicious(1) is not None)
        slice_views.write_at_edge(node, brief(entry))
        if entry is not None:
            chart.mark_slice(self._result, entry["index"])
        if self._researcher.shows_attention:
            self._apply_overlays()
        else:
            self._show_slice_to_researcher()

    def _jump(self, index: int | None) -> None:
        if self._result is not None and index is not None:
            slice_views.jump_to(slices.position_of(self._result, index))

    def _jump_to_most_suspicious(self) -> None:
        if self._result is not None:
            self._jump(slices.most_suspicious(self._result))

    def _suspicious(self, step: int) -> int | None:
        """The next (1) or previous (-1) slice that is not called Healthy."""
        if self._result is None or self._entry is None:
            return None
        return slices.suspicious_neighbour(self._result, self._entry["index"], step)

    def _show_chart(self, shown: bool) -> None:
        if shown and self._result is not None:
            self._chart.show(self._result)
        else:
            self._chart.hide()
