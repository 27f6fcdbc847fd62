"""The widget driven as a user drives it: every handler is clicked on a real scene."""

import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from Testing.stand_ins.dialogs import choose
from Testing.stand_ins.mrml_scene import add_volume, ijk_to_ras_of
from Testing.stand_ins.sequences import add_sequence, show_frame

MODULE = Path(__file__).parents[2] / "M3LungScreen"


def test_opening_the_module_chooses_the_only_volume_and_leaves_its_window(a_small_ct, open_module):
    display = a_small_ct.GetDisplayNode()
    before = (display.GetWindow(), display.GetLevel(), display.GetAutoWindowLevel())
    widget = open_module()
    assert widget.ui.inputSelector.currentNode() is a_small_ct
    assert (display.GetWindow(), display.GetLevel(), display.GetAutoWindowLevel()) == before
    assert widget.ui.screenButton.enabled
    assert not widget.ui.reasonLabel.visible


def window_of(volume):
    return volume.GetDisplayNode().GetWindow(), volume.GetDisplayNode().GetLevel()


def run(widget, folder, meanwhile=lambda: None):
    widget.ui.screenButton.click()
    meanwhile()
    widget.logic.finish(folder)


def set_window(volume, window, level):
    volume.GetDisplayNode().AutoWindowLevelOff()
    volume.GetDisplayNode().SetWindowLevel(window, level)


def test_the_lung_window_comes_with_the_result_and_goes_back(
    a_small_ct, open_module, result_folder
):
    set_window(a_small_ct, 350, 40)
    widget = open_module()
    run(widget, result_folder()[1])
    assert window_of(a_small_ct) == (1200, -600)
    widget.ui.windowBackButton.click()
    assert window_of(a_small_ct) == (350, 40)
    assert not widget.ui.windowBackButton.enabled
    widget.ui.lungWindowButton.click()
    assert window_of(a_small_ct) == (1200, -600)


def test_a_ct_loaded_into_the_open_module_gets_the_lung_window_with_its_result(
    scene, make_result, a_slice_view, open_module, settled, result_folder
):
    widget = open_module()
    volume = make_result().volume
    loaded = add_volume(scene, volume.hu, ijk_to_ras_of(volume.geometry))
    set_window(loaded, 400, 40)
    settled()
    run(widget, result_folder()[1])
    assert window_of(loaded) == (1200, -600)


@pytest.mark.parametrize("when", ["before the click", "during the run"])
def test_a_window_that_the_user_chose_stays(a_small_ct, open_module, result_folder, when):
    set_window(a_small_ct, 350, 40)
    widget = open_module()

    def choose_bone():
        set_window(a_small_ct, 2000, 500)

    if when == "before the click":
        choose_bone()
    run(widget, result_folder()[1], choose_bone)
    assert window_of(a_small_ct) == (2000, 500)


def test_a_window_that_the_user_went_back_to_stays_with_the_next_result(
    widget, a_small_ct, result_folder
):
    run(widget, result_folder()[1])
    widget.ui.windowBackButton.click()
    before = window_of(a_small_ct)
    assert before != (1200, -600)
    run(widget, result_folder("cap")[1])
    assert window_of(a_small_ct) == before


def test_another_ct_is_shown_when_it_is_chosen(widget, scene, a_slice_view):
    array = a_small_ct_array(widget.ui.inputSelector.currentNode())
    other = add_volume(scene, array, name="Another CT")
    widget.ui.inputSelector.setCurrentNode(other)
    assert a_slice_view.layers.GetBackgroundVolumeID() == other.GetID()


def test_a_map_made_by_a_screening_is_left_as_it_is(screened, a_slice_view):
    made = screened.results.result.location_map
    window = made.GetDisplayNode().GetWindow()
    screened._parameterNode.inputVolume = made  # by a script; the selector does not offer it
    assert made.GetDisplayNode().GetWindow() == window
    assert "is the result of a screening" in screened.ui.reasonLabel.text


def test_results_are_no_choice_in_the_selector(screened):
    made = screened.results.result.location_map
    screened.ui.inputSelector.setCurrentNode(made)
    assert screened.ui.inputSelector.currentNode() is None


def test_when_the_chosen_ct_goes_its_map_is_not_chosen(screened, scene, a_small_ct, settled):
    other = add_volume(scene, a_small_ct_array(a_small_ct), name="Another CT")
    settled()
    screened.ui.inputSelector.setCurrentNode(other)
    scene.RemoveNode(other)  # below the map in the scene's order
    settled()
    assert screened.ui.inputSelector.currentNode() is a_small_ct
    scene.RemoveNode(a_small_ct)
    settled()
    assert screened.ui.inputSelector.currentNode() is None


