"""What the user does with a result: slices, overlays, review, saving, the researcher's views."""

import csv
import zipfile

import numpy as np
import pytest
import SimpleITK as sitk
from M3LungScreenSlicer.scene.shown_map import SHOWN

from Testing.stand_ins.dialogs import choose


def test_overlays_lie_over_the_ct_as_the_sliders_say(screened, a_slice_view, a_small_ct):
    layers, ui = a_slice_view.layers, screened.ui
    result = screened.results.result
    ui.opacitySlider.value = 0.3
    ui.thresholdSlider.value = 0.6
    assert layers.GetBackgroundVolumeID() == a_small_ct.GetID()
    shown = foreground(a_slice_view)
    assert shown is not result.location_map  # some of its slices are called Healthy
    assert layers.GetForegroundOpacity() == pytest.approx(0.3)
    for node in (shown, result.location_map):
        assert node.GetDisplayNode().GetLowerThreshold() == pytest.approx(0.6)
    ui.healthyCheckBox.click()
    assert foreground(a_slice_view) is result.location_map
    ui.labelMapCheckBox.click()
    assert layers.GetLabelVolumeID() == result.label_map.GetID()


def foreground(view):
    """The volume in the foreground of a slice view."""
    layers = view.layers
    return layers.GetScene().GetNodeByID(layers.GetForegroundVolumeID() or "")


def test_what_the_user_does_to_the_layers_stays_while_scrolling(
    screened, a_slice_view, scene, settled
):
    a_slice_view.layers.SetForegroundOpacity(0.31)
    screened.results.jump_to(screened.results.entry["index"] + 1)
    scene.RemoveNode(scene.AddNewNodeByClass("vtkMRMLModelNode"))
    settled()
    assert a_slice_view.layers.GetForegroundOpacity() == pytest.approx(0.31)


def test_the_lesions_of_one_ct_never_lie_over_another(screened, scene, a_slice_view, a_small_ct):
    from M3LungScreenSlicer.scene.volumes import voxels

    from Testing.stand_ins.mrml_scene import add_volume

    screened.ui.labelMapCheckBox.click()
    layers, result = a_slice_view.layers, screened.results.result
    assert legends_in_view(scene) == ["Disease", "Lesion"]
    screened.ui.inputSelector.setCurrentNode(add_volume(scene, voxels(a_small_ct).copy()))
    assert layers.GetForegroundVolumeID() is None
    assert layers.GetLabelVolumeID() is None
    assert legends_in_view(scene) == []
    screened.ui.inputSelector.setCurrentNode(a_small_ct)
    assert foreground(a_slice_view).GetName() == SHOWN
    assert layers.GetLabelVolumeID() == result.label_map.GetID()


def test_the_users_own_layers_are_left_alone_by_every_wish(screened, a_slice_view, scene):
    from Testing.stand_ins.mrml_scene import add_volume

    array = np.ones((3, 4, 5), np.uint8)
    own = {
        "Background": add_volume(scene, array, name="Prior CT"),
        "Foreground": add_volume(scene, array, name="PET"),
        "Label": add_volume(scene, array, name="Own", kind="vtkMRMLLabelMapVolumeNode"),
    }
    ui, layers = screened.ui, a_slice_view.layers
    ui.locationMapCheckBox.click()  # off
    for layer, node in own.items():
        getattr(layers, f"Set{layer}VolumeID")(node.GetID())
    layers.SetForegroundOpacity(0.21)
    layers.SetLabelOpacity(0.33)
    ui.thresholdSlider.value = 0.7
    ui.opacitySlider.value = 0.9
    for name in ("legendCheckBox", "healthyCheckBox", "cropCheckBox"):
        getattr(ui, name).click()
    for layer, node in own.items():
        assert getattr(layers, f"Get{layer}VolumeID")() == node.GetID()
    assert layers.GetForegroundOpacity() == pytest.approx(0.21)
    assert layers.GetLabelOpacity() == pytest.approx(0.33)
    ui.labelMapCheckBox.click()
    assert layers.GetLabelVolumeID() == screened.results.result.label_map.GetID()
    ui.labelMapCheckBox.click()
    assert layers.GetLabelVolumeID() is None
    assert layers.GetForegroundVolumeID() == own["Foreground"].GetID()


def test_views_of_a_new_layout_get_the_overlays_with_the_next_wish(screened, scene):
    import slicer

    layers = scene.AddNode(slicer.vtkMRMLSliceCompositeNode())
    screened.ui.opacitySlider.value = 0.4
    assert scene.GetNodeByID(layers.GetForegroundVolumeID()).GetName() == SHOWN


