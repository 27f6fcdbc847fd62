"""The widget beside a scene that is saved, closed or emptied, and a module that is left."""

import pytest


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
    assert screened.ui.inputSelector.currentNode().GetName() == "CT of the chest"
    assert screened.ui.sliceTable.rowCount == rows
    assert screened.ui.opacitySlider.value == pytest.approx(0.8)
    assert screened.ui.recordedLabel.text.startswith("Recorded: Agree")


def test_a_scene_saved_with_its_chart_shows_it_again_and_lets_it_go(
    screened, scene, settled, tmp_path, layout_manager
):
    screened.ui.chartCheckBox.click()
    with_chart = layout_manager.layout
    scene.SetRootDirectory(str(tmp_path))
    assert scene.WriteToMRB(str(tmp_path / "Szene.mrb"))
    scene.Clear(False)
    layout_manager.setLayout(layout_manager.FOUR_UP)
    settled()
    assert not screened.ui.chartCheckBox.checked
    assert scene.ReadFromMRB(str(tmp_path / "Szene.mrb"))
    settled()
    assert layout_manager.layout == with_chart
    assert screened.ui.chartCheckBox.checked
    assert layout_manager.shown is screened.results.result.chart
    layout_manager.click_on_point(8)
    assert screened.results.entry["index"] == 8
    screened.ui.chartCheckBox.click()
    assert layout_manager.layout == layout_manager.FOUR_UP


def test_a_ct_of_the_next_scene_can_be_chosen_whatever_its_id(screened, scene, settled):
    import numpy as np

    from Testing.stand_ins.mrml_scene import add_volume

    of_map = screened.results.result.location_map.GetID()
    scene.Clear(False)
    settled()
    loaded = [add_volume(scene, np.full((3, 4, 5), -800, np.int16)) for _ in range(3)]
    assert of_map in [each.GetID() for each in loaded]
    for each in loaded:
        screened.ui.inputSelector.setCurrentNode(each)
        assert screened._parameterNode.inputVolume is each


def test_a_map_that_is_removed_by_hand_leaves_the_views(screened, scene, settled, a_slice_view):
    assert a_slice_view.layers.GetForegroundVolumeID()
    scene.RemoveNode(screened.results.result.location_map)
    settled()
    assert not a_slice_view.layers.GetForegroundVolumeID()


def test_a_closed_scene_empties_the_panel_and_ends_the_child(screened, scene, settled):
    scene.Clear(False)
    settled()
    assert ("close",) in screened.logic.calls
    assert screened.ui.verdictLabel.text == "<b>No result yet.</b>"
    assert not screened.ui.reviewCollapsibleButton.visible
    assert not screened.ui.screenButton.enabled


def test_a_scene_closed_while_screening_brings_the_button_back(widget, scene, settled):
    widget.ui.screenButton.click()
    widget.logic.give_provisional()
    scene.Clear(False)
    settled()
    assert widget.ui.screenButton.text == "Screen"
    assert not widget.ui.progressBar.visible


def test_a_deleted_ct_takes_the_result_from_the_panel(screened, scene, a_small_ct, settled):
    scene.RemoveNode(a_small_ct)
    settled()
    assert screened.results.result is None
    assert "Load a chest CT" in screened.ui.reasonLabel.text


def test_a_deleted_result_leaves_an_empty_panel(screened, settled):
    from M3LungScreenSlicer.scene.results import delete_result

    delete_result(screened.results.result)
    settled()
    assert screened.ui.verdictLabel.text == "<b>No result yet.</b>"
    assert screened.ui.screenButton.enabled


def test_a_result_in_the_scene_is_shown_when_the_module_opens(screened, open_module):
    screened.cleanup()
    again = open_module()
    assert "COVID-19" in again.ui.verdictLabel.text
    assert again.ui.sliceTable.rowCount == screened.ui.sliceTable.rowCount


def test_a_result_of_the_console_is_shown_in_the_open_module(
    widget, a_small_ct, result_folder, settled
):
    from M3LungScreenSlicer.scene.results import add_result

    add_result(a_small_ct.GetScene(), a_small_ct, result_folder("covid19")[1])
    settled()
    assert "COVID-19" in widget.ui.verdictLabel.text


def test_leaving_the_module_leaves_no_observer(widget, a_slice_view):
    assert widget.results.slice_observer.observed == [a_slice_view.node]
    widget.exit()
    assert widget.results.slice_observer.observed == []
    widget.cleanup()
    assert widget.Observations == []
    assert widget.logic.calls[-1] == ("close",)


def test_a_module_that_was_left_writes_nothing_into_the_scene(widget):
    node = widget.logic.getParameterNode()
    for _ in range(2):
        widget.exit()
        widget.enter()
    widget.exit()
    before = node.GetParameter("locationOpacity")
    widget.ui.opacitySlider.value = 0.93
    assert node.GetParameter("locationOpacity") == before
    assert not node.HasObserver("ModifiedEvent")


def test_a_reload_leaves_no_listener_no_text_and_the_users_layout(screened, layout_manager):
    screened.ui.chartCheckBox.click()
    screened.results.jump_to(12)
    assert layout_manager.annotation("Red")
    screened.cleanup()
    assert layout_manager.listeners == []
    assert layout_manager.layout == layout_manager.FOUR_UP
    assert layout_manager.annotation("Red") == ""


def test_the_module_opens_again_after_it_was_left(screened):
    screened.exit()
    screened.enter()
    screened.ui.opacitySlider.value = 0.9
    assert screened._parameterNode.locationOpacity == pytest.approx(0.9)
