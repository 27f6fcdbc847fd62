"""'Save as DICOM': four objects in the patient's study in Slicer's DICOM database."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import slicer
from slicer.i18n import translate

from ..packages import version_of
from ..scene.scene_result import SceneResult
from .dicom_database import add_to_database, database, files_of, instances_of
from .pdf_printer import PdfPrinter
from .save_section import report_of

PDF = "M3LungScreen DICOM report.pdf"
# The first that highdicom accepts; Slicer 5.10 has an older one, which stays.
LEAST_PYDICOM = 3
OnEnd = Callable[[str, Path | None], None]


class DicomMaker(Protocol):
    """Makes DICOM objects in the child process."""

    def with_packages(self, start: Callable[[], None]) -> None:
        """Install what DICOM objects need, if the user agrees; then call `start`."""

    def make_dicom(self, result: SceneResult, files: list[Path], pdf: Path, on_end: OnEnd) -> None:
        """`on_end` gets a sentence if it failed, else the folder, which is deleted afterwards."""


class DicomSection:
    """The button, why it is disabled, and what was saved."""

    def __init__(self, ui: Any, maker: DicomMaker, show_message: Callable[[str], None]) -> None:
        self.ui = ui
        self._maker = maker
        self._show_message = show_message
        self._printer = PdfPrinter()
        self._result: SceneResult | None = None
        ui.saveDicomButton.connect("clicked(bool)", self.onSaveDicom)

    def show_result(self, result: SceneResult | None) -> None:
        self._result = result
        self._update_button()

    def _update_button(self) -> None:
        problem = self._problem()
        self.ui.saveDicomButton.enabled = not problem
        self.ui.saveDicomButton.toolTip = problem or translate(
            "M3LungScreen",
            "Save segmentation, location map, measurements and report as DICOM in the patient's "
            "study, in Slicer's DICOM database.",
        )

    def _problem(self) -> str:
        if self._printer.busy:
            return translate("M3LungScreen", "The DICOM objects are being made.")
        return problem_with(self._result) or self._printer.problem()

    def onSaveDicom(self) -> None:
        result = self._result
        if result is not None:
            self._maker.with_packages(lambda: self._print(result))

    def _print(self, result: SceneResult) -> None:
        """The report first, which Qt prints; the rest is made in the child process."""
        pdf = Path(slicer.app.temporaryPath) / PDF
        try:
            self._printer.start(report_of(result), pdf, lambda ok: self._make(result, pdf, ok))
        except OSError as wrong:
            self._end(pdf, _not_written(wrong.strerror or str(wrong)), None)
            return
        self._show_message(translate("M3LungScreen", "Making the DICOM objects…"))
        self._update_button()

    def _make(self, result: SceneResult, pdf: Path, printed: bool) -> None:
        self._update_button()
        problem = problem_with(result)  # the scene may have changed meanwhile
        if not printed:
            problem = _not_written(translate("M3LungScreen", "the report could not be printed"))
        if problem:
            self._end(pdf, problem, None)
            return
        self._maker.make_dicom(
            result,
            files_of(result.volume),
            pdf,
            lambda problem, folder: self._end(pdf, problem, folder),
        )

    def _end(self, pdf: Path, problem: str, folder: Path | None) -> None:
        pdf.unlink(missing_ok=True)
        if folder is not None and not add_to_database(folder):
            problem = translate(
                "M3LungScreen",
                "Slicer's DICOM database did not accept all objects. Check its folder and free "
                "disk space in the module DICOM.",
            )
        self._show_message(
            problem
            or translate(
                "M3LungScreen",
                "Saved four DICOM objects in the patient's study in Slicer's DICOM database. They "
                "are preliminary and unverified.",
            )
        )


def problem_with(result: SceneResult | None) -> str:
    """Why no DICOM objects can be made of a result, in one sentence; '' if they can."""
    if result is None or not result.report:
        return translate("M3LungScreen", "This result has no report. Screen the CT again.")
    if int((version_of("pydicom") or "0").partition(".")[0]) < LEAST_PYDICOM:
        return translate("M3LungScreen", "DICOM objects need Slicer 5.11 or later.")
    if not instances_of(result.volume):
        return translate(
            "M3LungScreen",
            "This CT was not loaded from Slicer's DICOM database, so its patient and study are "
            "unknown. Import and load it in the module DICOM.",
        )
    if result.frame:
        return translate(
            "M3LungScreen", "This CT is a frame of a sequence, which cannot be saved as DICOM."
        )
    if result.content["patient"] is None:
        return translate(
            "M3LungScreen", "A single slice has no verdict on the patient. Screen a whole series."
        )
    if result.label_map is None or result.location_map is None:
        return translate("M3LungScreen", "A part of this result was deleted. Screen the CT again.")
    if database() is None:
        return translate(
            "M3LungScreen", "Slicer's DICOM database is not open. Open it in the module DICOM."
        )
    if len(files_of(result.volume)) < len(instances_of(result.volume)):
        return translate(
            "M3LungScreen",
            "Files of this CT are no longer in Slicer's DICOM database. Import them again.",
        )
    return ""


def _not_written(why: str) -> str:
    words = translate("M3LungScreen", "The DICOM objects could not be made: {why}.")
    return words.format(why=why)
