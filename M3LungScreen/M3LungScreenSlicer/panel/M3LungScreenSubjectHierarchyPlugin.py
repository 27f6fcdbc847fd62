"""The context menu item. Slicer loads this file by its path: no relative imports.

File and class must bear the same name, which ends in SubjectHierarchyPlugin.
"""

from typing import Any

import qt
import slicer
from slicer.i18n import translate
from SubjectHierarchyPlugins import AbstractScriptedSubjectHierarchyPlugin


class M3LungScreenSubjectHierarchyPlugin(AbstractScriptedSubjectHierarchyPlugin):
    """Opens the module on the volume under the mouse and screens it."""

    filePath = __file__

    def __init__(self, scriptedPlugin: Any) -> None:
        scriptedPlugin.name = "M3LungScreen"
        self.screenAction = qt.QAction(
            translate("M3LungScreen", "Screen for pneumonia"), scriptedPlugin
        )
        self.screenAction.objectName = "M3LungScreenAction"
        self.screenAction.connect("triggered()", self.onScreen)
        # It registers the plugin, whose action is there by then.
        AbstractScriptedSubjectHierarchyPlugin.__init__(self, scriptedPlugin)

    def canOwnSubjectHierarchyItem(self, itemID: int) -> float:
        """It owns no items."""
        return 0.0

    def itemContextMenuActions(self) -> list[Any]:
        return [self.screenAction]

    def showContextMenuActionsForItem(self, itemID: int) -> None:
        self.screenAction.visible = self._volume(itemID) is not None

    def onScreen(self) -> None:
        handler = slicer.qSlicerSubjectHierarchyPluginHandler.instance()
        volume = self._volume(handler.currentItem())
        if volume is not None:
            slicer.util.selectModule("M3LungScreen")
            slicer.util.getModuleWidget("M3LungScreen").screenVolume(volume)

    def _volume(self, itemID: int) -> Any:
        """The scalar volume of an item, None for anything else and for results."""
        handler = slicer.qSlicerSubjectHierarchyPluginHandler.instance()
        hierarchy = handler.subjectHierarchyNode()
        if not itemID or hierarchy is None:
            return None
        node = hierarchy.GetItemDataNode(itemID)
        if node is None or node.GetClassName() != "vtkMRMLScalarVolumeNode":
            return None
        return None if node.GetAttribute("M3LungScreen.result") else node
