"""'Screen for pneumonia' in the subject hierarchy's context menu."""

from pathlib import Path

import slicer

PLUGIN = Path(__file__).with_name("M3LungScreenSubjectHierarchyPlugin.py")


def register() -> None:
    """Make the menu item; once, when Slicer has started."""
    plugin = slicer.qSlicerSubjectHierarchyScriptedPlugin(None)
    plugin.setPythonSource(PLUGIN.as_posix())
