"""The widget driven as a user drives it: every handler is clicked on a real scene."""

import csv
import re
import sys
import xml.etree.ElementTree as ET
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from Testing.stand_ins.mrml_scene import add_volume, ijk_to_ras_of

MODULE = Path(__file__).parents[2] / "M3LungScreen"
FORM = MODULE / "Resources" / "UI" / "M3LungScreen.ui"


@pytest.fixture
def window(scene):
    """Slicer's window without Slicer; what a slot raised fails the test."""
    from Testing.stand_ins import pythonqt
    from Testing.stand_ins.slicer_application import install

    application = install(MODULE / "M3LungScreen.py")
    with pythonqt.nothing_raised():
        yield application


@pytest.fixture
def settled(window):
    """settled() lets the event loop do what is due."""

    def settle():
        for _ in range(5):
            window.processEvents()

    return settle


@pytest.fixture
def a_slice_view(scene):
    """An axial slice view's node with its layers."""
    import slicer

    slicer.vtkMRMLSliceNode.AddDefaultSliceOrientationPresets(scene)
    node = scene.AddNewNodeByClass("vtkMRMLSliceNode")
    node.SetLayoutName("Red")
    node.SetOrientation("Axial")
    composite = slicer.vtkMRMLSliceCompositeNode()
    composite.SetLayoutName("Red")
    scene.AddNode(composite)
    return SimpleNamespace(node=node, layers=composite)


@pytest.fixture
def a_small_ct(scene, make_result, a_slice_view):
    """The CT of the made-up results."""
    volume = make_result("covid19").volume
    return add_volume(scene, volume.hu, ijk_to_ras_of(volume.geometry), "CT of the chest")


@pytest.fixture
def nothing_missing(window, monkeypatch):
    from M3LungScreenSlicer import installation

    monkeypatch.setattr(installation, "missing_packages", lambda requirements: [])


@pytest.fixture
def open_module(window, scene, nothing_missing):
    """open_module() opens the module as Slicer does; closed at the end."""
    from M3LungScreenSlicer.library import make_importable

    make_importable()
    from M3LungScreenSlicer.panel.widget import M3LungScreenWidget

    from Testing.stand_ins.screening import M3LungScreenLogic
    from Testing.stand_ins.slicer_application import a_parent

    opened = []

    def make():
        parent = a_parent()
        widget = M3LungScreenWidget(parent, M3LungScreenLogic(scene))
        widget.setup()
        parent.isEntered = True
        widget.enter()
        parent.show()
        opened.append(widget)
        return widget

    yield make
    for widget in opened:
        widget.cleanup()
        widget.parent.hide()
        widget.parent.deleteLater()


@pytest.fixture
def widget(a_small_ct, open_module):
    return open_module()


@pytest.fixture
def screened(widget, result_folder):
    """The widget after a run that found COVID-19."""
    _, folder = result_folder("covid19")
    widget.ui.screenButton.click()
    widget.logic.finish(folder)
    return widget


def test_every_widget_that_the_code_names_is_in_the_form():
    names = {each.get("name") for each in ET.parse(FORM).iter("widget")}
    sources = "\n".join(
        p.read_text("utf-8") for p in (MODULE / "M3LungScreenSlicer/panel").glob("*.py")
    )
    used = set(re.findall(r"\bui\.(\w+)", sources))
    assert len(used) > 30
    assert used <= names


def test_every_parameter_in_the_form_is_one_of_the_parameter_node(window):
    from M3LungScreenSlicer.panel.parameters import M3LungScreenParameterNode

    bound = [
        each.findtext("string")
        for each in ET.parse(FORM).iter("property")
        if each.get("name") == "SlicerParameterName"
    ]
    assert len(bound) == len(set(bound)) > 6
    assert set(bound) <= set(M3LungScreenParameterNode.allParameters)