def test_of_several_cts_the_active_one_is_chosen(
    scene, a_small_ct, open_module, window, monkeypatch
):
    other = add_volume(scene, a_small_ct_array(a_small_ct), name="Another CT")
    selection = SimpleNamespace(GetActiveVolumeID=other.GetID)
    logic = SimpleNamespace(GetSelectionNode=lambda: selection)
    monkeypatch.setattr(window, "applicationLogic", lambda: logic)
    assert open_module().ui.inputSelector.currentNode() is other


def test_a_ct_loaded_into_the_open_module_is_chosen(scene, open_module, settled, a_slice_view):
    widget = open_module()
    loaded = add_volume(scene, np.full((3, 4, 5), -800, np.int16))
    settled()
    assert widget.ui.inputSelector.currentNode() is loaded
    assert widget.ui.screenButton.enabled


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
    widget.logic.set_status(hello={"devices": [GPU, CPU]})
    widget.ui.deviceSelector.currentIndex = 1
    widget.ui.deviceSelector.activated.emit(1)
    widget.ui.screenButton.click()
    called, volume, model, device = widget.logic.calls[-1]
    assert (called, volume, device) == ("start", a_small_ct, "cuda:0")
    assert (model / "model.json").is_file()


GPU = {"name": "cuda:0", "description": "NVIDIA H200", "free_mb": 141312}
CPU = {"name": "cpu", "description": "CPU, 8 cores", "free_mb": None}


def test_devices_are_shown_with_their_free_memory(widget):
    widget.logic.set_status(hello={"devices": [GPU, CPU]})
    box = widget.ui.deviceSelector
    shown = [box.itemText(i) for i in range(box.count)]
    assert shown == ["Automatic", "NVIDIA H200, 138.0 GB free", "CPU, 8 cores"]
    box.setItemText(0, "untouched")
    widget.logic.set_status(hello={"devices": [GPU, CPU]})
    assert box.itemText(0) == "untouched"


def test_a_device_of_another_machine_becomes_automatic(widget):
    widget._parameterNode.device = "cuda:3"
    widget.ui.screenButton.click()
    assert widget.logic.calls[-1][3] == "auto"
    widget.logic.cancel()
    widget.logic.set_status(hello={"devices": [{**GPU, "name": "cuda:3"}, CPU]})
    assert widget.ui.deviceSelector.currentIndex == 1


def test_while_running_the_button_is_cancel_beside_a_moving_bar(widget):
    widget.ui.screenButton.click()
    assert widget.ui.screenButton.text == "Cancel"
    assert widget.ui.progressBar.maximum == 0
    widget.logic.run_for_a_while()
    assert widget.ui.progressBar.value == 420
    assert widget.ui.progressLabel.text == "Classifying the slices, about 24 s left"


def test_what_happens_on_the_way_is_said_while_running(widget):
    from M3LungScreenSlicer.screening_session import State

    widget.ui.screenButton.click()
    widget.logic.set_status(state=State.RUNNING, notices=("The memory of the GPU ran out.",))
    assert widget.ui.messageLabel.text == "• The memory of the GPU ran out."


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
    assert widget._parameterNode.locationThreshold == pytest.approx(0.5)


def test_a_result_of_another_ct_does_not_take_the_panel(widget, result_folder, scene, a_small_ct):
    _, folder = result_folder("covid19")
    widget.ui.screenButton.click()
    other = add_volume(scene, a_small_ct_array(a_small_ct), name="Another CT")
    widget._parameterNode.inputVolume = other
    widget.logic.finish(folder)
    assert widget.ui.verdictLabel.text == "<b>No result yet.</b>"
    widget.ui.inputSelector.setCurrentNode(a_small_ct)
    assert "COVID-19" in widget.ui.verdictLabel.text


def a_small_ct_array(node):
    from M3LungScreenSlicer.scene.volumes import voxels

    return voxels(node).copy()


