"""Which CT is selected, and what is not offered."""

from types import SimpleNamespace

import numpy as np

from Testing.stand_ins.mrml_scene import add_volume


def test_opening_the_module_chooses_the_only_volume_and_leaves_its_window(a_small_ct, open_module):
    display = a_small_ct.GetDisplayNode()
    before = (display.GetWindow(), display.GetLevel(), display.GetAutoWindowLevel())
    widget = open_module()
    assert widget.ui.inputSelector.currentNode() is a_small_ct
    assert (display.GetWindow(), display.GetLevel(), display.GetAutoWindowLevel()) == before
    assert widget.ui.screenButton.enabled
    assert not widget.ui.reasonLabel.visible


def test_another_ct_is_shown_when_it_is_chosen(widget, another_ct, a_slice_view):
    other = another_ct()
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


def test_when_the_chosen_ct_goes_its_map_is_not_chosen(
    screened, scene, a_small_ct, another_ct, settled
):
    other = another_ct()
    settled()
    screened.ui.inputSelector.setCurrentNode(other)
    scene.RemoveNode(other)  # below the map in the scene's order
    settled()
    assert screened.ui.inputSelector.currentNode() is a_small_ct
    scene.RemoveNode(a_small_ct)
    settled()
    assert screened.ui.inputSelector.currentNode() is None


def test_of_several_cts_the_active_one_is_chosen(another_ct, open_module, window, monkeypatch):
    other = another_ct()
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


def test_of_several_cts_none_is_guessed(another_ct, open_module):
    another_ct()
    widget = open_module()
    assert widget.ui.inputSelector.currentNode() is None
    assert not widget.ui.screenButton.enabled


def test_without_a_volume_the_button_is_disabled_and_says_why(open_module):
    ui = open_module().ui
    assert not ui.screenButton.enabled
    assert ui.reasonLabel.visible
    assert ui.reasonLabel.text == ui.screenButton.toolTip
    assert "Load a chest CT" in ui.reasonLabel.text
