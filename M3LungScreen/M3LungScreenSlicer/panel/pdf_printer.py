"""Prints the report as PDF by Slicer's web widget, which lays it out as a browser does."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import qt
import slicer
from slicer.i18n import translate

PAGE = "M3LungScreen report.html"


class PdfPrinter:
    """One PDF at a time."""

    def __init__(self) -> None:
        self._widget: Any = None
        self._on_end: Callable[[bool], None] = lambda succeeded: None

    @property
    def busy(self) -> bool:
        """Whether a PDF is being written."""
        return self._widget is not None

    def problem(self) -> str:
        """Why it cannot print in this Slicer, in one sentence; '' if it can."""
        if hasattr(slicer, "qSlicerWebWidget"):
            return ""
        return translate(
            "M3LungScreen",
            "This version of Slicer cannot write PDF files. Save the HTML report and "
            "print it from a browser.",
        )

    def start(self, html: str, path: Path, on_end: Callable[[bool], None]) -> None:
        """Print without waiting; `on_end` is told whether it succeeded."""
        # A page longer than 2 MB cannot be handed over as text.
        page = Path(slicer.app.temporaryPath) / PAGE
        page.write_text(html, "utf-8")
        self._on_end = on_end
        self._widget = slicer.qSlicerWebWidget()
        self._widget.connect("loadFinished(bool)", lambda ok: self.onPageLoaded(ok, str(path)))
        self._widget.connect("pdfPrintingFinished(QString,bool)", self.onPdfPrinted)
        self._widget.setUrl(qt.QUrl.fromLocalFile(str(page)).toString())  # takes a string

    def onPageLoaded(self, succeeded: bool, path: str) -> None:
        if succeeded:
            self._widget.printToPdf(path, page_layout())
        else:
            self.onPdfPrinted(path, False)

    def onPdfPrinted(self, path: str, succeeded: bool) -> None:
        (Path(slicer.app.temporaryPath) / PAGE).unlink(missing_ok=True)
        self._widget.deleteLater()
        self._widget = None
        self._on_end(succeeded)


def page_layout() -> Any:
    """A4 with a margin; without a layout the text would run to the paper's edge."""
    margins = qt.QMarginsF(14, 13, 14, 13)
    size, upright = qt.QPageSize(qt.QPageSize.A4), qt.QPageLayout.Portrait
    return qt.QPageLayout(size, upright, margins, qt.QPageLayout.Millimeter)