def test_every_mrml_widget_of_the_form_gets_the_scene():
    form = ET.parse(FORM)
    needing = {e.get("name") for e in form.iter("widget") if e.get("class") == "qMRMLNodeComboBox"}
    connected = {each.findtext("receiver") for each in form.iter("connection")}
    assert needing == connected


def test_every_button_has_a_tooltip_or_plain_words():
    for each in ET.parse(FORM).iter("widget"):
        if each.get("class") in ("QPushButton", "QToolButton", "QComboBox", "QCheckBox"):
            properties = {p.get("name") for p in each.findall("property")}
            assert "toolTip" in properties, each.get("name")


def test_the_only_volume_is_chosen_in_the_lung_window(widget, a_small_ct):
    assert widget.ui.inputSelector.currentNode() is a_small_ct
    display = a_small_ct.GetDisplayNode()
    assert (display.GetWindow(), display.GetLevel()) == (1200, -600)
    assert widget.ui.screenButton.enabled
    assert not widget.ui.reasonLabel.visible


def test_window_and_level_go_back_to_what_they_were(a_small_ct, open_module):
    display = a_small_ct.GetDisplayNode()
    display.AutoWindowLevelOff()
    display.SetWindowLevel(350, 40)
    widget = open_module()
    widget.ui.windowBackButton.click()
    assert (display.GetWindow(), display.GetLevel()) == (350, 40)
    assert not widget.ui.windowBackButton.enabled
    widget.ui.lungWindowButton.click()
    assert (display.GetWindow(), display.GetLevel()) == (1200, -600)


def test_another_ct_is_shown_in_the_lung_window_when_it_is_chosen(widget, scene, a_slice_view):
    array = a_small_ct_array(widget.ui.inputSelector.currentNode())
    other = add_volume(scene, array, name="Another CT")
    widget.ui.inputSelector.setCurrentNode(other)
    assert other.GetDisplayNode().GetWindow() == 1200
    assert a_slice_view.layers.GetBackgroundVolumeID() == other.GetID()


def test_a_map_made_by_a_screening_is_left_as_it_is(screened, a_slice_view):
    made = screened._result.location_map
    window = made.GetDisplayNode().GetWindow()
    screened.ui.inputSelector.setCurrentNode(made)
    assert made.GetDisplayNode().GetWindow() == window
    assert "was made by a screening" in screened.ui.reasonLabel.text


def test_of_several_cts_the_active_one_is_chosen(
    scene, a_small_ct, open_module, window, monkeypatch
):
    other = add_volume(scene, a_small_ct_array(a_small_ct), name="Another CT")
    selection = SimpleNamespace(GetActiveVolumeID=other.GetID)
    logic = SimpleNamespace(GetSelectionNode=lambda: selection)
    monkeypatch.setattr(window, "applicationLogic", lambda: logic)
    assert open_module().ui.inputSelector.currentNode() is other


def test_of_several_cts_none_is_guessed(scene, a_small_ct, open_module):
    add_volume(scene, a_small_ct_array(a_small_ct), name="Another CT")
    widget = open_module()
    assert widget.ui.inputSelector.currentNode() is None
    assert not widget.ui.screenButton.enabled


def test_without_a_volume_the_button_is_disabled_and_says_why(open_module):
    ui = open_module().ui
    assert not ui.screenButton.enabled
    assert ui.reasonLabel.visible
    assert ui.reasonLabel.text == ui.screenButton.toolTip
    assert "Load a chest CT" in ui.reasonLabel.text


def test_a_click_starts_on_the_chosen_volume_model_and_device(widget, a_small_ct):
    widget.logic.tell(hello={"devices": [GPU, CPU]})
    widget.ui.deviceSelector.currentIndex = 1
    widget.ui.deviceSelector.activated.emit(1)
    widget.ui.screenButton.click()
    called, volume, model, device = widget.logic.calls[-1]
    assert (called, volume, device) == ("start", a_small_ct, "cuda:0")
    assert (model / "model.json").is_file()


GPU = {"name": "cuda:0", "description": "NVIDIA H200", "free_mb": 141312}
CPU = {"name": "cpu", "description": "CPU, 8 cores", "free_mb": None}


