"""`slicer.parameterNodeWrapper`, as much of it as the module uses.

Values live as text in a vtkMRMLScriptedModuleNode, nodes as references. Which
widget may carry which type is as narrow as in Slicer.
"""

import typing
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import slicer
import vtk

PROPERTY = "SlicerParameterName"


@dataclass
class WithinRange:
    minimum: float
    maximum: float


@dataclass
class Choice:
    choices: list[Any]


@dataclass
class Default:
    value: Any


@dataclass(frozen=True)
class _Parameter:
    name: str
    kind: type
    annotations: tuple[Any, ...]
    default: Any

    @property
    def is_node(self) -> bool:
        return issubclass(self.kind, slicer.vtkMRMLNode)

    def read(self, node: Any) -> Any:
        if self.is_node:
            return node.GetNodeReference(self.name)
        text = node.GetParameter(self.name) if self.name in node.GetParameterNames() else None
        if text is None:
            return self.default
        return text == "True" if self.kind is bool else self.kind(text)

    def write(self, node: Any, value: Any) -> None:
        if self.is_node:
            node.SetNodeReferenceID(self.name, value.GetID() if value else None)
            return
        self._check(value)
        node.SetParameter(self.name, str(value))

    def _check(self, value: Any) -> None:
        if not isinstance(value, float | int if self.kind is float else self.kind):
            raise TypeError(f"{self.name} is {self.kind.__name__}, not {value!r}")
        for each in self.annotations:
            if isinstance(each, WithinRange) and not each.minimum <= value <= each.maximum:
                raise ValueError(f"{self.name} must lie in {each}, not {value!r}")
            if isinstance(each, Choice) and value not in each.choices:
                raise ValueError(f"{self.name} must be one of {each.choices}, not {value!r}")


def parameterNodeWrapper(described: type) -> type:  # noqa: N802
    """The class decorator: annotated members become properties stored in the node."""
    hints = typing.get_type_hints(described, include_extras=True)
    described.allParameters = {n: _parameter(described, n, h) for n, h in hints.items()}  # type: ignore[attr-defined]
    for name, parameter in described.allParameters.items():  # type: ignore[attr-defined]
        setattr(described, name, _property(parameter))
    return type(described.__name__, (_Wrapper, described), {"__module__": described.__module__})


def _parameter(described: type, name: str, hint: Any) -> _Parameter:
    kind, annotations = hint, ()
    if typing.get_origin(hint) is typing.Annotated:
        kind, *rest = typing.get_args(hint)
        annotations = tuple(rest)
    given = next((each.value for each in annotations if isinstance(each, Default)), None)
    default = getattr(described, name, given)
    if default is None and not issubclass(kind, slicer.vtkMRMLNode):
        default = kind()
    return _Parameter(name, kind, annotations, default)


def _property(parameter: _Parameter) -> property:
    return property(
        lambda self: parameter.read(self.parameterNode),
        lambda self, value: parameter.write(self.parameterNode, value),
    )


class _Wrapper:
    allParameters: typing.ClassVar[dict[str, _Parameter]]  # noqa: N815

    def __init__(self, node: Any) -> None:
        self.parameterNode = node
        self._guis: dict[int, list[tuple[Any, str, Callable[..., None]]]] = {}
        self._updating = False
        for parameter in self.allParameters.values():
            if not parameter.is_node and parameter.name not in node.GetParameterNames():
                parameter.write(node, parameter.default)

    def AddObserver(self, event: Any, callback: Any, priority: float = 0.0) -> int:  # noqa: N802
        return self.parameterNode.AddObserver(event, callback, priority)

    def RemoveObserver(self, tag: int) -> None:  # noqa: N802
        self.parameterNode.RemoveObserver(tag)

    def StartModify(self) -> int:  # noqa: N802
        return self.parameterNode.StartModify()

    def EndModify(self, before: int) -> None:  # noqa: N802
        self.parameterNode.EndModify(before)

    def connectGui(self, form: Any) -> None:  # noqa: N802
        """Binds every widget with the property; gives no tag, as in Slicer 5.10."""
        children = vars(form).values() if not hasattr(form, "findChildren") else form.findChildren()
        named = {each.property(PROPERTY): each for each in children if each.property(PROPERTY)}
        self.connectParametersToGui(named)

    def connectParametersToGui(self, widgets: dict[str, Any]) -> int:  # noqa: N802
        """Two-way binding of parameters with their widgets; the tag is for disconnectGui."""
        bound = [(widget, *self._bind(widget, name)) for name, widget in widgets.items()]
        self.AddObserver(vtk.vtkCommand.ModifiedEvent, lambda *_: self._show(bound))
        self._show(bound)
        for widget, name, changed in bound:
            widget.connect(_signal(widget, self.allParameters[name]), changed)
        tag = len(self._guis)
        self._guis[tag] = bound
        return tag

    def disconnectGui(self, tag: int) -> None:  # noqa: N802
        """Undoes the connections; the observer stays, as in Slicer 5.10."""
        for widget, name, changed in self._guis.pop(tag, ()):
            widget.disconnect(_signal(widget, self.allParameters[name]), changed)

    def _bind(self, widget: Any, name: str) -> tuple[str, Callable[..., None]]:
        parameter = self.allParameters[name]
        _prepare(widget, parameter)

        def changed() -> None:
            if not self._updating:
                parameter.write(self.parameterNode, _read(widget, parameter))

        return name, changed

    def _show(self, bound: list[tuple[Any, str, Callable[..., None]]]) -> None:
        if self._updating:
            return
        self._updating = True
        try:
            for widget, name, _ in bound:
                _write(widget, self.allParameters[name], getattr(self, name))
        finally:
            self._updating = False


