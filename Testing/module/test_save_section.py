"""What is kept of a result: the review, the report as HTML and PDF, and the tables."""

import csv
import sys
from pathlib import Path

import pytest

from Testing.stand_ins.dialogs import choose
from Testing.stand_ins.web import WebWidget


def test_a_review_is_kept_with_the_result(screened):
    ui = screened.ui
    assert not ui.recordButton.enabled
    ui.otherButton.click()
    assert "Enter the other diagnosis" in ui.recordButton.toolTip
    ui.noteEdit.text = "organising pneumonia"
    ui.recordButton.click()
    review = screened.results.result.review
    assert (review["opinion"], review["note"]) == ("other", "organising pneumonia")
    assert ui.recordedLabel.text.startswith("Recorded: Other diagnosis")


def test_the_saved_report_holds_the_review(screened, monkeypatch, tmp_path):
    screened.ui.disagreeButton.click()
    screened.ui.noteEdit.text = "oedema <left>"
    screened.ui.recordButton.click()
    choose(monkeypatch, file=tmp_path / "Bericht für Müller")
    screened.ui.saveHtmlButton.click()
    report = (tmp_path / "Bericht für Müller.html").read_text("utf-8")
    assert "Disagree. oedema &lt;left&gt;" in report
    assert "Saved" in screened.ui.savedLabel.text


def test_tables_are_saved_with_named_columns(screened, monkeypatch, tmp_path):
    choose(monkeypatch, file=tmp_path / "slices.csv")
    screened.ui.saveCsvButton.click()
    with (tmp_path / "slices.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    entries = screened.results.result.content["slices"]
    assert [int(row["Slice"]) for row in rows] == [each["index"] for each in entries]
    assert float(rows[15]["P(lesion)"]) == pytest.approx(entries[15]["p_lesion"], abs=1e-4)
    assert (tmp_path / "slices involvement.csv").is_file()


def test_a_folder_that_cannot_be_written_is_named(screened, monkeypatch, tmp_path):
    choose(monkeypatch, file=tmp_path / "not there" / "report.html")
    screened.ui.saveHtmlButton.click()
    assert "could not be written" in screened.ui.savedLabel.text
    assert "Choose another folder." in screened.ui.savedLabel.text


def test_a_pdf_is_printed_by_the_web_widget(screened, monkeypatch, tmp_path, settled):
    import slicer

    monkeypatch.setattr(slicer, "qSlicerWebWidget", WebWidget, raising=False)
    choose(monkeypatch, file=tmp_path / "report.pdf")
    screened.ui.savePdfButton.click()
    settled()
    assert (tmp_path / "report.pdf").read_bytes().startswith(b"%PDF")
    assert screened.ui.savedLabel.text == f"Saved {tmp_path / 'report.pdf'}."
    layout = WebWidget.layouts[-1]
    assert (layout.pageSize().key(), layout.margins().left()) == ("A4", 14)


def test_a_second_click_on_pdf_waits_for_the_first(screened, monkeypatch, tmp_path, settled):
    import slicer

    made = []

    class Counted(WebWidget):
        def __init__(self):
            made.append(self)
            super().__init__()

    monkeypatch.setattr(slicer, "qSlicerWebWidget", Counted, raising=False)
    choose(monkeypatch, file=tmp_path / "report.pdf")
    for _ in range(2):
        screened.ui.savePdfButton.click()
    assert "being written" in screened.ui.savePdfButton.toolTip
    settled()
    assert len(made) == 1
    assert (tmp_path / "report.pdf").is_file()
    assert screened.ui.savePdfButton.enabled


@pytest.mark.parametrize(
    ("name", "begins"),
    [
        ("4: CT CHEST W/O CONTRAST", "4 CT CHEST WO CONTRAST M3LungScreen"),
        ('<a>"b"\\c|d?e*f', "abcdef M3LungScreen"),
        ("胸部", "CT M3LungScreen"),
        ("Thorax 1.25 ", "Thorax 1.25 M3LungScreen"),
        ("..", "CT M3LungScreen"),
        ("x" * 300, "x" * 80 + " M3LungScreen"),
    ],
)
def test_proposed_file_names_are_valid_on_every_system(
    screened, monkeypatch, tmp_path, name, begins
):
    proposed = []
    dialog = sys.modules["qt"].QFileDialog
    monkeypatch.setattr(dialog, "getSaveFileName", lambda *a: proposed.append(a[2]) or "")
    screened.results.result.volume.SetName(name)
    suffixes = {"saveHtmlButton": ".html", "savePdfButton": ".pdf", "saveCsvButton": ".csv"}
    for button, suffix in suffixes.items():
        getattr(screened.ui, button).click()
        assert proposed.pop() == begins + suffix


def test_no_other_file_asks_for_a_name_to_save():
    module = Path(__file__).parents[2] / "M3LungScreen"
    asking = [e.name for e in module.rglob("*.py") if "getSaveFileName" in e.read_text("utf-8")]
    assert asking == ["save_section.py"]


def test_a_dot_in_a_name_is_no_suffix(screened, monkeypatch, tmp_path):
    choose(monkeypatch, file=tmp_path / "Lung 1.25")
    screened.ui.saveHtmlButton.click()
    assert (tmp_path / "Lung 1.25.html").is_file()


def test_a_page_that_cannot_be_printed_is_told(screened, monkeypatch, tmp_path, settled):
    import slicer

    broken = type("BrokenWidget", (WebWidget,), {"loads": False})
    monkeypatch.setattr(slicer, "qSlicerWebWidget", broken, raising=False)
    choose(monkeypatch, file=tmp_path / "report.pdf")
    screened.ui.savePdfButton.click()
    settled()
    assert "Save the HTML report and print it from a browser." in screened.ui.savedLabel.text
