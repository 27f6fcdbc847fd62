"""M3LungScreen: pneumonia screening of a loaded chest CT. What Slicer looks for; short."""

import slicer
from M3LungScreenSlicer.library import make_importable
from M3LungScreenSlicer.screening_logic import ScreeningLogic
from slicer.i18n import tr as _
from slicer.i18n import translate
from slicer.ScriptedLoadableModule import (
    ScriptedLoadableModule,
    ScriptedLoadableModuleLogic,
    ScriptedLoadableModuleTest,
)

make_importable()

from M3LungScreenSlicer.panel.widget import (  # noqa: E402
    M3LungScreenParameterNode,
    M3LungScreenWidget,
)

__all__ = [
    "M3LungScreen",
    "M3LungScreenLogic",
    "M3LungScreenParameterNode",
    "M3LungScreenTest",
    "M3LungScreenWidget",
]


class M3LungScreen(ScriptedLoadableModule):
    """The module's name, help and acknowledgement."""

    def __init__(self, parent):
        super().__init__(parent)
        parent.title = _("M3LungScreen")
        parent.categories = [translate("qSlicerAbstractCoreModule", "Segmentation")]
        parent.dependencies = []
        parent.contributors = ["The M3LungScreen contributors"]


class M3LungScreenLogic(ScriptedLoadableModuleLogic, ScreeningLogic):
    """`slicer.util.getModuleLogic('M3LungScreen').screen(volumeNode)`."""

    def __init__(self, scene=None, make_child=None):
        ScriptedLoadableModuleLogic.__init__(self)
        ScreeningLogic.__init__(self, scene or slicer.mrmlScene, make_child)


class M3LungScreenTest(ScriptedLoadableModuleTest):
    """The main path in a real Slicer."""
