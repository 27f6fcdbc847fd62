"""Screen all: every CT of the scene, one after another, and what became of each."""

import pytest
from M3LungScreenSlicer.scene.nodes import remove_nodes
from M3LungScreenSlicer.scene.results import result_of
from M3LungScreenSlicer.screening_session import State

from Testing.stand_ins.clicks import screen


@pytest.fixture
def three(widget, a_small_ct, another_ct, settled):
    """The panel with three CTs in the scene, of which the first is selected."""
    cts = [a_small_ct, another_ct(), another_ct()]
    cts[2].SetName("CT <3>")
    settled()
    return widget, cts


def started(widget):
    return [each[1] for each in widget.logic.calls if each[0] == "start"]


def test_every_ct_is_screened_and_the_position_is_told(three, result_folder):
    widget, cts = three
    _, folder = result_folder("covid19")
    widget.ui.screenAllButton.click()
    for n, ct in enumerate(cts, 1):
        assert started(widget)[-1] is ct
        widget.logic.run_for_a_while()
        assert widget.ui.progressLabel.text == (
            f"{n} of 3: {ct.GetName()}. Classifying the slices, about 24 s left"
        )
        assert widget.ui.screenButton.text == "Cancel"
        assert not widget.ui.screenAllButton.enabled
        widget.logic.finish(folder)
    assert started(widget) == cts
    assert all(result_of(each) is not None for each in cts)
    assert widget.ui.messageLabel.text == "<b>3 of 3 CTs were screened.</b>"
    assert widget.ui.screenButton.text == "Screen"
    assert widget.ui.screenAllButton.enabled
    assert widget.results.result.volume is cts[0]


def test_what_was_refused_is_listed_at_the_end_and_stops_nothing(three, result_folder):
    widget, _ = three
    folder = result_folder("covid19")[1]
    widget.ui.screenAllButton.click()
    widget.logic.finish(folder)
    widget.logic.set_status(state=State.REFUSED, message="No lung was found.")
    widget.logic.set_status(state=State.FAILED, message="It ended.", details="traceback")
    assert widget.ui.messageLabel.text == (
        "<b>1 of 3 CTs were screened.</b><br>• Another CT: No lung was found."
        "<br>• CT &lt;3&gt;: It ended."
    )


def test_cancel_ends_all_and_keeps_what_is_done(three, result_folder):
    widget, cts = three
    widget.ui.screenAllButton.click()
    widget.logic.finish(result_folder("covid19")[1])
    assert "Results so far stay" in widget.ui.screenButton.toolTip
    widget.ui.screenButton.click()
    assert len(started(widget)) == 2
    assert widget.ui.messageLabel.text == "<b>Cancelled. 1 of 3 CTs were screened.</b>"
    assert result_of(cts[0]) is not None
    assert result_of(cts[1]) is None


def test_a_ct_that_is_removed_meanwhile_is_told(three, result_folder, scene, settled):
    widget, cts = three
    _, folder = result_folder("covid19")
    widget.ui.screenAllButton.click()
    remove_nodes(scene, [cts[1]])
    settled()
    widget.logic.finish(folder)
    assert started(widget)[-1] is cts[2]
    widget.logic.finish(folder)
    assert "2 of 3 CTs were screened" in widget.ui.messageLabel.text
    assert "Another CT: It was removed from the scene." in widget.ui.messageLabel.text


def test_it_goes_on_while_another_module_is_open(three, result_folder):
    widget, cts = three
    _, folder = result_folder("covid19")
    widget.ui.screenAllButton.click()
    widget.exit()
    for _ in cts:
        widget.logic.finish(folder)
    widget.enter()
    assert all(result_of(each) is not None for each in cts)
    assert "3 of 3" in widget.ui.messageLabel.text


def test_the_selected_ct_and_its_verdict_stay_in_the_panel(three, result_folder):
    widget, cts = three
    _, folder = result_folder("covid19")
    screen(widget, folder)
    verdict = widget.ui.verdictLabel.text
    widget.ui.screenAllButton.click()
    widget.logic.finish(folder)
    widget.logic.give_provisional()
    assert widget.ui.verdictLabel.text == verdict
    assert widget._parameterNode.inputVolume is cts[0]


def test_closing_the_scene_ends_it(three, scene, settled):
    widget, _ = three
    widget.ui.screenAllButton.click()
    scene.Clear(0)
    settled()
    assert not widget.ui.progressBar.visible
    assert not widget.ui.screenAllButton.enabled
    assert "no CT in the scene" in widget.ui.screenAllButton.toolTip


def test_an_ordinary_screening_has_no_position(three, result_folder):
    widget, cts = three
    widget.ui.screenAllButton.click()
    for _ in cts:
        widget.logic.finish(result_folder("covid19")[1])
    widget.ui.screenButton.click()
    widget.logic.run_for_a_while()
    assert widget.ui.progressLabel.text == "Classifying the slices, about 24 s left"
    assert not widget.ui.messageLabel.visible


def test_missing_packages_are_installed_first(three, monkeypatch):
    from M3LungScreenSlicer import installation

    widget, cts = three
    monkeypatch.setattr(installation, "missing_packages", lambda *where: ["onnxruntime"])
    monkeypatch.setattr(installation, "ask", lambda plan: None)
    widget.ui.screenAllButton.click()
    assert widget.logic.calls[-1][0] == "install"
    assert not widget.ui.screenAllButton.enabled
    monkeypatch.setattr(installation, "missing_packages", lambda *where: [])
    widget.logic.set_status(state=State.INSTALLED)
    assert started(widget) == [cts[0]]
