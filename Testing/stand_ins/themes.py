"""A dark palette, as Slicer's dark style has one."""

from PySide6 import QtGui

ROLES = {
    "Window": "#353535",
    "WindowText": "#ffffff",
    "Base": "#232323",
    "AlternateBase": "#2d2d2d",
    "Text": "#ffffff",
    "Button": "#353535",
    "ButtonText": "#ffffff",
    "Highlight": "#2a82da",
    "PlaceholderText": "#999999",
}


def dark() -> QtGui.QPalette:
    """White on dark grey, disabled text in grey."""
    palette = QtGui.QPalette()
    for name, color in ROLES.items():
        palette.setColor(QtGui.QPalette.ColorRole[name], QtGui.QColor(color))
    for name in ("WindowText", "Text", "ButtonText"):
        role, disabled = QtGui.QPalette.ColorRole[name], QtGui.QPalette.ColorGroup.Disabled
        palette.setColor(disabled, role, QtGui.QColor("#808080"))
    return palette
