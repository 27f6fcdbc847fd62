"""What a scripted module finds in Slicer's window and `slicer-core` has not.

`install()` adds it to the real `slicer` package, beside the modules `qt` and `ctk`;
scene, nodes and `slicer.util` stay the real ones.
"""

import os
import re
import sys
import unittest
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import slicer

from Testing.stand_ins import pythonqt, translation
from Testing.stand_ins.ctk_widgets import ctk_module
from Testing.stand_ins.forms import FormLoader
from Testing.stand_ins.mrml_widgets import ModuleWidget, qMRMLNodeComboBox, qMRMLWidget
from Testing.stand_ins.parameter_node import parameter_node_module


class Application:
    """`slicer.app`: no main window, no pop-ups; `started` are waiting for startupCompleted()."""

    applicationName = "Slicer"  # noqa: N815
    temporaryPath = os.environ.get("TMPDIR", "/tmp")  # noqa: N815

    def __init__(self) -> None:
        self.started: list[Callable[[], None]] = []
        self.listeners: list[tuple[str, Callable[..., None]]] = []
        self.layout_manager: Any = None
        self._application_logic: Any = None

    def connect(self, signature: str, slot: Callable[..., None]) -> bool:
        if signature == "startupCompleted()":
            self.started.append(slot)
        else:
            self.listeners.append((signature, slot))
        return True

    def disconnect(self, signature: str, slot: Callable[..., None]) -> bool:
        self.listeners.remove((signature, slot))
        return True

    def send(self, signature: str) -> None:
        """Let all listeners of `signature` hear it."""
        for heard, slot in list(self.listeners):
            if heard == signature:
                slot()

    def applicationLogic(self) -> Any:  # noqa: N802
        return self._application_logic

    def testingEnabled(self) -> bool:  # noqa: N802
        return True

    def layoutManager(self) -> Any:  # noqa: N802
        return self.layout_manager

    def moduleManager(self) -> Any:  # noqa: N802
        return SimpleNamespace(connect=lambda *_: True, disconnect=lambda *_: True)

    def ioManager(self) -> Any:  # noqa: N802
        return SimpleNamespace(forceFileNameValidCharacters=valid_characters)

    def userSettings(self) -> Any:  # noqa: N802
        return sys.modules["qt"].QSettings()  # type: ignore[attr-defined]

    def processEvents(self) -> None:  # noqa: N802
        pythonqt.application().processEvents()


def valid_characters(name: str) -> str:
    """What Slicer's IO manager leaves of a file's name."""
    return re.sub(r"[^A-Za-z0-9 \-_.()$!~#'%^{}]", "", name).strip()


class ScriptedLoadableModule:
    """The module's base: `parent` takes title, categories and texts."""

    def __init__(self, parent: Any) -> None:
        self.parent = parent
        self.moduleName = type(self).__name__

    def resourcePath(self, name: str) -> str:  # noqa: N802
        return str(Path(self.parent.path).parent / "Resources" / name)


class ScriptedLoadableModuleWidget:
    """The widget's base: `parent` with a layout, `setup` called by whoever made it."""

    def __init__(self, parent: Any = None) -> None:
        super().__init__()
        self.moduleName = type(self).__name__.removesuffix("Widget")
        self.developerMode = False
        self.parent = parent
        self.layout = parent.layout()

    def resourcePath(self, name: str) -> str:  # noqa: N802
        return str(Path(slicer.util.modulePath(self.moduleName)).parent / "Resources" / name)

    def setup(self) -> None:
        return

    def cleanup(self) -> None:
        return

    def onReload(self) -> None:  # noqa: N802
        self.cleanup()