def test_two_results_of_a_ct_can_be_compared(widget, result_folder, a_slice_view, settled):
    ui = widget.ui
    assert not ui.keepPreviousCheckBox.visible  # nothing to keep
    run(widget, result_folder("covid19")[1])
    assert not ui.resultSelector.visible
    first = widget.results.result
    ui.keepPreviousCheckBox.click()
    run(widget, result_folder("cap")[1])
    second = widget.results.result
    assert second != first
    assert "community-acquired" in ui.verdictLabel.text
    assert ui.resultSelector.visible
    shown = [ui.resultSelector.itemText(i) for i in range(ui.resultSelector.count)]
    assert shown[0] == "1: Pattern of COVID-19 pneumonia 92.0\N{NO-BREAK SPACE}% · compact 0.1"
    assert ui.resultSelector.currentIndex == 1
    ui.labelMapCheckBox.click()
    for index, result in ((0, first), (1, second)):
        ui.resultSelector.currentIndex = index
        ui.resultSelector.activated.emit(index)
        assert widget.results.result == result
        assert a_slice_view.layers.GetLabelVolumeID() == result.label_map.GetID()
    widget.exit()
    widget.enter()
    assert widget.results.result == second


def test_the_panel_says_which_frame_of_a_sequence_was_screened(
    scene, make_result, a_slice_view, open_module, result_folder
):
    volume = make_result().volume
    frames = [volume.hu, volume.hu + np.int16(10)]
    breathing, browser = add_sequence(
        scene, frames, ijk_to_ras_of(volume.geometry), "Breathing <1>"
    )
    widget = open_module()
    assert widget.ui.inputSelector.currentNode() is breathing
    run(widget, result_folder()[1])
    label = widget.ui.frameLabel
    assert label.visible
    assert label.text == "This result is for frame 1 of 2 (time 0 s) of Breathing &lt;1&gt;."
    show_frame(browser, 1)
    assert "The views now show another frame." in label.text
    show_frame(browser, 0)
    assert "another frame" not in label.text


def test_a_ct_of_no_sequence_says_nothing_of_frames(screened):
    assert not screened.ui.frameLabel.visible


def test_a_refusal_is_one_sentence_and_the_next_click_works(widget):
    from M3LungScreenSlicer.screening_session import State

    widget.ui.screenButton.click()
    widget.logic.set_status(
        state=State.REFUSED, message="No lung was found. Choose the chest series."
    )
    assert "No lung was found." in widget.ui.messageLabel.text
    assert not widget.ui.detailsButton.visible
    widget.ui.screenButton.click()
    assert widget.logic.calls[-1][0] == "start"
    assert not widget.ui.messageLabel.visible


def test_what_was_said_of_one_ct_is_not_said_of_another(widget, scene, a_small_ct):
    from M3LungScreenSlicer.screening_session import State

    widget.ui.screenButton.click()
    widget.logic.set_status(
        state=State.REFUSED, message="No lung was found. Choose the chest series."
    )
    other = add_volume(scene, a_small_ct_array(a_small_ct), name="Another CT")
    widget.ui.inputSelector.setCurrentNode(other)
    assert not widget.ui.messageLabel.visible
    assert "No result yet." in widget.ui.verdictLabel.text


def test_the_last_words_of_a_crash_are_in_the_details(widget):
    from M3LungScreenSlicer.screening_session import State

    widget.ui.screenButton.click()
    widget.logic.set_status(state=State.FAILED, message="It ended.", details="line 1\nline 2")
    assert not widget.ui.detailsText.visible
    widget.ui.detailsButton.click()
    assert widget.ui.detailsText.visible
    assert widget.ui.detailsText.plainText == "line 1\nline 2"


def test_a_model_from_a_file_is_chosen_with_its_card(widget, monkeypatch, a_bundle_elsewhere):
    choose(monkeypatch, file=a_bundle_elsewhere / "model.json")
    widget.ui.openModelButton.click()
    assert str(a_bundle_elsewhere) in widget.ui.cardLabel.text
    widget.ui.screenButton.click()
    assert widget.logic.calls[-1][2] == a_bundle_elsewhere


def test_a_damaged_model_disables_the_button_and_says_why(widget, monkeypatch, a_bundle_elsewhere):
    weights = a_bundle_elsewhere / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"!")
    choose(monkeypatch, file=a_bundle_elsewhere / "model.json")
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


@pytest.mark.parametrize("width", [360, 430, 600])
def test_the_panel_fits_into_a_narrow_dock(screened, settled, width):
    screened.parent.resize(width, 2000)
    settled()
    assert screened.parent.minimumSizeHint.width() <= 400
    assert screened.parent.width == max(width, screened.parent.minimumSizeHint.width())


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