def test_devices_are_shown_with_their_free_memory(widget):
    widget.logic.tell(hello={"devices": [GPU, CPU]})
    box = widget.ui.deviceSelector
    shown = [box.itemText(i) for i in range(box.count)]
    assert shown == ["Automatic", "NVIDIA H200, 138.0 GB free", "CPU, 8 cores"]


def test_while_running_the_button_is_cancel_beside_a_moving_bar(widget):
    widget.ui.screenButton.click()
    assert widget.ui.screenButton.text == "Cancel"
    assert widget.ui.progressBar.maximum == 0
    widget.logic.run_for_a_while()
    assert widget.ui.progressBar.value == 420
    assert widget.ui.progressLabel.text == "Looking at each slice, about 24 s left"


def test_cancel_leaves_the_scene_as_it_was(widget, scene):
    from Testing.stand_ins.mrml_scene import node_names

    before = node_names(scene)
    widget.ui.screenButton.click()
    widget.logic.give_provisional()
    widget.ui.screenButton.click()
    assert widget.logic.calls[-1] == ("cancel",)
    assert node_names(scene) == before
    assert widget.ui.screenButton.text == "Screen"
    assert "Cancelled." in widget.ui.messageLabel.text


def test_a_provisional_verdict_is_replaced_by_the_final_one(widget, result_folder):
    _, folder = result_folder("h1n1")
    widget.ui.screenButton.click()
    widget.logic.give_provisional()
    assert "Provisional" in widget.ui.sureLabel.text
    widget.logic.finish(folder)
    assert "H1N1" in widget.ui.verdictLabel.text
    assert "Provisional" not in widget.ui.sureLabel.text


def test_choices_rest_while_running(widget):
    widget.ui.screenButton.click()
    for name in ("inputSelector", "modelSelector", "deviceSelector"):
        assert not getattr(widget.ui, name).enabled
    widget.ui.screenButton.click()
    assert widget.ui.inputSelector.enabled


def test_a_run_goes_on_while_another_module_is_open(widget, result_folder, a_small_ct):
    from M3LungScreenSlicer.scene.results import result_of

    _, folder = result_folder("covid19")
    widget.ui.screenButton.click()
    widget.exit()
    widget.logic.finish(folder)
    assert result_of(a_small_ct) is not None
    widget.enter()
    assert "COVID-19" in widget.ui.verdictLabel.text
    assert widget._parameters.locationThreshold == pytest.approx(0.5)


def test_a_result_of_another_ct_does_not_take_the_panel(widget, result_folder, scene, a_small_ct):
    _, folder = result_folder("covid19")
    widget.ui.screenButton.click()
    other = add_volume(scene, a_small_ct_array(a_small_ct), name="Another CT")
    widget._parameters.inputVolume = other
    widget.logic.finish(folder)
    assert widget.ui.verdictLabel.text == "<b>No result yet.</b>"
    widget.ui.inputSelector.setCurrentNode(a_small_ct)
    assert "COVID-19" in widget.ui.verdictLabel.text


def a_small_ct_array(node):
    from M3LungScreenSlicer.scene.volumes import voxels

    return voxels(node).copy()


def test_a_reloaded_scene_shows_the_panel_again(screened, scene, settled, tmp_path):
    screened.ui.opacitySlider.value = 0.8
    screened.ui.agreeButton.click()
    screened.ui.recordButton.click()
    rows = screened.ui.sliceTable.rowCount
    scene.SetRootDirectory(str(tmp_path))
    assert scene.WriteToMRB(str(tmp_path / "Szene.mrb"))
    scene.Clear(False)
    settled()
    assert screened.ui.verdictLabel.text == "<b>No result yet.</b>"
    assert scene.ReadFromMRB(str(tmp_path / "Szene.mrb"))
    settled()
    assert "COVID-19" in screened.ui.verdictLabel.text
    assert screened.ui.sliceTable.rowCount == rows
    assert screened.ui.opacitySlider.value == pytest.approx(0.8)
    assert screened.ui.recordedLabel.text.startswith("Recorded: Agree")