def test_hiding_the_map_on_healthy_slices_never_touches_the_result(
    widget, result_folder, a_slice_view, scene, tmp_path
):
    import slicer
    from M3LungScreenSlicer.scene.volumes import voxels

    result, folder = result_folder("covid19")
    widget.ui.screenButton.click()
    widget.logic.finish(folder)
    truth = result.arrays.lesion_location_map
    slices = widget.results.result.content["slices"]
    healthy = np.array([each["predicted"] == "healthy" for each in slices])
    assert truth[healthy].max() > 0
    shown, whole = foreground(a_slice_view), widget.results.result.location_map
    assert shown.GetImageData().GetNumberOfPoints() < whole.GetImageData().GetNumberOfPoints()
    for clicks in (0, 1, 1):
        for _ in range(clicks):
            widget.ui.healthyCheckBox.click()
        assert np.array_equal(voxels(whole), truth)
    storage = slicer.vtkMRMLNRRDStorageNode()
    storage.SetFileName(str(tmp_path / "map.nrrd"))
    assert storage.WriteData(whole)
    saved = sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / "map.nrrd")))
    assert np.array_equal(saved, truth)
    scene.SetRootDirectory(str(tmp_path))
    assert scene.WriteToMRB(str(tmp_path / "scene.mrb"))
    with zipfile.ZipFile(tmp_path / "scene.mrb") as packed:
        (written,) = [name for name in packed.namelist() if name.endswith(".mrml")]
        assert SHOWN not in packed.read(written).decode()


def test_a_result_begins_at_the_slice_most_telling_for_its_verdict(screened):
    slices = [e for e in screened.results.result.content["slices"] if e["screened"]]
    best = max(slices, key=lambda each: each["probabilities"]["covid19"] * each["involvement"])
    assert f"Slice {best['index']}" in screened.ui.sliceLabel.text


def test_a_second_run_tells_of_the_slice_again(screened, result_folder):
    _, folder = result_folder("cap")
    screened.ui.screenButton.click()
    screened.logic.finish(folder)
    index = screened.results.entry["index"]
    assert screened.ui.sliceLabel.text.startswith(f"<b>Slice {index}</b>")
    assert "CAP</b>" in screened.ui.sliceLabel.text


def test_next_and_previous_stay_on_slices_not_called_healthy(screened):
    found = [
        e["index"] for e in screened.results.result.content["slices"] if e["predicted"] == "covid19"
    ]
    screened.results.jump_to(found[0])
    screened.ui.nextButton.click()
    assert screened.results.entry["index"] == found[1]
    screened.ui.previousButton.click()
    assert screened.results.entry["index"] == found[0]
    assert screened.ui.nextButton.enabled
    assert not screened.ui.previousButton.enabled
    assert "All slices before this one" in screened.ui.previousButton.toolTip
    screened.ui.suspiciousButton.click()
    assert screened.results.entry["index"] in found


def test_a_click_on_a_row_jumps_to_its_slice(screened):
    table = screened.ui.sliceTable
    index = int(table.item(2, 0).text())
    table.cellClicked.emit(2, 1)
    assert screened.results.entry["index"] == index
    assert f"Slice {index}" in screened.ui.sliceLabel.text
    assert table.currentRow() == 2


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

    from Testing.stand_ins.web import WebWidget

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

    from Testing.stand_ins.web import WebWidget

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
    import sys

    proposed = []
    dialog = sys.modules["qt"].QFileDialog
    monkeypatch.setattr(dialog, "getSaveFileName", lambda *a: proposed.append(a[2]) or "")
    screened.results.result.volume.SetName(name)
    for button, suffix in (("saveHtmlButton", ".html"), ("saveCsvButton", ".csv")):
        getattr(screened.ui, button).click()
        assert proposed.pop() == begins + suffix


def test_a_dot_in_a_name_is_no_suffix(screened, monkeypatch, tmp_path):
    choose(monkeypatch, file=tmp_path / "Lung 1.25")
    screened.ui.saveHtmlButton.click()
    assert (tmp_path / "Lung 1.25.html").is_file()


