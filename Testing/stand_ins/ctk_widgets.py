"""The few CTK widgets that the module's form uses: the module `ctk`."""

from types import ModuleType
from typing import Any

from PySide6 import QtCore, QtGui, QtWidgets

from Testing.stand_ins.pythonqt import pythonqt_class


class ctkCollapsibleButton(QtWidgets.QAbstractButton):  # noqa: N801
    """A header that shows or hides what lies in it."""

    contentsCollapsed = QtCore.Signal(bool)  # noqa: N815

    def __init__(self, parent: QtWidgets.QWidget | None = None) -> None:
        super().__init__(parent)
        self._hidden: list[QtWidgets.QWidget] = []
        self.setCheckable(True)
        self.setChecked(True)
        self.toggled.connect(self._toggled)
        self._make_room()

    def _make_room(self) -> None:
        self.setContentsMargins(0, self.fontMetrics().height() + 12, 0, 0)

    def _toggled(self, opened: bool) -> None:
        if opened:
            hidden, self._hidden = self._hidden, []
            for child in hidden:
                child.setVisible(True)
        else:
            self._hide_contents()
        self.updateGeometry()
        self.contentsCollapsed.emit(not opened)

    def _hide_contents(self) -> None:
        for child in self.findChildren(QtWidgets.QWidget, options=_DIRECT):
            if not child.isHidden():
                child.setVisible(False)
                self._hidden.append(child)

    def showEvent(self, event: QtGui.QShowEvent) -> None:  # noqa: N802
        if self._is_collapsed():  # what came into it since
            self._hide_contents()

    def _is_collapsed(self) -> bool:
        return not QtWidgets.QAbstractButton.isChecked(self)

    def _set_collapsed(self, collapsed: bool) -> None:
        QtWidgets.QAbstractButton.setChecked(self, not collapsed)

    collapsed = QtCore.Property(bool, _is_collapsed, _set_collapsed)

    def sizeHint(self) -> QtCore.QSize:  # noqa: N802
        inside = QtWidgets.QWidget.layout(self)
        if inside is None or self._is_collapsed():
            return QtCore.QSize(120, self.fontMetrics().height() + 12)
        return inside.totalSizeHint()

    def paintEvent(self, event: QtGui.QPaintEvent) -> None:  # noqa: N802
        option = QtWidgets.QStyleOptionButton()
        option.initFrom(self)
        head = self.fontMetrics().height() + 8
        option.rect = QtCore.QRect(0, 0, QtWidgets.QWidget.width(self), head)
        painter = QtWidgets.QStylePainter(self)
        style = QtWidgets.QStyle.ControlElement.CE_PushButtonBevel
        painter.drawControl(style, option)
        arrow = "▸ " if self._is_collapsed() else "▾ "
        where = option.rect.adjusted(8, 0, 0, 0)
        left = QtCore.Qt.AlignmentFlag.AlignLeft | QtCore.Qt.AlignmentFlag.AlignVCenter
        painter.drawText(where, left, arrow + QtWidgets.QAbstractButton.text(self))


_DIRECT = QtCore.Qt.FindChildOption.FindDirectChildrenOnly


def _of_box(name: str, kind: type) -> QtCore.Property:
    def read(self: Any) -> object:
        return getattr(self._box, name)()

    def write(self: Any, value: object) -> None:
        getattr(self._box, f"set{name[0].upper()}{name[1:]}")(value)

    return QtCore.Property(kind, read, write)


class ctkSliderWidget(QtWidgets.QWidget):  # noqa: N801
    """A slider with a spin box; its value is a double."""

    valueChanged = QtCore.Signal(float)  # noqa: N815

    def __init__(self, parent: QtWidgets.QWidget | None = None) -> None:
        super().__init__(parent)
        self._slider = QtWidgets.QSlider(QtCore.Qt.Orientation.Horizontal)
        self._box = QtWidgets.QDoubleSpinBox()
        row = QtWidgets.QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self._slider)
        row.addWidget(self._box)
        self._slider.setRange(0, 1000)
        self._box.setRange(0.0, 99.0)
        self._box.valueChanged.connect(self._moved)
        self._slider.valueChanged.connect(self._dragged)

    def _moved(self, value: float) -> None:
        span = self._box.maximum() - self._box.minimum()
        self._slider.blockSignals(True)
        self._slider.setValue(round(1000 * (value - self._box.minimum()) / span))
        self._slider.blockSignals(False)
        self.valueChanged.emit(value)

    def _dragged(self, position: int) -> None:
        span = self._box.maximum() - self._box.minimum()
        self._box.setValue(self._box.minimum() + span * position / 1000)

    value = _of_box("value", float)
    minimum = _of_box("minimum", float)
    maximum = _of_box("maximum", float)
    singleStep = _of_box("singleStep", float)  # noqa: N815
    decimals = _of_box("decimals", int)
    suffix = _of_box("suffix", str)


def ctk_module() -> ModuleType:
    """The module `ctk`."""
    module = ModuleType("ctk", "Stand-in for Slicer's ctk.")
    for each in (ctkCollapsibleButton, ctkSliderWidget):
        setattr(module, each.__name__, pythonqt_class(each))
    return module
