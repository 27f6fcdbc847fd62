"""Qt as PythonQt shows it to Slicer's scripts, on PySide6: the module `qt`.

Properties are read and set without brackets (`label.text`), an unknown attribute
cannot be set on a Qt object, and signals connect by their signature
(`button.connect('clicked(bool)', f)`), `f` getting as many arguments as it takes.
Where PythonQt would fail, this fails too. What a slot raises is kept in `raised`.
"""

import inspect
import os
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

from PySide6 import QtCore, QtGui, QtWidgets

raised: list[BaseException] = []


@contextmanager
def nothing_raised() -> Iterator[None]:
    """Fails where a slot, a timer or a VTK observer raised, which would only be printed."""
    before, sys.excepthook = sys.excepthook, lambda kind, error, trace: raised.append(error)
    try:
        yield
    finally:
        sys.excepthook = before
        problems, raised[:] = list(raised), []
    assert not problems


class PythonQtWays:
    """Mixed into every QObject class, before it."""

    _qt_properties: frozenset[str] = frozenset()

    def __getattribute__(self, name: str) -> Any:
        if name in ("connect", "disconnect"):  # PySide's own would come first
            return getattr(PythonQtWays, name).__get__(self)
        if name not in type(self)._qt_properties:
            return super().__getattribute__(name)
        try:  # asking a virtual getter by name would come back here
            return super().__getattribute__(name)()
        except (AttributeError, TypeError):  # called otherwise: `enabled` is read by `isEnabled`
            return QtCore.QObject.property(self, name)  # type: ignore[call-overload]

    def __setattr__(self, name: str, value: Any) -> None:
        if name in type(self)._qt_properties:
            QtCore.QObject.setProperty(self, name, value)  # type: ignore[call-overload]
        elif _is_unknown(self, name) and not isinstance(value, QtCore.QObject):
            # PySide's loader hangs the children of a form on it; no script does.
            raise AttributeError(f"{type(self).__name__} has no property {name!r}")
        else:
            super().__setattr__(name, value)

    def connect(self, signature: str, slot: Callable[..., Any]) -> bool:
        """Call `slot` when the signal of that signature is sent; ValueError if there is none."""
        guarded = _guarded(slot)
        _signal(self, signature).connect(guarded)
        self._connections().append((signature, slot, guarded))
        return True

    def disconnect(self, signature: str, slot: Callable[..., Any]) -> bool:
        """Undo `connect`; ValueError if it never was."""
        for each in self._connections():
            if each[:2] == (signature, slot):
                _signal(self, signature).disconnect(each[2])
                self._connections().remove(each)
                return True
        raise ValueError(f"{slot} is not connected to {signature}")

    @property
    def name(self) -> str:
        return QtCore.QObject.objectName(self)  # type: ignore[arg-type]

    def _connections(self) -> list[tuple[str, Callable[..., Any], Callable[..., Any]]]:
        return self.__dict__.setdefault("_connected", [])


def _is_unknown(owner: Any, name: str) -> bool:
    """Whether `name` is no attribute of `owner`, which is no class of a script's own."""
    ours = type(owner).__module__ == __name__
    return ours and not name.startswith("_") and not hasattr(type(owner), name)


def _signal(sender: Any, signature: str) -> Any:
    """The bound signal of `signature`, the right one where it is overloaded."""
    # PySide carries VTK objects as Python objects.
    carried = re.sub(r"vtk\w+\*", "PyObject", signature)
    normal = QtCore.QMetaObject.normalizedSignature(carried)
    normal = normal.data().decode() if isinstance(normal, QtCore.QByteArray) else str(normal)
    if sender.metaObject().indexOfSignal(normal) < 0:
        raise ValueError(f"{type(sender).__name__} has no signal {signature}")
    name, _, arguments = normal.partition("(")
    signal = getattr(sender, name)
    try:
        return signal[arguments.rstrip(")")] if arguments != ")" else signal
    except (IndexError, KeyError):
        return signal


def _guarded(slot: Callable[..., Any]) -> Callable[..., None]:
    accepted = _accepted(slot)

    def call(*arguments: Any) -> None:
        try:
            slot(*arguments[:accepted])
        except Exception as error:
            raised.append(error)

    return call


def _accepted(slot: Callable[..., Any]) -> int | None:
    """How many arguments `slot` takes; None where there is no limit."""
    kinds = [each.kind for each in inspect.signature(slot).parameters.values()]
    if inspect.Parameter.VAR_POSITIONAL in kinds:
        return None
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return sum(kind in positional for kind in kinds)


def pythonqt_class(base: type) -> type:
    """`base`, a QObject class of PySide6, with PythonQt's ways."""
    meta = base.staticMetaObject  # type: ignore[attr-defined]
    names = frozenset(meta.property(i).name() for i in range(meta.propertyCount()))
    body = {"_qt_properties": names, "__module__": __name__}
    return type(base)(base.__name__, (PythonQtWays, base), body)


def qt_module() -> ModuleType:
    """The module `qt`: every class of QtCore, QtGui and QtWidgets under its own name."""
    module = ModuleType("qt", "Stand-in for Slicer's qt.")
    for library in (QtCore, QtGui, QtWidgets):
        for name in dir(library):
            value = getattr(library, name)
            if name.startswith("Q"):
                is_object = isinstance(value, type) and issubclass(value, QtCore.QObject)
                setattr(module, name, pythonqt_class(value) if is_object else value)
    return module


def application() -> QtWidgets.QApplication:
    """The one application, made at the first call."""
    running = QtWidgets.QApplication.instance()
    return running if isinstance(running, QtWidgets.QApplication) else QtWidgets.QApplication([])