def test_a_page_that_cannot_be_printed_is_told(screened, monkeypatch, tmp_path, settled):
    import slicer

    from Testing.stand_ins.web import WebWidget

    broken = type("BrokenWidget", (WebWidget,), {"loads": False})
    monkeypatch.setattr(slicer, "qSlicerWebWidget", broken, raising=False)
    choose(monkeypatch, file=tmp_path / "report.pdf")
    screened.ui.savePdfButton.click()
    settled()
    assert "Save the HTML report and print it from a browser." in screened.ui.savedLabel.text


def test_lesions_become_a_segmentation(screened):
    screened.ui.segmentationButton.click()
    segmentation = screened.results.result.segmentation.GetSegmentation()
    assert segmentation.GetNumberOfSegments() == 1
    assert "COVID-19" in segmentation.GetNthSegment(0).GetName()


def test_surfaces_bring_a_3d_view_where_the_layout_has_none(screened, layout_manager):
    from M3LungScreenSlicer.panel.view_layout import visible_views

    screened.ui.chartCheckBox.click()
    assert not visible_views("vtkMRMLViewNode")
    screened.ui.surfaceCheckBox.click()
    assert visible_views("vtkMRMLViewNode")
    assert layout_manager.shown is screened.results.result.chart
    layout_manager.click_on_point(9)
    assert screened.results.entry["index"] == 9
    screened.ui.chartCheckBox.click()
    assert layout_manager.layout == layout_manager.FOUR_UP


def test_a_layout_with_a_3d_view_stays_when_surfaces_are_shown(screened, layout_manager):
    layout_manager.setLayout(2)
    screened.ui.surfaceCheckBox.click()
    assert layout_manager.layout == 2


def test_lesions_are_shown_in_3d_and_hidden_again(screened):
    screened.ui.surfaceCheckBox.click()
    display = screened.results.result.segmentation.GetDisplayNode()
    assert display.GetVisibility3D()
    screened.ui.surfaceCheckBox.click()
    assert not display.GetVisibility3D()


def test_surfaces_leave_with_their_ct_and_come_back_with_it(screened, scene, a_small_ct):
    from M3LungScreenSlicer.scene.volumes import voxels

    from Testing.stand_ins.mrml_scene import add_volume

    screened.ui.surfaceCheckBox.click()
    display = screened.results.result.segmentation.GetDisplayNode()
    assert not display.GetVisibility2D()  # the overlays are there
    assert display.GetVisibility2DFill()  # without either Slicer fills its log
    assert display.GetVisibility2DOutline()
    screened.ui.inputSelector.setCurrentNode(add_volume(scene, voxels(a_small_ct).copy()))
    assert not display.GetVisibility()
    screened.ui.inputSelector.setCurrentNode(a_small_ct)
    assert display.GetVisibility()
    assert screened.ui.surfaceCheckBox.checked


def test_lesions_of_a_former_run_are_not_shown_as_those_of_a_new_one(screened, result_folder):
    screened.ui.surfaceCheckBox.click()
    node = screened.results.result.segmentation
    screened.ui.screenButton.click()
    screened.logic.finish(result_folder("h1n1")[1])
    assert not node.GetDisplayNode().GetVisibility()
    assert not screened.ui.surfaceCheckBox.checked
    screened.ui.surfaceCheckBox.click()
    assert screened.results.result.segmentation is node
    assert node.GetDisplayNode().GetVisibility()
    assert node.GetSegmentation().GetNthSegment(0).GetName() == "H1N1"


def test_the_crop_rectangle_lies_around_the_lungs(screened, scene):
    from M3LungScreenSlicer.panel.researcher_section import CROP_NODE

    screened.ui.cropCheckBox.click()
    node = scene.GetFirstNodeByName(CROP_NODE)
    bounds = [0.0] * 6
    node.GetBounds(bounds)
    spacing = (6.0, 7.5)
    _, _, rows, columns = screened.results.entry["crop"]
    assert bounds[1] - bounds[0] == pytest.approx(columns * spacing[0])
    assert bounds[3] - bounds[2] == pytest.approx(rows * spacing[1])
    assert not node.GetDisplayNode().GetVisibility3D()
    screened.ui.cropCheckBox.click()
    assert scene.GetFirstNodeByName(CROP_NODE) is None


def test_the_crop_rectangle_goes_without_an_error_where_slicer_takes_its_display_first(
    screened, scene, errors_of_vtk
):
    from M3LungScreenSlicer.panel.researcher_section import CROP_NODE

    screened.ui.cropCheckBox.click()
    node = scene.GetFirstNodeByName(CROP_NODE)
    display = node.GetDisplayNode()
    scene.AddObserver(
        scene.NodeRemovedEvent,
        lambda *_: scene.RemoveNode(display) if scene.IsNodePresent(display) else None,
    )
    screened.ui.cropCheckBox.click()
    assert not scene.IsNodePresent(display)
    assert errors_of_vtk() == []