def test_a_refusal_is_one_sentence_and_the_next_click_works(widget):
    from M3LungScreenSlicer.screening_session import State

    widget.ui.screenButton.click()
    widget.logic.tell(state=State.REFUSED, message="No lung was found. Choose the chest series.")
    assert "No lung was found." in widget.ui.messageLabel.text
    assert not widget.ui.detailsButton.visible
    widget.ui.screenButton.click()
    assert widget.logic.calls[-1][0] == "start"
    assert not widget.ui.messageLabel.visible


def test_the_last_words_of_a_crash_are_in_the_details(widget):
    from M3LungScreenSlicer.screening_session import State

    widget.ui.screenButton.click()
    widget.logic.tell(state=State.FAILED, message="It ended.", details="line 1\nline 2")
    assert not widget.ui.detailsText.visible
    widget.ui.detailsButton.click()
    assert widget.ui.detailsText.visible
    assert widget.ui.detailsText.plainText == "line 1\nline 2"


def test_missing_packages_are_asked_for_and_a_no_is_told(widget, monkeypatch):
    from M3LungScreenSlicer import installation

    def refuse(requirements):
        raise installation.InstallationRefused("PyTorch is needed. Install it, then click Screen.")

    monkeypatch.setattr(installation, "missing_packages", lambda requirements: ["torch"])
    monkeypatch.setattr(installation, "ensure_packages", refuse)
    widget.ui.screenButton.click()
    assert "PyTorch is needed." in widget.ui.messageLabel.text
    assert all(call[0] != "start" for call in widget.logic.calls)


def test_packages_from_a_folder_are_installed(widget, monkeypatch, tmp_path):
    from M3LungScreenSlicer import installation

    asked = []
    monkeypatch.setattr(installation, "install_from_folder", lambda *paths: asked.append(paths))
    choose(monkeypatch, folder=tmp_path)
    widget.ui.installButton.click()
    assert asked == [(tmp_path, MODULE / "Resources" / "requirements.txt")]
    assert "installed" in widget.ui.messageLabel.text


def choose(monkeypatch, folder=None, file=None):
    """What the user answers in a file dialog."""
    dialog = sys.modules["qt"].QFileDialog
    monkeypatch.setattr(dialog, "getExistingDirectory", lambda *a: str(folder or ""))
    monkeypatch.setattr(dialog, "getSaveFileName", lambda *a: str(file or ""))


def test_overlays_lie_over_the_ct_as_the_sliders_say(screened, a_slice_view, a_small_ct):
    layers, ui = a_slice_view.layers, screened.ui
    result = screened._result
    ui.opacitySlider.value = 0.3
    ui.thresholdSlider.value = 0.6
    assert layers.GetBackgroundVolumeID() == a_small_ct.GetID()
    assert layers.GetForegroundVolumeID() == result.location_map.GetID()
    assert layers.GetForegroundOpacity() == pytest.approx(0.3)
    assert result.location_map.GetDisplayNode().GetLowerThreshold() == pytest.approx(0.6)
    ui.labelMapCheckBox.click()
    assert layers.GetLabelVolumeID() == result.label_map.GetID()


def test_the_location_map_hides_on_slices_called_healthy(screened, a_slice_view):
    healthy = next(e for e in screened._result.content["slices"] if e["predicted"] == "healthy")
    screened._jump(healthy["index"])
    assert a_slice_view.layers.GetForegroundOpacity() == 0
    screened.ui.healthyCheckBox.click()
    assert a_slice_view.layers.GetForegroundOpacity() > 0


def test_a_result_begins_at_the_most_suspicious_slice(screened):
    slices = [e for e in screened._result.content["slices"] if e["screened"]]
    worst = max(slices, key=lambda each: each["p_lesion"])
    assert f"Slice {worst['index']}" in screened.ui.sliceLabel.text


