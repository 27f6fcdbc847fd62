"""Saves a result: the report as HTML and PDF, and the tables."""

from __future__ import annotations

import csv
from collections.abc import Callable
from html import escape
from pathlib import Path
from typing import Any

import qt
import slicer
from slicer.i18n import translate

from ..scene.scene_result import SceneResult
from .review import OPINIONS

# Characters; a path on Windows has 260 in all.
LONGEST_NAME = 80


class SaveSection:
    """Three buttons; a message below them says what was written, or why not."""

    def __init__(self, ui: Any, result: Callable[[], SceneResult | None]) -> None:
        self.ui = ui
        self._result = result
        self._printer: Any = None
        ui.saveHtmlButton.connect("clicked(bool)", self.onSaveHtml)
        ui.savePdfButton.connect("clicked(bool)", self.onSavePdf)
        ui.saveCsvButton.connect("clicked(bool)", self.onSaveTables)

    def show_result(self, result: SceneResult | None) -> None:
        """Clear the message; disable the report's buttons if there is no report."""
        self._show_message("")
        self._update_buttons()

    def _update_buttons(self) -> None:
        result = self._result()
        problem = ""
        if not (result and result.report):
            problem = translate("M3LungScreen", "This result has no report. Screen the CT again.")
        self.ui.saveHtmlButton.enabled = not problem
        self.ui.saveHtmlButton.toolTip = problem or translate(
            "M3LungScreen", "Save the report as a single HTML file with all images."
        )
        if self._printer is not None:
            problem = translate("M3LungScreen", "A PDF is being written.")
        self.ui.savePdfButton.enabled = not problem
        self.ui.savePdfButton.toolTip = problem or translate(
            "M3LungScreen", "Save the report as a PDF file."
        )

    def onSaveHtml(self) -> None:
        self._write(
            translate("M3LungScreen", "Save the report"), "HTML (*.html)", ".html", write_html
        )

    def onSavePdf(self) -> None:
        self._write(
            translate("M3LungScreen", "Save the report"), "PDF (*.pdf)", ".pdf", self._print_pdf
        )

    def onSaveTables(self) -> None:
        self._write(
            translate("M3LungScreen", "Save the tables"),
            "CSV (*.csv)",
            ".csv",
            write_tables,
        )

    def _write(
        self, title: str, kinds: str, suffix: str, write: Callable[[SceneResult, Path], str]
    ) -> None:
        result = self._result()
        if result is None:
            return
        proposed = f"{file_name_of(result.volume)} M3LungScreen{suffix}"
        name = qt.QFileDialog.getSaveFileName(self.ui.saveHtmlButton, title, proposed, kinds)
        if not name:
            return
        # What follows a dot may be part of a series' name: 'Lung 1.25'.
        path = Path(name if name.lower().endswith(suffix) else f"{name}{suffix}")
        try:
            self._show_message(write(result, path))
        except OSError as problem:
            self._show_message(
                translate(
                    "M3LungScreen", "{path} could not be written: {why}. Choose another folder."
                ).format(path=path, why=problem.strerror or problem)
            )

    def _print_pdf(self, result: SceneResult, path: Path) -> str:
        """By Slicer's web widget, which lays the page out as a browser does."""
        if not hasattr(slicer, "qSlicerWebWidget"):
            return translate(
                "M3LungScreen",
                "This version of Slicer cannot write PDF files. Save the HTML report and "
                "print it from a browser.",
            )
        # A page longer than 2 MB cannot be handed over as text.
        page = Path(slicer.app.temporaryPath) / "M3LungScreen report.html"
        page.write_text(report_of(result), "utf-8")
        self._printer = slicer.qSlicerWebWidget()
        self._printer.connect("loadFinished(bool)", lambda ok: self.onPageLoaded(ok, str(path)))
        self._printer.connect("pdfPrintingFinished(QString,bool)", self.onPdfPrinted)
        self._printer.setUrl(qt.QUrl.fromLocalFile(str(page)).toString())  # takes a string
        self._update_buttons()
        return translate("M3LungScreen", "Writing {path}…").format(path=path)

    def onPageLoaded(self, succeeded: bool, path: str) -> None:
        if succeeded:
            self._printer.printToPdf(path, page_layout())
        else:
            self.onPdfPrinted(path, False)

    def onPdfPrinted(self, path: str, succeeded: bool) -> None:
        (Path(slicer.app.temporaryPath) / "M3LungScreen report.html").unlink(missing_ok=True)
        self._printer.deleteLater()
        self._printer = None
        self._update_buttons()
        words = translate(
            "M3LungScreen",
            "{path} could not be written. Save the HTML report and print it from a browser.",
        )
        self._show_message(saved_message(Path(path)) if succeeded else words.format(path=path))

    def _show_message(self, sentence: str) -> None:
        self.ui.savedLabel.text = sentence
        self.ui.savedLabel.visible = bool(sentence)


def file_name_of(volume: Any) -> str:
    """The name of a volume as part of a file name that every system takes; 'CT' without one."""
    name = volume.GetName() if volume is not None else ""
    manager = slicer.app.ioManager()
    return str(manager.forceFileNameValidCharacters(name))[:LONGEST_NAME].strip(" .") or "CT"


def page_layout() -> Any:
    """A4 with a margin; without a layout the text would run to the paper's edge."""
    margins = qt.QMarginsF(14, 13, 14, 13)
    size, upright = qt.QPageSize(qt.QPageSize.A4), qt.QPageLayout.Portrait
    return qt.QPageLayout(size, upright, margins, qt.QPageLayout.Millimeter)


def write_html(result: SceneResult, path: Path) -> str:
    """The report as it is; returns the sentence to show."""
    path.write_text(report_of(result), "utf-8")
    return saved_message(path)


def report_of(result: SceneResult) -> str:
    """The report with the reader's review below its head."""
    review = result.review
    if not review.get("opinion"):
        return result.report
    words = f"{OPINIONS[review['opinion']]}. {review['note']}".strip()
    section = f"<section><h2>Review</h2><p>{escape(words)} ({review['time']})</p></section>"
    return result.report.replace("</header>", f"</header>\n{section}", 1)


def write_tables(result: SceneResult, path: Path) -> str:
    """Slices into `path`, involvement into a file beside it; returns the sentence to show."""
    beside = path.with_name(f"{path.stem} involvement{path.suffix}")
    write_table(result.slices_table, path)
    write_table(result.involvement_table, beside)
    return saved_message(path, beside)


def write_table(node: Any, path: Path) -> None:
    """A MRML table as CSV with its column names."""
    columns = range(node.GetNumberOfColumns())
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow([node.GetColumnName(column) for column in columns])
        for row in range(node.GetNumberOfRows()):
            writer.writerow([node.GetCellText(row, column) for column in columns])


def saved_message(*paths: Path) -> str:
    """The message that these files were written."""
    return translate("M3LungScreen", "Saved {paths}.").format(
        paths=", ".join(str(each) for each in paths)
    )
