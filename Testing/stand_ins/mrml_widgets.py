"""The qMRML widgets of the module's form, on a real MRML scene."""

from typing import Any

import slicer
import vtk
from PySide6 import QtCore, QtWidgets


class qMRMLWidget(QtWidgets.QWidget):  # noqa: N801
    """The form itself; its children get the scene by connections of the form."""

    mrmlSceneChanged = QtCore.Signal(object)  # noqa: N815

    def __init__(self, parent: QtWidgets.QWidget | None = None) -> None:
        super().__init__(parent)
        self._scene: Any = None

    def mrmlScene(self) -> Any:  # noqa: N802
        return self._scene

    def setMRMLScene(self, scene: Any) -> None:  # noqa: N802
        self._scene = scene
        self.mrmlSceneChanged.emit(scene)


class ModuleWidget(qMRMLWidget):
    """What Slicer gives a scripted widget to live in (qSlicerScriptedLoadableModuleWidget)."""

    def __init__(self, parent: QtWidgets.QWidget | None = None) -> None:
        super().__init__(parent)
        self._entered = False

    def _is_entered(self) -> bool:
        return self._entered

    def _set_entered(self, entered: bool) -> None:
        self._entered = entered

    isEntered = QtCore.Property(bool, _is_entered, _set_entered)  # noqa: N815


def _setting(name: str, kind: Any) -> QtCore.Property:
    def read(self: Any) -> Any:
        return self._settings.get(name, kind() if isinstance(kind, type) else [])

    def write(self: Any, value: Any) -> None:
        self._settings[name] = value
        self._refresh()

    return QtCore.Property(kind, read, write)


class NodeFilter:
    """qMRMLSortFilterProxyModel, as much as scripts set of it."""

    def __init__(self, changed: Any) -> None:
        self._changed = changed
        self._hidden: list[str] = []

    @property
    def hiddenNodeIDs(self) -> list[str]:  # noqa: N802
        return self._hidden

    @hiddenNodeIDs.setter
    def hiddenNodeIDs(self, ids: list[str]) -> None:  # noqa: N802
        if ids != self._hidden:
            self._hidden = list(ids)
            self._changed()


class qMRMLNodeComboBox(QtWidgets.QWidget):  # noqa: N801
    """Lists the scene's nodes of `nodeTypes`; as in Slicer it looks at none while many come.

    During batch processing the list stays as it is, so that a node that comes then cannot be
    chosen. Where the chosen node goes, the one above it in the list is chosen.
    """

    currentNodeChanged = QtCore.Signal(object)  # noqa: N815
    currentNodeIDChanged = QtCore.Signal(str)  # noqa: N815

    def __init__(self, parent: QtWidgets.QWidget | None = None) -> None:
        super().__init__(parent)
        self._scene: Any = None
        self._tags: list[int] = []
        self._settings: dict[str, Any] = {"nodeTypes": [], "noneEnabled": False, "noneDisplay": ""}
        self._filter = NodeFilter(self._refresh)
        self._box = QtWidgets.QComboBox()
        row = QtWidgets.QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self._box)
        self._box.currentIndexChanged.connect(self._chosen)

    nodeTypes = _setting("nodeTypes", "QStringList")  # noqa: N815
    noneEnabled = _setting("noneEnabled", bool)  # noqa: N815
    noneDisplay = _setting("noneDisplay", str)  # noqa: N815
    addEnabled = _setting("addEnabled", bool)  # noqa: N815
    removeEnabled = _setting("removeEnabled", bool)  # noqa: N815
    renameEnabled = _setting("renameEnabled", bool)  # noqa: N815
    editEnabled = _setting("editEnabled", bool)  # noqa: N815
    showHidden = _setting("showHidden", bool)  # noqa: N815
    showChildNodeTypes = _setting("showChildNodeTypes", bool)  # noqa: N815
    selectNodeUponCreation = _setting("selectNodeUponCreation", bool)  # noqa: N815

    def _node_id(self) -> str:
        return self._box.currentData() or ""

    currentNodeID = QtCore.Property(str, _node_id)  # noqa: N815

    def sortFilterProxyModel(self) -> NodeFilter:  # noqa: N802
        return self._filter

    def setMRMLScene(self, scene: Any) -> None:  # noqa: N802
        for tag in self._tags:
            self._scene.RemoveObserver(tag)
        self._scene = scene
        events = (slicer.vtkMRMLScene.NodeAddedEvent, slicer.vtkMRMLScene.NodeRemovedEvent)
        events += (slicer.vtkMRMLScene.EndCloseEvent, slicer.vtkMRMLScene.EndBatchProcessEvent)
        self._tags = [scene.AddObserver(each, self._refresh) for each in events] if scene else []
        self._refresh()

    def currentNode(self) -> Any:  # noqa: N802
        return self._scene.GetNodeByID(self._node_id()) if self._scene and self._node_id() else None

    def setCurrentNode(self, node: Any) -> None:  # noqa: N802
        identifier = node.GetID() if isinstance(node, vtk.vtkObject) else node
        at = self._box.findData(identifier) if identifier else -1
        self._box.setCurrentIndex(at if at >= 0 else self._none())

    setCurrentNodeID = setCurrentNode  # noqa: N815

    def _none(self) -> int:
        return 0 if self._settings["noneEnabled"] else -1

    def _chosen(self) -> None:
        self.currentNodeIDChanged.emit(self._node_id())
        self.currentNodeChanged.emit(self.currentNode())

    def _refresh(self, *_: Any) -> None:
        if self._scene is not None and self._scene.IsBatchProcessing():
            return
        before, at = self._node_id(), self._box.currentIndex()
        self._box.blockSignals(True)
        self._box.clear()
        if self._settings["noneEnabled"]:
            self._box.addItem(self._settings["noneDisplay"] or "None", "")
        for node in self._nodes():
            self._box.addItem(node.GetName(), node.GetID())
        again = self._box.findData(before) if before else self._none()
        self._box.setCurrentIndex(again if again >= 0 or not before else self._above(at))
        self._box.blockSignals(False)
        if self._node_id() != before:
            self._chosen()

    def _above(self, row: int) -> int:
        """Where QComboBox goes when its current row is taken away."""
        return min(self._box.count() - 1, max(row - 1, 0))

    def _nodes(self) -> list[Any]:
        exact = not self._settings.get("showChildNodeTypes", True)
        hidden = self._settings.get("showHidden", False)
        found = []
        for kind in self._settings["nodeTypes"] if self._scene else []:
            nodes = slicer.util.getNodesByClass(kind, self._scene)
            found += [n for n in nodes if not exact or n.GetClassName() == kind]
        found = [n for n in found if n.GetID() not in self._filter.hiddenNodeIDs]
        return [n for n in found if hidden or not n.GetHideFromEditors()]