def _signal(widget: Any, parameter: _Parameter) -> str:
    """The signal that tells of a change; TypeError where Slicer has no connector."""
    import ctk
    import qt

    signals = {
        (qt.QCheckBox, bool): "toggled(bool)",
        (qt.QPushButton, bool): "toggled(bool)",
        (qt.QSpinBox, int): "valueChanged(int)",
        (qt.QSlider, int): "valueChanged(int)",
        (qt.QDoubleSpinBox, float): "valueChanged(double)",
        (ctk.ctkSliderWidget, float): "valueChanged(double)",
        (qt.QComboBox, str): "currentIndexChanged(int)",
        (qt.QLineEdit, str): "textChanged(QString)",
        (qt.QTextEdit, str): "textChanged()",
    }
    if parameter.is_node and type(widget) is slicer.qMRMLNodeComboBox:
        return "currentNodeChanged(vtkMRMLNode*)"
    try:
        return signals[type(widget), parameter.kind]
    except KeyError:
        raise TypeError(f"No connector from {parameter.kind} to {type(widget)}") from None


def _prepare(widget: Any, parameter: _Parameter) -> None:
    """What Slicer's connectors set up: the node types, a slider's range, a box's choices."""
    import ctk
    import qt

    _signal(widget, parameter)
    if parameter.is_node:
        widget.nodeTypes = [parameter.kind.__name__]
    limits = next((e for e in parameter.annotations if isinstance(e, WithinRange)), None)
    if limits:
        widget.minimum, widget.maximum = limits.minimum, limits.maximum
    elif type(widget) is ctk.ctkSliderWidget:
        raise TypeError(f"{parameter.name} needs WithinRange for its slider")
    if type(widget) is qt.QComboBox:
        choice = next(e for e in parameter.annotations if isinstance(e, Choice))
        widget.clear()
        for each in choice.choices:
            widget.addItem(str(each))


def _read(widget: Any, parameter: _Parameter) -> Any:
    if parameter.is_node:
        return widget.currentNode()
    if parameter.kind is bool:
        return widget.checked
    if parameter.kind in (int, float):
        return widget.value
    if hasattr(widget, "currentText"):
        return widget.currentText
    return widget.text if hasattr(widget, "text") else widget.toPlainText()


def _write(widget: Any, parameter: _Parameter, value: Any) -> None:
    if parameter.is_node:
        widget.setCurrentNode(value)
    elif parameter.kind is bool:
        widget.checked = value
    elif parameter.kind in (int, float):
        widget.value = value
    elif hasattr(widget, "currentText"):
        widget.currentIndex = widget.findText(value)
    elif hasattr(widget, "text"):
        widget.text = value
    elif widget.toPlainText() != value:
        widget.setPlainText(value)


def parameter_node_module() -> ModuleType:
    """The module `slicer.parameterNodeWrapper`."""
    module = ModuleType("slicer.parameterNodeWrapper")
    for each in (parameterNodeWrapper, WithinRange, Choice, Default):
        setattr(module, each.__name__, each)
    return module
