"""From a click to a verdict: widget, logic, Qt's process and the worker, nothing made up."""

import itertools
import sys
import time

import pytest

from Testing.stand_ins.mrml_scene import node_names

PATIENCE_S = 120


@pytest.fixture
def clicked(a_ct, a_slice_view, open_widget, nothing_missing):
    """The module opened on a simulated patient, Screen just clicked."""
    from M3LungScreen import M3LungScreenLogic

    widget = open_widget(M3LungScreenLogic())
    widget.before = node_names(a_ct.GetScene())
    widget.ui.screenButton.click()
    return widget


def wait(window, until, seconds=PATIENCE_S):
    """Let the event loop run; how long it took."""
    start = time.perf_counter()
    while not until():
        assert time.perf_counter() - start < seconds
        window.processEvents()
        time.sleep(0.002)
    return time.perf_counter() - start


def test_a_click_ends_in_a_verdict_with_a_provisional_one_before(clicked, window):
    ui, logic = clicked.ui, clicked.logic
    assert ui.screenButton.text == "Cancel"
    assert ui.progressBar.visible
    wait(window, lambda: "Provisional" in ui.sureLabel.text)
    wait(window, lambda: not logic.status.state.busy)
    assert logic.status.state.value == "done", logic.status.message
    shown = clicked.results.result.content["patient"]["probabilities"]
    assert ui.covid19Bar.value == round(1000 * shown["covid19"])
    assert ui.screenButton.text == "Screen"


def test_the_networks_own_maps_come_with_the_result(clicked, window, a_slice_view, a_ct):
    from M3LungScreenSlicer.scene.attention import OVERLAY
    from M3LungScreenSlicer.scene.volumes import voxels

    wait(window, lambda: not clicked.logic.status.state.busy)
    selector = clicked.ui.attentionSelector
    assert selector.count == 2 + len(
        clicked.results.result.content["settings"]["window_centers_hu"]
    )
    selector.currentIndex = 1
    selector.activated.emit(1)
    overlay = a_ct.GetScene().GetFirstNodeByName(OVERLAY)
    assert a_slice_view.layers.GetForegroundVolumeID() == overlay.GetID()
    assert 0 <= voxels(overlay).min() < voxels(overlay).max() <= 1


def test_the_window_is_never_still_for_long_while_computing(clicked, window):
    qt = sys.modules["qt"]
    ticks = []
    timer = qt.QTimer()
    timer.connect("timeout()", lambda: ticks.append(time.thread_time()))
    timer.start(2)
    wait(window, lambda: clicked.logic.status.state.value == "provisional")
    timer.stop()
    # The processor time of this thread: the child may share its core.
    assert max(b - a for a, b in itertools.pairwise(ticks)) < 0.1


def test_cancel_while_computing_leaves_the_scene_and_the_next_click_works(clicked, window, a_ct):
    logic = clicked.logic
    wait(window, lambda: logic.status.state.value == "running")
    clicked.ui.screenButton.click()
    assert logic.status.state.value == "cancelled"
    assert node_names(a_ct.GetScene()) == clicked.before
    assert "Cancelled." in clicked.ui.messageLabel.text
    clicked.ui.screenButton.click()
    wait(window, lambda: logic.status.state.value == "provisional")


def test_nothing_runs_once_the_widget_is_gone(clicked, window):
    import psutil

    wait(window, lambda: clicked.logic.status.state.value == "running")
    children = psutil.Process().children(recursive=True)
    assert children
    clicked.cleanup()
    _, alive = psutil.wait_procs(children, timeout=10)
    assert alive == []
