"""The module's widget: the form, the parameter node and the scene's events."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import qt
import slicer
from slicer.ScriptedLoadableModule import ScriptedLoadableModuleWidget
from slicer.util import VTKObservationMixin

from ..scene.nodes import RESULT_ATTRIBUTE
from .display_section import proposed_volume
from .form_binding import FormBinding
from .idle import IdleTimer
from .parameters import M3LungScreenParameterNode
from .screening_control import ScreeningControl

__all__ = ["M3LungScreenParameterNode", "M3LungScreenWidget"]

OUR_PACKAGES = ("M3LungScreenSlicer", "M3LungScreenLib")


class M3LungScreenWidget(ScriptedLoadableModuleWidget, VTKObservationMixin):
    """`logic` is an argument for tests; Slicer gives the parent alone."""

    def __init__(self, parent: Any = None, logic: Any = None) -> None:
        self.logic = logic
        self._parameterNode: Any = None
        self._binding: FormBinding | None = None
        self._update_is_scheduled = False
        ScriptedLoadableModuleWidget.__init__(self, parent)
        VTKObservationMixin.__init__(self)

    # Called by Slicer

    def setup(self) -> None:
        """Called when the module is opened for the first time."""
        ScriptedLoadableModuleWidget.setup(self)
        form = slicer.util.loadUI(self.resourcePath("UI/M3LungScreen.ui"))
        self.layout.addWidget(form)
        self.ui = slicer.util.childWidgetVariables(form)
        form.setMRMLScene(slicer.mrmlScene)
        if self.logic is None:
            from M3LungScreen import M3LungScreenLogic

            self.logic = M3LungScreenLogic()
        requirements = Path(self.resourcePath("requirements.txt"))
        self.screening = ScreeningControl(
            self.ui, self.logic, lambda: self._parameterNode, requirements
        )
        self.results = self.screening.results
        self._idle = IdleTimer(self.logic.stop_idle_child)
        self._add_scene_observers()
        self.initializeParameterNode()

    def _add_scene_observers(self) -> None:
        scene = slicer.mrmlScene
        self.addObserver(scene, scene.StartCloseEvent, self.onSceneStartClose)
        self.addObserver(scene, scene.EndCloseEvent, self.onSceneChanged)
        self.addObserver(scene, scene.EndImportEvent, self.onSceneChanged)
        self.addObserver(scene, scene.EndBatchProcessEvent, self.onSceneEndBatchProcess)
        self.addObserver(scene, scene.NodeAddedEvent, self.onNodeAdded)
        self.addObserver(scene, scene.NodeRemovedEvent, self.onNodeRemoved)

    def enter(self) -> None:
        """Called each time the user opens the module."""
        self.initializeParameterNode()
        self._select_proposed_volume()
        self.results.show_saved_chart()
        self.results.onEnter()
        self._idle.onEnter()
        self.screening.warm_up()

    def exit(self) -> None:
        """Called each time the user opens another module; a screening or installation goes on."""
        self.setParameterNode(None)
        self._idle.onExit()
        self.results.onExit()

    def cleanup(self) -> None:
        """Called before the widget is deleted: no observer, process or text is left."""
        self.setParameterNode(None)
        self._idle.stop()
        self.results.cleanup()
        self.removeObservers()
        self.logic.stop_installation()
        self.logic.close()

    def onReload(self) -> None:
        """Also reload the packages beside the module file, which Slicer would not."""
        for name in [each for each in sys.modules if each.split(".")[0] in OUR_PACKAGES]:
            del sys.modules[name]
        ScriptedLoadableModuleWidget.onReload(self)

    # Called by others

    def screenVolume(self, volume: Any) -> None:
        """Select `volume` and click Screen, if that is possible (used by the context menu)."""
        self.initializeParameterNode()
        self._parameterNode.inputVolume = volume
        if self.ui.screenButton.enabled and not self.logic.status.state.busy:
            self.screening.onScreenButton()

    # The parameter node

    def initializeParameterNode(self) -> None:
        """Bind the form to the scene's parameter node, if it is not bound yet."""
        if self._parameterNode is None:
            wrapper: Any = M3LungScreenParameterNode
            self.setParameterNode(wrapper(self.logic.getParameterNode()))

    def setParameterNode(self, parameterNode: Any) -> None:
        """Bind the form to this parameter node; None only unbinds it."""
        if self._binding is not None:
            self._binding.disconnect()
            self._binding = None
        self._parameterNode = parameterNode
        if parameterNode is not None:
            self._binding = FormBinding(parameterNode, self.ui, self.onParameterNodeModified)
            self.onParameterNodeModified()

    def onParameterNodeModified(self, caller: Any = None, event: Any = None) -> None:
        self.updateGUIFromParameterNode()
        self.results.apply_overlays()

    def updateGUIFromParameterNode(self) -> None:
        """Update all but the slice views' layers, which the user may have changed."""
        self._hide_results_in_selector()
        self.screening.update()

    def _hide_results_in_selector(self) -> None:
        """Results are not offered, and Slicer does not select one if the CT is removed."""
        made = slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode")
        self.ui.inputSelector.sortFilterProxyModel().hiddenNodeIDs = [
            each.GetID() for each in made if each.GetAttribute(RESULT_ATTRIBUTE)
        ]

    def _select_proposed_volume(self) -> None:
        """Select the active volume, or the only one, if none is selected yet."""
        if self._parameterNode.inputVolume is None:
            self._parameterNode.inputVolume = proposed_volume()

    # Events of the scene

    def onSceneStartClose(self, caller: Any, event: str) -> None:
        self.logic.close()
        self.setParameterNode(None)
        self.screening.reset()
        # The next scene's nodes may have the IDs of these.
        self.ui.inputSelector.sortFilterProxyModel().hiddenNodeIDs = []

    def onSceneChanged(self, caller: Any, event: str) -> None:
        if self.parent.isEntered:
            self.initializeParameterNode()
            self.onParameterNodeModified()
            self.results.slice_observer.observe()

    def onSceneEndBatchProcess(self, caller: Any, event: str) -> None:
        # The selector learns of the new nodes in the same event.
        qt.QTimer.singleShot(0, self._update_after_batch)

    def _update_after_batch(self) -> None:
        """Slicer's selectors ignore nodes while a scene is being opened; select the CT now."""
        if self._parameterNode is None or not self.parent.isEntered:
            return
        self._hide_results_in_selector()
        self.ui.inputSelector.setCurrentNode(self._parameterNode.inputVolume)
        self._update_if_idle()
        self.results.show_saved_chart()

    def onNodeAdded(self, caller: Any, event: str) -> None:
        # A volume gets its voxels after it is added, and many nodes are added at once.
        if not self._update_is_scheduled:
            self._update_is_scheduled = True
            qt.QTimer.singleShot(0, self._update_after_addition)

    def _update_after_addition(self) -> None:
        self._update_is_scheduled = False
        if self._parameterNode is not None and self.parent.isEntered:
            self._select_proposed_volume()
            self._update_if_idle()  # the CT may have been screened from the console

    def onNodeRemoved(self, caller: Any, event: str) -> None:
        # Many nodes are removed at once; update when all are gone.
        qt.QTimer.singleShot(0, self._update_if_idle)

    def _update_if_idle(self) -> None:
        if self._parameterNode is None or self.logic.status.state.busy:
            return
        self.updateGUIFromParameterNode()
        result = self.results.result
        if result is not None and result.location_map is None:
            self.results.apply_overlays()  # the removed map leaves the views