class ScriptedLoadableModuleLogic:
    """The logic's base: one parameter node a scene."""

    def __init__(self, parent: Any = None) -> None:
        super().__init__()
        self.moduleName = type(self).__name__.removesuffix("Logic")
        self.isSingletonParameterNode = True

    def getParameterNode(self) -> Any:  # noqa: N802
        kind = "vtkMRMLScriptedModuleNode"
        found = slicer.mrmlScene.GetSingletonNode(self.moduleName, kind)
        if found is None:
            found = slicer.mrmlScene.CreateNodeByClass(kind)
            found.UnRegister(None)
            found.SetSingletonTag(self.moduleName)
            found = slicer.mrmlScene.AddNode(found)
        found.SetAttribute("ModuleName", self.moduleName)
        return found


class ScriptedLoadableModuleTest(unittest.TestCase):
    """The test's base."""

    def delayDisplay(self, message: str, requestedDelay: int | None = None) -> None:  # noqa: N802, N803
        return


BASES = (
    ScriptedLoadableModule,
    ScriptedLoadableModuleWidget,
    ScriptedLoadableModuleLogic,
    ScriptedLoadableModuleTest,
)


def install(module_file: Path) -> Application:
    """Make `import qt, ctk, slicer...` work as for the module in `module_file`; once a process."""
    if isinstance(getattr(slicer, "app", None), Application):
        return slicer.app
    pythonqt.application()
    sys.modules["qt"], sys.modules["ctk"] = pythonqt.qt_module(), ctk_module()
    for widget in (qMRMLWidget, qMRMLNodeComboBox):
        setattr(slicer, widget.__name__, pythonqt.pythonqt_class(widget))
    slicer.qSlicerScriptedLoadableModuleWidget = pythonqt.pythonqt_class(ModuleWidget)
    slicer.app = Application()
    name = module_file.stem.lower()
    slicer.modules = SimpleNamespace(**{name: SimpleNamespace(path=str(module_file))})
    slicer.modules.colors = SimpleNamespace(logic=lambda: logic_of_scene("vtkSlicerColorLogic"))
    terminologies = slicer.vtkSlicerTerminologiesModuleLogic()
    slicer.modules.terminologies = SimpleNamespace(logic=lambda: terminologies)
    _add_submodule(parameter_node_module())
    _add_submodule(_module("ScriptedLoadableModule", **{each.__name__: each for each in BASES}))
    translation.install()
    sys.modules["qt"].QUiLoader = _form_loader()  # type: ignore[attr-defined]
    return slicer.app


def a_parent() -> Any:
    """What Slicer gives a widget to live in."""
    qt = sys.modules["qt"]
    parent = slicer.qSlicerScriptedLoadableModuleWidget()
    parent.setLayout(qt.QVBoxLayout())  # type: ignore[attr-defined]
    parent.setMRMLScene(slicer.mrmlScene)
    return parent


_logics: dict[str, tuple[Any, Any]] = {}


def logic_of_scene(name: str) -> Any:
    """The module logic of that class on slicer.mrmlScene, one for each scene."""
    scene, logic = _logics.get(name, (None, None))
    if scene is not slicer.mrmlScene:
        application, logic = slicer.vtkMRMLApplicationLogic(), getattr(slicer, name)()
        application.SetMRMLScene(slicer.mrmlScene)
        logic.SetMRMLApplicationLogic(application)
        logic.SetMRMLScene(slicer.mrmlScene)
        _logics[name] = (slicer.mrmlScene, logic)
    return logic


def _form_loader() -> type:
    widgets = vars(sys.modules["qt"]) | vars(sys.modules["ctk"])
    widgets |= {each: getattr(slicer, each) for each in ("qMRMLWidget", "qMRMLNodeComboBox")}
    return type("QUiLoader", (FormLoader,), {"classes": widgets})


def _module(name: str, **members: Any) -> ModuleType:
    module = ModuleType(f"slicer.{name}")
    vars(module).update(members)
    return module


def _add_submodule(module: ModuleType) -> None:
    sys.modules[module.__name__] = module
    setattr(slicer, module.__name__.rpartition(".")[2], module)
