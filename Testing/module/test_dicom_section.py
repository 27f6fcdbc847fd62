"""Save as DICOM: when it can, what the child is asked, and what is in the database at the end."""

import json
import sys
from pathlib import Path

import numpy as np
import pydicom
import pytest
from M3LungScreenSlicer import installation
from M3LungScreenSlicer.scene.nodes import remove_nodes
from M3LungScreenSlicer.scene.results import add_result
from M3LungScreenSlicer.scene.scene_result import FRAME_ATTRIBUTE
from M3LungScreenSlicer.screening_logic import ScreeningLogic
from M3LungScreenSlicer.screening_session import State

from M3LungScreenLib.outputs.folder import write
from M3LungScreenLib.reading import read_ct
from Testing.conftest import plausible_result, small_chest, small_lesions
from Testing.stand_ins.dicom import write_series
from Testing.stand_ins.dicom_database import DicomDatabase, dicom_lib
from Testing.stand_ins.mrml_scene import add_volume, ijk_to_ras_of
from Testing.stand_ins.web import WebWidget
from Testing.stand_ins.worker import served

INSTANCES = "DICOM.instanceUIDs"


class WorkerHere:
    """The child in this process: it answers what the library's worker answers."""

    def __init__(self):
        self.asked = []
        self.running = False

    def start(self, on_line, on_exit):
        self.running, self._on_line = True, on_line
        on_line(json.dumps({"event": "hello", "packages": {}, "devices": []}))

    def send(self, line):
        self.asked.append(json.loads(line))

    def work(self):
        for event in served(self.asked[-1])[1:]:
            self._on_line(json.dumps(event))

    def kill(self):
        self.running = False


@pytest.fixture
def series(tmp_path):
    """A DICOM series of the small chest, as read by the library."""
    write_series(tmp_path / "series", small_chest()[0], FrameOfReferenceUID="1.2.3")
    return read_ct(tmp_path / "series")


@pytest.fixture
def database(series, tmp_path, monkeypatch):
    import slicer

    made = DicomDatabase(tmp_path / "database", series.dicom_files)
    monkeypatch.setattr(slicer, "dicomDatabase", made, raising=False)
    monkeypatch.setattr(slicer, "qSlicerWebWidget", WebWidget, raising=False)
    monkeypatch.setitem(sys.modules, "DICOMLib", dicom_lib())
    return made


@pytest.fixture
def child():
    return WorkerHere()


@pytest.fixture
def saved(window, scene, series, database, child, open_widget, nothing_missing, tmp_path):
    """The panel on a screened CT that came from the database; temporary files in tmp_path/kept."""
    from slicer.ScriptedLoadableModule import ScriptedLoadableModuleLogic

    (tmp_path / "kept").mkdir()

    class Logic(ScreeningLogic, ScriptedLoadableModuleLogic):
        def __init__(self):
            ScriptedLoadableModuleLogic.__init__(self)
            self.moduleName = "M3LungScreen"
            ScreeningLogic.__init__(self, scene, lambda: child, tmp_path / "kept")

    _, lungs = small_chest()
    result = plausible_result(
        series, lungs, small_lesions(lungs, 1), patient=np.array([0.02, 0.94, 0.02, 0.02])
    )
    ijk_to_ras = ijk_to_ras_of(series.stored)
    ct = add_volume(scene, series.in_stored_order(series.hu).copy(), ijk_to_ras, "4: CT CHEST W/O")
    ct.SetAttribute(INSTANCES, " ".join(database.paths))
    add_result(scene, ct, write(result, tmp_path / "result", volumes="raw"))
    widget = open_widget(Logic())
    widget.made_result = result
    return widget


def reason(widget):
    widget.results._dicom.show_result(widget.results.result)
    assert not widget.ui.saveDicomButton.enabled
    return widget.ui.saveDicomButton.toolTip


def test_four_objects_are_in_the_patients_study_of_the_database(
    saved, child, database, settled, tmp_path
):
    before = set(database.paths)
    assert saved.ui.saveDicomButton.enabled
    saved.ui.saveDicomButton.click()
    assert "being made" in saved.ui.saveDicomButton.toolTip
    settled()
    assert saved.ui.screenButton.text == "Cancel"
    child.work()
    assert "Saved four DICOM objects" in saved.ui.savedLabel.text
    made = [pydicom.dcmread(path) for uid, path in database.paths.items() if uid not in before]
    assert sorted(each.Modality for each in made) == ["DOC", "OT", "SEG", "SR"]
    study = pydicom.dcmread(database.paths[next(iter(before))]).StudyInstanceUID
    assert {each.StudyInstanceUID for each in made} == {study}
    document = next(each for each in made if each.Modality == "DOC")
    assert document.EncapsulatedDocument.startswith(b"%PDF")
    lesions = next(each for each in made if each.Modality == "SEG")
    assert lesions.pixel_array.sum() == (saved.made_result.arrays.lesions > 0).sum()
    assert not list((tmp_path / "kept").rglob("*.raw"))
    assert saved.ui.screenButton.text == "Screen"


