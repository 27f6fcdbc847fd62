"""What the user does with a result: slices, overlays, review, saving, the researcher's views."""

import csv

import numpy as np
import pytest

from Testing.stand_ins.dialogs import choose


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


def test_what_the_user_does_to_the_layers_stays_while_scrolling(
    screened, a_slice_view, scene, settled
):
    a_slice_view.layers.SetForegroundOpacity(0.31)
    screened._jump(screened._entry["index"] + 1)
    scene.RemoveNode(scene.AddNewNodeByClass("vtkMRMLModelNode"))
    settled()
    assert a_slice_view.layers.GetForegroundOpacity() == pytest.approx(0.31)


def test_the_lesions_of_one_ct_never_lie_over_another(screened, scene, a_slice_view, a_small_ct):
    from M3LungScreenSlicer.scene.volumes import voxels

    from Testing.stand_ins.mrml_scene import add_volume

    screened.ui.labelMapCheckBox.click()
    layers, result = a_slice_view.layers, screened._result
    screened.ui.inputSelector.setCurrentNode(add_volume(scene, voxels(a_small_ct).copy()))
    assert layers.GetForegroundVolumeID() is None
    assert layers.GetLabelVolumeID() is None
    legends = scene.GetNodesByClass("vtkMRMLColorLegendDisplayNode")
    assert legends.GetNumberOfItems() == 2
    assert not any(legends.GetItemAsObject(i).GetVisibility() for i in range(2))
    screened.ui.inputSelector.setCurrentNode(a_small_ct)
    assert layers.GetForegroundVolumeID() == result.location_map.GetID()
    assert layers.GetLabelVolumeID() == result.label_map.GetID()


def test_the_location_map_hides_on_slices_called_healthy_in_every_view(screened, settled):
    from M3LungScreenSlicer.scene.volumes import voxels

    slices = screened._result.content["slices"]
    healthy = [each["predicted"] == "healthy" for each in slices]
    settled()
    values = voxels(screened._result.location_map)
    before = np.abs(values)
    assert before[healthy].max() > 0
    assert values[healthy].max() <= 0
    assert (values[~np.array(healthy)] >= 0).all()
    screened.ui.healthyCheckBox.click()
    settled()
    assert np.array_equal(voxels(screened._result.location_map), before)


def test_a_result_begins_at_the_slice_most_telling_for_its_verdict(screened):
    slices = [e for e in screened._result.content["slices"] if e["screened"]]
    best = max(slices, key=lambda each: each["probabilities"]["covid19"] * each["involvement"])
    assert f"Slice {best['index']}" in screened.ui.sliceLabel.text


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
    assert screened.ui.nextButton.enabled
    assert not screened.ui.previousButton.enabled
    assert "All slices before this one" in screened.ui.previousButton.toolTip
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
    layout = WebWidget.layouts[-1]
    assert (layout.pageSize().key(), layout.margins().left()) == ("A4", 14)


def test_a_page_that_cannot_be_printed_is_told(screened, monkeypatch, tmp_path, settled):
    import slicer

    from Testing.stand_ins.web import WebWidget

    broken = type("BrokenWidget", (WebWidget,), {"loads": False})
    monkeypatch.setattr(slicer, "qSlicerWebWidget", broken, raising=False)
    choose(monkeypatch, file=tmp_path / "report.pdf")
    screened.ui.savePdfButton.click()
    settled()
    assert "Save the HTML report and print it." in screened.ui.savedLabel.text


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


def test_surfaces_leave_with_their_ct_and_come_back_with_it(screened, scene, a_small_ct):
    from M3LungScreenSlicer.scene.volumes import voxels

    from Testing.stand_ins.mrml_scene import add_volume

    screened.ui.surfaceCheckBox.click()
    display = screened._result.segmentation.GetDisplayNode()
    assert not display.GetVisibility2DFill()  # the overlays are there
    screened.ui.inputSelector.setCurrentNode(add_volume(scene, voxels(a_small_ct).copy()))
    assert not display.GetVisibility()
    screened.ui.inputSelector.setCurrentNode(a_small_ct)
    assert display.GetVisibility()
    assert screened.ui.surfaceCheckBox.checked


def test_lesions_of_a_former_run_are_not_shown_as_those_of_a_new_one(screened, result_folder):
    screened.ui.surfaceCheckBox.click()
    node = screened._result.segmentation
    screened.ui.screenButton.click()
    screened.logic.finish(result_folder("h1n1")[1])
    assert not node.GetDisplayNode().GetVisibility()
    assert not screened.ui.surfaceCheckBox.checked
    screened.ui.surfaceCheckBox.click()
    assert screened._result.segmentation is node
    assert node.GetDisplayNode().GetVisibility()
    assert node.GetSegmentation().GetNthSegment(0).GetName() == "H1N1"


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
    assert legends_in_view(scene) == ["Attention"]
    choose_attention(widget, 0)
    assert legends_in_view(scene) == ["Lesion"]
    shown = a_slice_view.layers.GetForegroundVolumeID()
    assert shown == widget._result.location_map.GetID()


def legends_in_view(scene):
    from M3LungScreenSlicer.scene.nodes import nodes_of_class

    legends = nodes_of_class(scene, "vtkMRMLColorLegendDisplayNode")
    return [each.GetTitleText() for each in legends if each.GetVisibility()]


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
    manager.click_on_point(1, series=5)  # the line at the current slice
    assert screened._entry["index"] == 7
    screened.ui.chartCheckBox.click()
    assert manager.layout == LayoutManager.FOUR_UP
    assert manager.view.listeners == []


def test_the_chart_of_one_ct_is_not_shown_with_another(
    screened, window, monkeypatch, scene, a_small_ct
):
    from M3LungScreenSlicer.scene.volumes import voxels

    from Testing.stand_ins.layout import LayoutManager
    from Testing.stand_ins.mrml_scene import add_volume

    manager = LayoutManager()
    monkeypatch.setattr(window, "layout_manager", manager)
    manager.use_plots(monkeypatch)
    screened.ui.chartCheckBox.click()
    other = add_volume(scene, voxels(a_small_ct).copy())
    screened.ui.inputSelector.setCurrentNode(other)
    assert (manager.layout, manager.view.listeners) == (LayoutManager.FOUR_UP, [])
    screened.ui.inputSelector.setCurrentNode(a_small_ct)
    assert manager.layout == LayoutManager.WITH_PLOT
    manager.setLayout(2)  # by the user
    screened.ui.inputSelector.setCurrentNode(other)
    assert manager.layout == 2


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