def test_a_second_run_tells_of_the_slice_again(screened, result_folder):
    _, folder = result_folder("cap")
    screened.ui.screenButton.click()
    screened.logic.finish(folder)
    index = screened._entry["index"]
    assert screened.ui.sliceLabel.text.startswith(f"<b>Slice {index}</b>")
    assert "CAP</b>" in screened.ui.sliceLabel.text


def test_next_and_previous_stay_on_slices_not_called_healthy(screened):
    found = [e["index"] for e in screened._result.content["slices"] if e["predicted"] == "covid19"]
    screened._jump(found[0])
    screened.ui.nextButton.click()
    assert screened._entry["index"] == found[1]
    screened.ui.previousButton.click()
    assert screened._entry["index"] == found[0]
    screened.ui.suspiciousButton.click()
    assert screened._entry["index"] in found


def test_a_click_on_a_row_jumps_to_its_slice(screened):
    table = screened.ui.sliceTable
    index = int(table.item(2, 0).text())
    table.cellClicked.emit(2, 1)
    assert screened._entry["index"] == index
    assert f"Slice {index}" in screened.ui.sliceLabel.text
    assert table.currentRow() == 2


def test_a_review_is_kept_with_the_result(screened):
    ui = screened.ui
    assert not ui.recordButton.enabled
    ui.otherButton.click()
    assert "Write the other diagnosis" in ui.recordButton.toolTip
    ui.noteEdit.text = "organising pneumonia"
    ui.recordButton.click()
    review = screened._result.review
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
    entries = screened._result.content["slices"]
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

    from Testing.stand_ins.web import WebWidget

    monkeypatch.setattr(slicer, "qSlicerWebWidget", WebWidget, raising=False)
    choose(monkeypatch, file=tmp_path / "report.pdf")
    screened.ui.savePdfButton.click()
    settled()
    assert (tmp_path / "report.pdf").read_bytes().startswith(b"%PDF")
    assert screened.ui.savedLabel.text == f"Saved {tmp_path / 'report.pdf'}."


def test_lesions_become_a_segmentation(screened):
    screened.ui.segmentationButton.click()
    segmentation = screened._result.segmentation.GetSegmentation()
    assert segmentation.GetNumberOfSegments() == 1
    assert "COVID-19" in segmentation.GetNthSegment(0).GetName()


def test_lesions_are_shown_in_3d_and_hidden_again(screened):
    screened.ui.surfaceCheckBox.click()
    display = screened._result.segmentation.GetDisplayNode()
    assert display.GetVisibility3D()
    screened.ui.surfaceCheckBox.click()
    assert not display.GetVisibility3D()


def test_a_model_from_a_folder_is_chosen_with_its_card(widget, monkeypatch, a_bundle_elsewhere):
    choose(monkeypatch, folder=a_bundle_elsewhere)
    widget.ui.openModelButton.click()
    assert str(a_bundle_elsewhere) in widget.ui.cardLabel.text
    widget.ui.screenButton.click()
    assert widget.logic.calls[-1][2] == a_bundle_elsewhere


def test_a_damaged_model_disables_the_button_and_says_why(widget, monkeypatch, a_bundle_elsewhere):
    weights = a_bundle_elsewhere / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"!")
    choose(monkeypatch, folder=a_bundle_elsewhere)
    widget.ui.openModelButton.click()
    assert not widget.ui.screenButton.enabled
    assert "damaged" in widget.ui.reasonLabel.text


@pytest.fixture
def a_bundle_elsewhere(tmp_path):
    import shutil

    folder = tmp_path / "ein Modell für später"
    return Path(shutil.copytree(MODULE.parent / "Resources" / "Models" / "compact", folder))