def test_a_ct_that_was_cropped_or_edited_is_refused_by_the_child(saved, child, settled):
    volume = saved.results.result.label_map
    origin = np.array(volume.GetOrigin()) + (0, 0, 9)
    volume.SetOrigin(*origin)
    saved.ui.saveDicomButton.click()
    settled()
    child.work()
    assert "it was cropped, resampled, moved or edited" in saved.ui.savedLabel.text


def test_a_file_of_a_volume_has_no_patient(saved):
    saved.results.result.volume.RemoveAttribute(INSTANCES)
    assert "was not loaded from Slicer's DICOM database" in reason(saved)


def test_files_that_left_the_database_are_told(saved, database):
    Path(database.paths[next(iter(database.paths))]).unlink()
    assert "no longer in Slicer's DICOM database" in reason(saved)


def test_a_closed_database_is_told(saved, database):
    database.isOpen = False
    assert "is not open" in reason(saved)


def test_a_frame_of_a_sequence_cannot_be_saved(saved):
    saved.results.result.node.SetAttribute(FRAME_ATTRIBUTE, json.dumps({"words": "frame 2"}))
    assert "frame of a sequence" in reason(saved)


def test_a_result_with_a_part_deleted_cannot_be_saved(saved, scene):
    remove_nodes(scene, [saved.results.result.label_map])
    assert "part of this result was deleted" in reason(saved)


def test_an_old_slicer_keeps_its_pydicom(saved, monkeypatch):
    from M3LungScreenSlicer.panel import dicom_section

    monkeypatch.setattr(dicom_section, "version_of", lambda name: "2.4.4")
    assert "need Slicer 5.11 or later" in reason(saved)


def test_a_slicer_that_cannot_print_is_told(saved, monkeypatch):
    import slicer

    monkeypatch.delattr(slicer, "qSlicerWebWidget")
    assert "cannot write PDF files" in reason(saved)


def test_a_report_that_cannot_be_printed_is_told(saved, child, monkeypatch, settled):
    import slicer

    broken = type("BrokenWidget", (WebWidget,), {"loads": False})
    monkeypatch.setattr(slicer, "qSlicerWebWidget", broken)
    saved.ui.saveDicomButton.click()
    settled()
    assert "could not be made: the report could not be printed." in saved.ui.savedLabel.text
    assert child.asked == []


def test_cancel_saves_nothing(saved, child, database, settled, tmp_path):
    before = dict(database.paths)
    saved.ui.saveDicomButton.click()
    settled()
    saved.ui.screenButton.click()
    assert "No DICOM objects were saved" in saved.ui.savedLabel.text
    assert child.asked[-1]["command"] == "cancel"
    assert database.paths == before
    assert saved.ui.screenButton.text == "Screen"
    assert not list((tmp_path / "kept").rglob("*.raw"))


def test_a_database_that_refuses_is_told(saved, child, database, settled):
    database.accepts = False
    saved.ui.saveDicomButton.click()
    settled()
    child.work()
    assert "did not accept all objects" in saved.ui.savedLabel.text


def test_highdicom_is_installed_first(saved, child, monkeypatch, settled):
    asked = []

    def missing(path, extras=()):
        return ["highdicom>=0.25"] if "dicom" in extras and not asked else []

    monkeypatch.setattr(installation, "missing_packages", missing)
    monkeypatch.setattr(installation, "ask", lambda plan: None)
    monkeypatch.setattr(saved.logic, "install", lambda plan, on_status: asked.append(on_status))
    saved.ui.saveDicomButton.click()
    assert child.asked == []
    asked[0](saved.logic.status.__class__(State.INSTALLED))
    settled()
    assert child.asked[-1]["command"] == "dicom"


def test_the_ct_may_be_screened_afterwards(saved, child, settled):
    saved.ui.saveDicomButton.click()
    settled()
    child.work()
    assert saved.ui.screenButton.enabled
    saved.ui.screenButton.click()
    assert child.asked[-1]["command"] == "screen"