def test_six_stages_of_the_crop_are_shown_and_follow_the_slice(screened):
    screened.ui.stagesButton.click()
    first = screened.ui.stagesLabel.pixmap.toImage()
    assert (first.width(), first.height()) == (3 * 128, 2 * 128)
    screened.results.jump_to(0)  # above the lungs
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
    index, crop = widget.results.entry["index"], widget.results.entry["crop"]
    assert voxels(node) == pytest.approx(index / 50 + 0.25, abs=1e-3)
    assert bounds_of(node)[:2] == pytest.approx((crop[3] * 6.0, crop[2] * 7.5))
    assert legends_in_view(scene) == ["Attention"]
    choose_attention(widget, 0)
    assert legends_in_view(scene) == ["Lesion"]
    assert foreground(a_slice_view).GetName() == SHOWN


def legends_in_view(scene):
    from M3LungScreenSlicer.scene.nodes import nodes_of_class

    legends = nodes_of_class(scene, "vtkMRMLColorLegendDisplayNode")
    return sorted(each.GetTitleText() for each in legends if each.GetVisibility())


def test_a_result_without_attention_maps_shows_none(screened, scene):
    from M3LungScreenSlicer.scene.attention import OVERLAY

    choose_attention(screened, 1)
    assert scene.GetFirstNodeByName(OVERLAY) is None  # that result brought no maps
    names = [screened.ui.attentionSelector.itemText(i) for i in range(5)]
    assert names[:3] == ["Off", "Mean of all windows", "Window level −700 HU"]


def choose_attention(widget, index):
    widget.ui.attentionSelector.currentIndex = index
    widget.ui.attentionSelector.activated.emit(index)


def bounds_of(node):
    """Extent in R, A and S, mm, to the outer edges of the voxels."""
    bounds = [0.0] * 6
    node.GetRASBounds(bounds)
    return [bounds[1] - bounds[0], bounds[3] - bounds[2], bounds[5] - bounds[4]]


def test_the_chart_comes_with_a_layout_and_goes_back_to_the_users(screened, layout_manager):
    screened.ui.chartCheckBox.click()
    assert layout_manager.shown is screened.results.result.chart
    layout_manager.click_on_point(7)
    assert screened.results.entry["index"] == 7
    layout_manager.click_on_point(1, series=5)  # the line at the current slice
    assert screened.results.entry["index"] == 7
    screened.ui.chartCheckBox.click()
    assert layout_manager.layout == layout_manager.FOUR_UP
    assert layout_manager.listeners == []


def test_the_chart_of_one_ct_is_not_shown_with_another(screened, layout_manager, scene, a_small_ct):
    from M3LungScreenSlicer.scene.volumes import voxels

    from Testing.stand_ins.mrml_scene import add_volume

    screened.ui.chartCheckBox.click()
    other = add_volume(scene, voxels(a_small_ct).copy())
    screened.ui.inputSelector.setCurrentNode(other)
    assert (layout_manager.layout, layout_manager.listeners) == (layout_manager.FOUR_UP, [])
    screened.ui.inputSelector.setCurrentNode(a_small_ct)
    assert layout_manager.layout == layout_manager.WITH_PLOT
    layout_manager.setLayout(2)  # by the user
    screened.ui.inputSelector.setCurrentNode(other)
    assert layout_manager.layout == 2


def test_the_users_layout_comes_back_when_the_scene_is_closed(
    screened, layout_manager, scene, settled
):
    screened.ui.chartCheckBox.click()
    assert layout_manager.layout == layout_manager.WITH_PLOT
    scene.Clear(False)
    settled()
    assert layout_manager.layout == layout_manager.FOUR_UP
    assert not screened.ui.chartCheckBox.checked


def test_the_slice_view_itself_tells_of_the_slice_in_one_line(screened, layout_manager):
    from M3LungScreenLib.outputs.wording import percent

    screened.ui.sliceTable.cellClicked.emit(12, 0)
    text = layout_manager.annotation("Red")
    entry = screened.results.entry
    assert text.startswith(f"COVID-19 {percent(entry['probabilities']['covid19'])} · lesion ")
    assert text.endswith(f"{percent(entry['involvement'])} involved")
    assert "\n" not in text
    screened.exit()
    assert layout_manager.annotation("Red") == ""
