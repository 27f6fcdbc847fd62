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
from .pdf_printer import PdfPrinter
from .review import OPINIONS

# Characters; a path on Windows has 260 in all.
LONGEST_NAME = 80


class SaveSection:
    """Three buttons; a message below them says what was written, or why not."""

    def __init__(self, ui: Any, result: Callable[[], SceneResult | None]) -> None:
        self.ui = ui
        self._result = result
        self._printer = PdfPrinter()
        ui.saveHtmlButton.connect("clicked(bool)", self.onSaveHtml)
        ui.savePdfButton.connect("clicked(bool)", self.onSavePdf)
        ui.saveCsvButton.connect("clicked(bool)", self.onSaveTables)

    def show_result(self, result: SceneResult | None) -> None:
        """Clear the message; disable the report's buttons if there is no report."""
        self.show_message("")
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
        if self._printer.busy:
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
            self.show_message(write(result, path))
        except OSError as problem:
            self.show_message(
                translate(
                    "M3LungScreen", "{path} could not be written: {why}. Choose another folder."
                ).format(path=path, why=problem.strerror or problem)
            )

    def _print_pdf(self, result: SceneResult, path: Path) -> str:
        problem = self._printer.problem()
        if problem:
            return problem
        self._printer.start(report_of(result), path, lambda ok: self._end_pdf(path, ok))
        self._update_buttons()
        return translate("M3LungScreen", "Writing {path}…").format(path=path)

    def _end_pdf(self, path: Path, succeeded: bool) -> None:
        self._update_buttons()
        words = translate(
            "M3LungScreen",
            "{path} could not be written. Save the HTML report and print it from a browser.",
        )
        self.show_message(saved_message(path) if succeeded else words.format(path=path))

    def show_message(self, sentence: str) -> None:
        """The sentence below the buttons; '' hides it."""
        self.ui.savedLabel.text = sentence
        self.ui.savedLabel.visible = bool(sentence)


def file_name_of(volume: Any) -> str:
    """The name of a volume as part of a file name that every system takes; 'CT' without one."""
    name = volume.GetName() if volume is not None else ""
    manager = slicer.app.ioManager()
    return str(manager.forceFileNameValidCharacters(name))[:LONGEST_NAME].strip(" .") or "CT"


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
