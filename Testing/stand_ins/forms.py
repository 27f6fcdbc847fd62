"""`qt.QUiLoader`: forms of Qt Designer with the widgets of the stand-ins.

Stricter than Qt: a class, a signal or a slot that does not exist is an error.
"""

import xml.etree.ElementTree as ET
from collections.abc import Mapping
from typing import Any

from PySide6 import QtCore, QtUiTools, QtWidgets


class FormLoader(QtUiTools.QUiLoader):
    """Loads a form; `classes` are the widgets and layouts by their names in it."""

    classes: Mapping[str, type] = {}

    def load(self, file: QtCore.QIODevice, parent: QtWidgets.QWidget | None = None) -> Any:  # type: ignore[override]
        form = ET.fromstring(file.readAll().data().decode())
        connections = form.find("connections")
        if connections is not None:
            form.remove(connections)
        buffer = QtCore.QBuffer()
        buffer.setData(ET.tostring(form))
        buffer.open(QtCore.QIODevice.OpenModeFlag.ReadOnly)
        widget = super().load(buffer, parent)
        for each in connections if connections is not None else ():
            _connect(widget, *(str(each.findtext(part)) for part in PARTS))
        return widget

    def createWidget(self, name: str, parent: Any = None, objectName: str = "") -> Any:  # noqa: N802, N803
        return _named(self.classes[name](parent), objectName)

    def createLayout(self, name: str, parent: Any = None, objectName: str = "") -> Any:  # noqa: N802, N803
        owner = [parent] if isinstance(parent, QtWidgets.QWidget) else []
        return _named(self.classes[name](*owner), objectName)


PARTS = ("sender", "signal", "receiver", "slot")


def _named(made: Any, name: str) -> Any:
    made.setObjectName(name)
    return made


def _connect(form: QtWidgets.QWidget, sender: str, signal: str, receiver: str, slot: str) -> None:
    ends: list[Any] = []
    for name in (sender, receiver):
        end = form if form.name == name else form.findChild(QtWidgets.QWidget, name)  # type: ignore[attr-defined]
        if end is None:
            raise ValueError(f"The form connects {name}, which it does not have")
        ends.append(end)
    ends[0].connect(signal, getattr(ends[1], slot.partition("(")[0]))
