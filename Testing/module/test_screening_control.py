"""The Screen button: start, progress, messages, cancel; and the device it starts on."""

import pytest
from M3LungScreenSlicer.screening_session import State


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


def test_choices_rest_while_running(widget):
    widget.ui.screenButton.click()
    for name in ("inputSelector", "modelSelector", "deviceSelector"):
        assert not getattr(widget.ui, name).enabled
    widget.ui.screenButton.click()
    assert widget.ui.inputSelector.enabled


def test_a_refusal_is_one_sentence_and_the_next_click_works(widget):
    widget.ui.screenButton.click()
    widget.logic.set_status(
        state=State.REFUSED, message="No lung was found. Choose the chest series."
    )
    assert "No lung was found." in widget.ui.messageLabel.text
    assert not widget.ui.detailsButton.visible
    widget.ui.screenButton.click()
    assert widget.logic.calls[-1][0] == "start"
    assert not widget.ui.messageLabel.visible


def test_what_was_said_of_one_ct_is_not_said_of_another(widget, another_ct):
    widget.ui.screenButton.click()
    widget.logic.set_status(
        state=State.REFUSED, message="No lung was found. Choose the chest series."
    )
    other = another_ct()
    widget.ui.inputSelector.setCurrentNode(other)
    assert not widget.ui.messageLabel.visible
    assert "No result yet." in widget.ui.verdictLabel.text


def test_the_last_words_of_a_crash_are_in_the_details(widget):
    widget.ui.screenButton.click()
    widget.logic.set_status(state=State.FAILED, message="It ended.", details="line 1\nline 2")
    assert not widget.ui.detailsText.visible
    widget.ui.detailsButton.click()
    assert widget.ui.detailsText.visible
    assert widget.ui.detailsText.plainText == "line 1\nline 2"


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