def test_a_models_folder_is_remembered(widget, monkeypatch, a_bundle_elsewhere, tmp_path):
    qt = sys.modules["qt"]
    monkeypatch.setattr(qt, "QSettings", lambda: kept)
    kept = SimpleNamespace(values={}, value=lambda key: kept.values.get(key))
    kept.setValue = kept.values.__setitem__
    before = widget.ui.modelSelector.count
    choose(monkeypatch, folder=tmp_path)
    widget.ui.modelFolderButton.click()
    assert kept.values == {"M3LungScreen/ModelsFolder": str(tmp_path)}
    assert widget.ui.modelSelector.count == before + 1


def test_the_crop_rectangle_lies_around_the_lungs(screened, scene):
    from M3LungScreenSlicer.panel.researcher_section import CROP_NODE

    screened.ui.cropCheckBox.click()
    node = scene.GetFirstNodeByName(CROP_NODE)
    bounds = [0.0] * 6
    node.GetBounds(bounds)
    spacing = (6.0, 7.5)
    _, _, rows, columns = screened._entry["crop"]
    assert bounds[1] - bounds[0] == pytest.approx(columns * spacing[0])
    assert bounds[3] - bounds[2] == pytest.approx(rows * spacing[1])
    screened.ui.cropCheckBox.click()
    assert scene.GetFirstNodeByName(CROP_NODE) is None


def test_six_stages_of_the_crop_are_shown_and_follow_the_slice(screened):
    screened.ui.stagesButton.click()
    first = screened.ui.stagesLabel.pixmap.toImage()
    assert (first.width(), first.height()) == (3 * 128, 2 * 128)
    screened._jump(0)  # above the lungs
    assert screened.ui.stagesLabel.pixmap.toImage() != first
    screened.ui.stagesButton.click()
    assert not screened.ui.stagesLabel.visible


def test_attention_maps_lie_over_the_crop_window_by_window(
    widget, result_folder, a_slice_view, scene
):
    from dataclasses import replace

    from M3LungScreenSlicer.scene.volumes import voxels

    from M3LungScreenLib.outputs.folder import write

    result, folder = result_folder("covid19")
    maps = {e.index: np.full((3, 7, 9), e.index / 50, np.float16) for e in result.slices}
    for each in maps.values():
        each[1] += 0.25
    write(replace(result, attention=maps), folder, volumes="raw")
    widget.ui.screenButton.click()
    widget.logic.finish(folder)
    choose_attention(widget, 3)
    node = scene.GetNodeByID(a_slice_view.layers.GetForegroundVolumeID())
    index, crop = widget._entry["index"], widget._entry["crop"]
    assert voxels(node) == pytest.approx(index / 50 + 0.25, abs=1e-3)
    assert bounds_of(node)[:2] == pytest.approx((crop[3] * 6.0, crop[2] * 7.5))
    choose_attention(widget, 0)
    shown = a_slice_view.layers.GetForegroundVolumeID()
    assert shown == widget._result.location_map.GetID()


def test_a_result_without_attention_maps_shows_none(screened, scene):
    from M3LungScreenSlicer.scene.attention import OVERLAY

    choose_attention(screened, 1)
    assert scene.GetFirstNodeByName(OVERLAY) is None  # that result brought no maps
    names = [screened.ui.attentionSelector.itemText(i) for i in range(5)]
    assert names[:3] == ["Off", "Mean of the windows", "Window centred at −700 HU"]


def choose_attention(widget, index):
    widget.ui.attentionSelector.currentIndex = index
    widget.ui.attentionSelector.activated.emit(index)


def bounds_of(node):
    """Extent in R, A and S, mm, to the outer edges of the voxels."""
    bounds = [0.0] * 6
    node.GetRASBounds(bounds)
    return [bounds[1] - bounds[0], bounds[3] - bounds[2], bounds[5] - bounds[4]]


def test_the_chart_comes_with_a_layout_and_goes_back_to_the_users(screened, window, monkeypatch):
    from Testing.stand_ins.layout import LayoutManager

    manager = LayoutManager()
    monkeypatch.setattr(window, "layout_manager", manager)
    manager.use_plots(monkeypatch)
    screened.ui.chartCheckBox.click()
    assert manager.shown is screened._result.chart
    manager.click_on_point(7)
    assert screened._entry["index"] == 7
    screened.ui.chartCheckBox.click()
    assert manager.layout == LayoutManager.FOUR_UP
    assert manager.view.listeners == []


