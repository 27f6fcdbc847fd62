"""`slicer.qSlicerWebWidget`, as much as printing needs, and as late as the real one."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

from PySide6 import QtCore, QtGui


class WebWidget:
    """Loads a page from a file and prints it as Qt's rich text."""

    loads = True
    layouts: ClassVar[list[QtGui.QPageLayout]] = []

    def __init__(self) -> None:
        self._slots: dict[str, Callable[..., None]] = {}
        self._page = ""

    def connect(self, signature: str, slot: Callable[..., None]) -> bool:
        self._slots[signature] = slot
        return True

    def setUrl(self, url: str) -> None:  # noqa: N802
        self._page = Path(QtCore.QUrl(url).toLocalFile()).read_text("utf-8")
        QtCore.QTimer.singleShot(0, lambda: self._slots["loadFinished(bool)"](self.loads))

    def printToPdf(self, path: str, layout: QtGui.QPageLayout | None = None) -> None:  # noqa: N802
        document = QtGui.QTextDocument()
        document.setHtml(self._page)
        writer = QtGui.QPdfWriter(path)
        self.layouts.append(layout or QtGui.QPageLayout())
        writer.setPageLayout(self.layouts[-1])
        document.print_(writer)
        del writer
        self._slots["pdfPrintingFinished(QString,bool)"](path, Path(path).is_file())

    def deleteLater(self) -> Any:  # noqa: N802
        self._slots = {}
