"""Which result is shown: of which CT, which run, and which frame of a sequence."""

import numpy as np
import pytest

from Testing.stand_ins.clicks import screen
from Testing.stand_ins.mrml_scene import ijk_to_ras_of
from Testing.stand_ins.sequences import add_sequence, show_frame


def test_a_provisional_verdict_is_replaced_by_the_final_one(widget, result_folder):
    _, folder = result_folder("h1n1")
    widget.ui.screenButton.click()
    widget.logic.give_provisional()
    assert "Provisional" in widget.ui.sureLabel.text
    widget.logic.finish(folder)
    assert "H1N1" in widget.ui.verdictLabel.text
    assert "Provisional" not in widget.ui.sureLabel.text


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


def test_a_result_of_another_ct_does_not_take_the_panel(
    widget, result_folder, another_ct, a_small_ct
):
    _, folder = result_folder("covid19")
    widget.ui.screenButton.click()
    other = another_ct()
    widget._parameterNode.inputVolume = other
    widget.logic.finish(folder)
    assert widget.ui.verdictLabel.text == "<b>No result yet.</b>"
    widget.ui.inputSelector.setCurrentNode(a_small_ct)
    assert "COVID-19" in widget.ui.verdictLabel.text


def test_two_results_of_a_ct_can_be_compared(widget, result_folder, a_slice_view, settled):
    ui = widget.ui
    assert not ui.keepPreviousCheckBox.visible  # nothing to keep
    screen(widget, result_folder("covid19")[1])
    assert not ui.resultSelector.visible
    first = widget.results.result
    ui.keepPreviousCheckBox.click()
    screen(widget, result_folder("cap")[1])
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
    screen(widget, result_folder()[1])
    label = widget.ui.frameLabel
    assert label.visible
    assert label.text == "This result is for frame 1 of 2 (time 0 s) of Breathing &lt;1&gt;."
    show_frame(browser, 1)
    assert "The views now show another frame." in label.text
    show_frame(browser, 0)
    assert "another frame" not in label.text


def test_a_ct_of_no_sequence_says_nothing_of_frames(screened):
    assert not screened.ui.frameLabel.visible