def test_the_users_layout_comes_back_when_the_scene_is_closed(
    screened, window, monkeypatch, scene, settled
):
    from Testing.stand_ins.layout import LayoutManager

    manager = LayoutManager()
    monkeypatch.setattr(window, "layout_manager", manager)
    manager.use_plots(monkeypatch)
    screened.ui.chartCheckBox.click()
    assert manager.layout == LayoutManager.WITH_PLOT
    scene.Clear(False)
    settled()
    assert manager.layout == LayoutManager.FOUR_UP
    assert not screened.ui.chartCheckBox.checked


def test_the_slice_view_itself_tells_of_the_slice(screened, window, monkeypatch):
    from Testing.stand_ins.layout import LayoutManager

    manager = LayoutManager()
    monkeypatch.setattr(window, "layout_manager", manager)
    screened.ui.sliceTable.cellClicked.emit(12, 0)
    assert "P(lesion)" in manager.edge_text("Red")
    screened.exit()
    assert manager.edge_text("Red") == ""


@pytest.mark.parametrize("width", [360, 430, 600])
def test_the_panel_fits_into_a_narrow_dock(screened, settled, width):
    screened.parent.resize(width, 2000)
    settled()
    assert screened.parent.minimumSizeHint.width() <= 400
    assert screened.parent.width == max(width, screened.parent.minimumSizeHint.width())


def test_a_closed_scene_empties_the_panel_and_ends_the_child(screened, scene, settled):
    scene.Clear(False)
    settled()
    assert ("close",) in screened.logic.calls
    assert screened.ui.verdictLabel.text == "<b>No result yet.</b>"
    assert not screened.ui.reviewCollapsibleButton.visible
    assert not screened.ui.screenButton.enabled


def test_a_deleted_ct_takes_the_result_from_the_panel(screened, scene, a_small_ct, settled):
    scene.RemoveNode(a_small_ct)
    settled()
    assert screened._result is None
    assert "Load a chest CT" in screened.ui.reasonLabel.text


def test_a_deleted_result_leaves_an_empty_panel(screened, settled):
    from M3LungScreenSlicer.scene.results import delete_result

    delete_result(screened._result)
    settled()
    assert screened.ui.verdictLabel.text == "<b>No result yet.</b>"
    assert screened.ui.screenButton.enabled


def test_a_result_in_the_scene_is_shown_when_the_module_opens(screened, open_module):
    screened.cleanup()
    again = open_module()
    assert "COVID-19" in again.ui.verdictLabel.text
    assert again.ui.sliceTable.rowCount == screened.ui.sliceTable.rowCount


def test_leaving_the_module_leaves_no_observer(widget, a_slice_view):
    assert widget._follower.following == [a_slice_view.node]
    widget.exit()
    assert widget._follower.following == []
    widget.cleanup()
    assert widget.Observations == []
    assert widget.logic.calls[-1] == ("close",)


def test_the_module_opens_again_after_it_was_left(screened):
    screened.exit()
    screened.enter()
    screened.ui.opacitySlider.value = 0.9
    assert screened._parameters.locationOpacity == pytest.approx(0.9)


def test_the_child_is_warmed_up_when_the_module_opens(widget):
    assert ("warm_up",) in widget.logic.calls


def test_the_context_menu_screens_a_volume(widget, window, monkeypatch, a_small_ct, scene):
    from Testing.stand_ins.hierarchy import menu_for

    offered = menu_for(a_small_ct, widget, monkeypatch)
    assert offered.visible
    offered.trigger()
    assert widget.logic.calls[-1][:2] == ("start", a_small_ct)
    table = scene.AddNewNodeByClass("vtkMRMLTableNode")
    assert not menu_for(table, widget, monkeypatch).visible
