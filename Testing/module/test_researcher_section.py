"""For researchers: the crop rectangle, the stages of the crop, and the network's own maps."""

from dataclasses import replace

import numpy as np
import pytest
from M3LungScreenSlicer.scene.attention import OVERLAY
from M3LungScreenSlicer.scene.shown_map import SHOWN
from M3LungScreenSlicer.scene.volumes import voxels

from M3LungScreenLib.outputs.folder import write
from Testing.stand_ins.clicks import screen


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


def test_attention_maps_lie_over_the_crop_window_by_window(widget, result_folder, a_slice_view):
    result, folder = result_folder("covid19")
    maps = {e.index: np.full((3, 7, 9), e.index / 50, np.float16) for e in result.slices}
    for each in maps.values():
        each[1] += 0.25
    write(replace(result, attention=maps), folder, volumes="raw")
    screen(widget, folder)
    choose_attention(widget, 3)
    node = a_slice_view.foreground
    index, crop = widget.results.entry["index"], widget.results.entry["crop"]
    assert voxels(node) == pytest.approx(index / 50 + 0.25, abs=1e-3)
    assert bounds_of(node)[:2] == pytest.approx((crop[3] * 6.0, crop[2] * 7.5))
    assert a_slice_view.legends == ["Attention"]
    choose_attention(widget, 0)
    assert a_slice_view.legends == ["Lesion"]
    assert a_slice_view.foreground.GetName() == SHOWN


def test_a_result_without_attention_maps_shows_none(screened, scene):
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
