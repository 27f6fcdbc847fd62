"""The overlays in the slice and 3D views: the location map, the label map, and the surfaces."""

import zipfile

import numpy as np
import pytest
import SimpleITK as sitk
from M3LungScreenSlicer.scene.shown_map import SHOWN
from M3LungScreenSlicer.scene.volumes import voxels

from Testing.stand_ins.clicks import screen
from Testing.stand_ins.mrml_scene import add_volume


def test_overlays_lie_over_the_ct_as_the_sliders_say(screened, a_slice_view, a_small_ct):
    layers, ui = a_slice_view.layers, screened.ui
    result = screened.results.result
    ui.opacitySlider.value = 0.3
    ui.thresholdSlider.value = 0.6
    assert layers.GetBackgroundVolumeID() == a_small_ct.GetID()
    shown = a_slice_view.foreground
    assert shown is not result.location_map  # some of its slices are called Healthy
    assert layers.GetForegroundOpacity() == pytest.approx(0.3)
    for node in (shown, result.location_map):
        assert node.GetDisplayNode().GetLowerThreshold() == pytest.approx(0.6)
    ui.healthyCheckBox.click()
    assert a_slice_view.foreground is result.location_map
    ui.labelMapCheckBox.click()
    assert layers.GetLabelVolumeID() == result.label_map.GetID()


def test_what_the_user_does_to_the_layers_stays_while_scrolling(
    screened, a_slice_view, scene, settled
):
    a_slice_view.layers.SetForegroundOpacity(0.31)
    screened.results.jump_to(screened.results.entry["index"] + 1)
    scene.RemoveNode(scene.AddNewNodeByClass("vtkMRMLModelNode"))
    settled()
    assert a_slice_view.layers.GetForegroundOpacity() == pytest.approx(0.31)


def test_the_lesions_of_one_ct_never_lie_over_another(
    screened, another_ct, a_slice_view, a_small_ct
):
    screened.ui.labelMapCheckBox.click()
    layers, result = a_slice_view.layers, screened.results.result
    assert a_slice_view.legends == ["Disease", "Lesion"]
    screened.ui.inputSelector.setCurrentNode(another_ct())
    assert layers.GetForegroundVolumeID() is None
    assert layers.GetLabelVolumeID() is None
    assert a_slice_view.legends == []
    screened.ui.inputSelector.setCurrentNode(a_small_ct)
    assert a_slice_view.foreground.GetName() == SHOWN
    assert layers.GetLabelVolumeID() == result.label_map.GetID()


def test_the_users_own_layers_are_left_alone_by_every_parameter(screened, a_slice_view, scene):
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


def test_views_of_a_new_layout_get_the_overlays_with_the_next_change(screened, scene):
    import slicer

    layers = scene.AddNode(slicer.vtkMRMLSliceCompositeNode())
    screened.ui.opacitySlider.value = 0.4
    assert scene.GetNodeByID(layers.GetForegroundVolumeID()).GetName() == SHOWN


def test_hiding_the_map_on_healthy_slices_never_touches_the_result(
    widget, result_folder, a_slice_view, scene, tmp_path
):
    import slicer

    result, folder = result_folder("covid19")
    screen(widget, folder)
    truth = result.arrays.lesion_location_map
    slices = widget.results.result.content["slices"]
    healthy = np.array([each["predicted"] == "healthy" for each in slices])
    assert truth[healthy].max() > 0
    shown, whole = a_slice_view.foreground, widget.results.result.location_map
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


def test_surfaces_leave_with_their_ct_and_come_back_with_it(screened, another_ct, a_small_ct):
    screened.ui.surfaceCheckBox.click()
    display = screened.results.result.segmentation.GetDisplayNode()
    assert not display.GetVisibility2D()  # the overlays are there
    assert display.GetVisibility2DFill()  # without either Slicer fills its log
    assert display.GetVisibility2DOutline()
    screened.ui.inputSelector.setCurrentNode(another_ct())
    assert not display.GetVisibility()
    screened.ui.inputSelector.setCurrentNode(a_small_ct)
    assert display.GetVisibility()
    assert screened.ui.surfaceCheckBox.checked


def test_lesions_of_a_former_run_are_not_shown_as_those_of_a_new_one(screened, result_folder):
    screened.ui.surfaceCheckBox.click()
    node = screened.results.result.segmentation
    screen(screened, result_folder("h1n1")[1])
    assert not node.GetDisplayNode().GetVisibility()
    assert not screened.ui.surfaceCheckBox.checked
    screened.ui.surfaceCheckBox.click()
    assert screened.results.result.segmentation is node
    assert node.GetDisplayNode().GetVisibility()
    assert node.GetSegmentation().GetNthSegment(0).GetName() == "H1N1"
