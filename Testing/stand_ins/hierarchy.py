"""The subject hierarchy's context menu: loads a scripted plugin as Slicer does."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import slicer


class AbstractScriptedSubjectHierarchyPlugin:
    """The base of scripted plugins."""

    def __init__(self, scriptedPlugin: Any) -> None:  # noqa: N803
        self.scriptedPlugin = scriptedPlugin


def a_scripted_plugin(parent: Any) -> Any:
    """qSlicerSubjectHierarchyScriptedPlugin: a QObject that finds the class by the file's name."""
    qt = sys.modules["qt"]

    class ScriptedPlugin(qt.QObject):  # type: ignore[name-defined, misc]
        name = ""

        def setPythonSource(self, path: str) -> bool:  # noqa: N802
            name = Path(path).stem
            spec = importlib.util.spec_from_file_location(name, path)
            assert spec is not None
            assert spec.loader is not None
            module = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(module)
            loaded.append((self, getattr(module, name)(self)))
            return True

    return ScriptedPlugin()


loaded: list[tuple[Any, Any]] = []


def menu_for(node: Any, widget: Any, monkeypatch: Any) -> Any:
    """The plugin's action after a right click on the item of `node`."""
    tree = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)
    item = tree.GetItemByDataNode(node) or tree.CreateItem(tree.GetSceneItemID(), node)
    handler = SimpleNamespace(subjectHierarchyNode=lambda: tree, currentItem=lambda: item)
    _replace(
        monkeypatch,
        qSlicerSubjectHierarchyPluginHandler=SimpleNamespace(instance=lambda: handler),
        qSlicerSubjectHierarchyScriptedPlugin=a_scripted_plugin,
    )
    monkeypatch.setattr(slicer.util, "selectModule", lambda name: widget.enter())
    monkeypatch.setattr(slicer.util, "getModuleWidget", lambda name: widget)
    base = ModuleType("SubjectHierarchyPlugins")
    base.AbstractScriptedSubjectHierarchyPlugin = AbstractScriptedSubjectHierarchyPlugin  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, base.__name__, base)
    from M3LungScreenSlicer.panel import context_menu

    context_menu.register()
    _, plugin = loaded[-1]
    plugin.showContextMenuActionsForItem(item)
    (action,) = plugin.itemContextMenuActions()
    return action


def _replace(monkeypatch: Any, **members: Any) -> None:
    for name, member in members.items():
        monkeypatch.setattr(slicer, name, member, raising=False)
