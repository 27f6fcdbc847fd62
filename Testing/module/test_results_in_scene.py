"""What a screening leaves in the scene: overlays, colours, tables, chart, hierarchy."""

import json
import math

import numpy as np
import pytest
import SimpleITK as sitk
from M3LungScreenSlicer.scene import tables
from M3LungScreenSlicer.scene.chart import mark_slice
from M3LungScreenSlicer.scene.nodes import remove_nodes
from M3LungScreenSlicer.scene.overlays import lung_window, set_threshold, set_window
from M3LungScreenSlicer.scene.results import (
    add_result,
    delete_result,
    result_of,
    results_in,
    results_of,
)
from M3LungScreenSlicer.scene.segmentation import convert_to_segmentation, segments_of, show_in_3d
from M3LungScreenSlicer.scene.shown_map import map_to_show
from M3LungScreenSlicer.scene.slices import (
    healthy_slices,
    most_suspicious,
    position_of,
    suspicious_neighbour,
)
from M3LungScreenSlicer.scene.volumes import voxels
from vtk.util.numpy_support import vtk_to_numpy

from M3LungScreenLib.classes import CLASSES
from Testing.stand_ins.mrml_scene import add_volume, ijk_to_ras_of, node_names


@pytest.fixture
def ct(scene, make_result):
    volume = make_result().volume
    return add_volume(scene, volume.hu, ijk_to_ras_of(volume.geometry), "CT of Müller")


@pytest.fixture
def screened(scene, ct, result_folder):
    result, folder = result_folder()
    return result, add_result(scene, ct, folder)


def column(table_node, name):
    return vtk_to_numpy(table_node.GetTable().GetColumnByName(name))


def test_the_overlays_hold_the_arrays_of_the_result(screened):
    result, shown = screened
    assert np.array_equal(voxels(shown.location_map), result.arrays.lesion_location_map)
    assert np.array_equal(voxels(shown.label_map), result.arrays.lesions)
    assert shown.content == json.loads(json.dumps(result.to_dict())) | {
        name: shown.content[name]
        for name in ("timing_s", "peak_memory_mb")  # writing counts
    }


def test_the_map_is_warm_transparent_below_its_threshold_and_on_an_absolute_scale(screened):
    _, shown = screened
    display = shown.location_map.GetDisplayNode()
    assert (display.GetWindowLevelMin(), display.GetWindowLevelMax()) == (0, 1)
    assert not display.GetAutoWindowLevel()
    assert display.GetApplyThreshold()
    assert display.GetLowerThreshold() == pytest.approx(0.5)
    set_threshold(shown.location_map, 0.7)
    assert display.GetLowerThreshold() == pytest.approx(0.7)
    colors = display.GetColorNode()
    luminance = [
        np.dot(colors.GetLookupTable().GetTableValue(i)[:3], (0.2126, 0.7152, 0.0722))
        for i in range(colors.GetNumberOfColors())
    ]
    assert (np.diff(luminance) > -1e-3).all()
    assert luminance[-1] - luminance[0] > 0.7


def test_each_disease_has_its_name_and_colour(screened):
    colors = screened[1].label_map.GetDisplayNode().GetColorNode()
    assert [colors.GetColorName(each.index) for each in CLASSES[1:]] == ["COVID-19", "H1N1", "CAP"]
    for each in CLASSES[1:]:
        rgba = colors.GetLookupTable().GetTableValue(each.index)
        assert "#" + "".join(f"{round(c * 255):02X}" for c in rgba[:3]) == each.color
    assert colors.GetLookupTable().GetTableValue(0)[3] == 0


def test_the_slices_table_says_what_the_result_says(screened):
    result, shown = screened
    names = [shown.slices_table.GetColumnName(i) for i in range(len(tables.SLICE_COLUMNS))]
    assert tuple(names) == tables.SLICE_COLUMNS
    assert list(tables.CLASS_COLUMNS.items()) == [(each.key, each.name) for each in CLASSES]
    found = column(shown.slices_table, "P(lesion)")
    for one, value in zip(result.slices, found, strict=True):
        assert math.isnan(value) if one.p_lesion is None else value == one.p_lesion
    x, y, z = result.slices[7].position_mm
    assert [column(shown.slices_table, name)[7] for name in ("R mm", "A mm", "S mm")] == [-x, -y, z]


def test_the_involvement_table_has_both_lungs_and_their_zones(screened):
    result, shown = screened
    rows = dict(zip(("right", "left", "total"), range(3), strict=True))
    for lung, row in rows.items():
        expected = getattr(result.involvement, lung)
        for key, name in tables.INVOLVEMENT_COLUMNS.items():
            assert column(shown.involvement_table, name)[row] == getattr(expected, key)
    assert column(shown.involvement_table, "Lung volume ml")[2] == result.lung_volume_ml.total


def test_the_chart_draws_the_table_and_marks_the_current_slice(screened):
    _, shown = screened
    chart = shown.chart
    series = [chart.GetNthPlotSeriesNode(i) for i in range(chart.GetNumberOfPlotSeriesNodes())]
    names = [each.GetYColumnName() for each in series]
    assert names == ["P(lesion)", "Healthy", "COVID-19", "H1N1", "CAP", "Current slice"]
    assert all(each.GetTableNode() is shown.slices_table for each in series[:5])
    markers = {(each.GetMarkerStyle(), each.GetLineStyle()) for each in series}
    assert len(markers) == 6
    last = column(shown.slices_table, "Slice").max()
    low, high = chart.GetXAxisRange()
    assert not chart.GetXAxisRangeAuto()
    assert low <= 0
    assert (last - low) / (high - low) <= 0.8  # the legend has the rest
    mark_slice(shown, 12)
    assert column(series[5].GetTableNode(), "Slice").tolist() == [12, 12]


def test_results_lie_in_a_folder_under_the_study_of_the_ct(scene, ct, result_folder):
    import slicer

    tree = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(scene)
    study = tree.CreateStudyItem(tree.CreateSubjectItem(tree.GetSceneItemID(), "Müller"), "Thorax")
    tree.CreateItem(study, ct)
    shown = add_result(scene, ct, result_folder()[1])
    folder = tree.GetItemParent(tree.GetItemByDataNode(shown.node))
    assert tree.GetItemParent(folder) == study
    for node in (shown.location_map, shown.label_map, shown.slices_table, shown.chart):
        assert tree.GetItemParent(tree.GetItemByDataNode(node)) == folder
    assert tree.GetItemParent(tree.GetItemByDataNode(ct)) == study
    for node in (shown.mark_table, shown.chart.GetNthPlotSeriesNode(0)):
        assert tree.GetItemByDataNode(node) == tree.GetInvalidItemID()


def test_a_second_run_fills_the_same_nodes(scene, ct, result_folder):
    first = add_result(scene, ct, result_folder()[1])
    before, map_id = node_names(scene), first.location_map.GetID()
    result, folder = result_folder("cap")
    second = add_result(scene, ct, folder)
    assert node_names(scene) == before
    assert second.location_map.GetID() == map_id
    assert np.array_equal(voxels(second.label_map), result.arrays.lesions)
    assert second.content["patient"]["predicted"] == "cap"


def test_a_result_that_is_kept_stands_beside_the_next_one(scene, ct, result_folder):
    (one, first_folder), (two, second_folder) = result_folder(), result_folder("cap")
    first = add_result(scene, ct, first_folder)
    second = add_result(scene, ct, second_folder, keep_previous=True)
    assert results_of(ct) == [first, second]
    assert result_of(ct) == second
    for made, shown in ((one, first), (two, second)):
        assert np.array_equal(voxels(shown.location_map), made.arrays.lesion_location_map)
        assert np.array_equal(voxels(shown.label_map), made.arrays.lesions)
        assert shown.content["patient"]["predicted"] == made.patient.predicted
    add_result(scene, ct, result_folder("h1n1")[1])
    predicted = [each.content["patient"]["predicted"] for each in results_of(ct)]
    assert predicted == ["covid19", "h1n1"]
    delete_result(second)
    assert np.array_equal(voxels(first.label_map), one.arrays.lesions)
    assert results_of(ct) == [first]


def test_a_run_after_a_node_was_deleted_makes_that_node_anew(scene, ct, result_folder):
    first = add_result(scene, ct, result_folder()[1])
    before = [each.split()[0] for each in node_names(scene)]
    remove_nodes(scene, [first.label_map])
    assert first.label_map is None
    add_result(scene, ct, result_folder("cap")[1])
    assert [each.split()[0] for each in node_names(scene)] == before


@pytest.mark.parametrize("name", ["lesions.raw", "lesion_location_map.raw", "report.html"])
def test_an_incomplete_folder_leaves_the_scene_as_it_was(scene, ct, result_folder, name):
    _, folder = result_folder()
    if name.endswith(".raw"):
        (folder / name).write_bytes(b"cut off")
    else:
        (folder / name).unlink()
    before = node_names(scene)
    with pytest.raises(OSError, match=name):
        add_result(scene, ct, folder)
    assert node_names(scene) == before


def test_deleting_a_result_leaves_the_scene_as_it_was(scene, ct, result_folder):
    import slicer

    tree = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(scene)
    tree.CreateItem(tree.GetSceneItemID(), ct)
    before, items = node_names(scene), tree.GetNumberOfItems()
    shown = add_result(scene, ct, result_folder()[1])
    show_in_3d(shown, True)
    delete_result(shown)
    assert node_names(scene) == before
    assert tree.GetNumberOfItems() == items


def test_a_deleted_result_leaves_the_views_too(scene, ct, result_folder):
    before = node_names(scene)
    shown = add_result(scene, ct, result_folder()[1])
    assert map_to_show(shown, on_healthy=False) is not shown.location_map
    delete_result(shown)
    assert [name for name in node_names(scene) if name not in before] == []


def test_a_saved_view_of_the_map_shows_no_other_volume_when_it_is_opened(
    scene, screened, a_slice_view, tmp_path
):
    _, shown = screened
    a_slice_view.layers.SetForegroundVolumeID(map_to_show(shown, on_healthy=False).GetID())
    save_and_reload(scene, tmp_path / "Fall 3", "mrb")
    loaded = [add_volume(scene, np.ones((3, 4, 5), np.int16), name="PET") for _ in range(5)]
    layers = scene.GetFirstNodeByClass("vtkMRMLSliceCompositeNode")
    assert layers.GetForegroundVolumeID() not in [each.GetID() for each in loaded]


def test_two_cts_have_results_of_their_own_and_share_the_colours(scene, ct, result_folder):
    _, folder = result_folder()
    other = add_volume(scene, voxels(ct).copy(), name="Second CT")
    first, second = (add_result(scene, each, folder) for each in (ct, other))
    assert [each.volume for each in results_in(scene)] == [ct, other]
    assert result_of(other) == second
    colors = [each.label_map.GetDisplayNode().GetColorNode() for each in (first, second)]
    assert colors[0] is colors[1]
    named = [each.chart.GetNthPlotSeriesNode(2).GetName() for each in (first, second)]
    assert named == ["COVID-19", "COVID-19"]
    delete_result(first)
    assert second.label_map.GetDisplayNode().GetColorNode() is colors[0]


@pytest.mark.parametrize("kind", ["mrb", "mrml"])
def test_a_reloaded_scene_has_everything_again(scene, screened, kind, tmp_path):
    result, shown = screened
    shown.set_review("disagree", "sieht nach Ödem aus")
    convert_to_segmentation(shown)
    threshold, report = 0.62, shown.report
    set_threshold(shown.location_map, threshold)
    path = save_and_reload(scene, tmp_path / "Fall 1 Müller", kind)
    (again,) = results_in(scene)
    assert again.volume.GetName() == "CT of Müller"
    assert again.content["slices"] == result.to_dict()["slices"]
    assert np.array_equal(voxels(again.label_map), result.arrays.lesions)
    display = again.location_map.GetDisplayNode()
    assert display.GetLowerThreshold() == pytest.approx(threshold)
    assert display.GetColorNode().GetName().startswith("M3LungScreen lesion location")
    names = again.label_map.GetDisplayNode().GetColorNode()
    assert [names.GetColorName(i) for i in (1, 2, 3)] == ["COVID-19", "H1N1", "CAP"]
    assert names.GetLookupTable().GetTableValue(0)[3] == 0
    found = column(again.slices_table, "P(lesion)")
    assert found[12] == pytest.approx(result.slices[12].p_lesion)
    assert math.isnan(found[0])
    assert again.chart.GetNumberOfPlotSeriesNodes() == 6
    assert again.chart.GetNthPlotSeriesNode(2).GetTableNode() is again.slices_table
    assert again.report == report
    assert again.review["note"] == "sieht nach Ödem aus"
    assert [each.GetName() for each in segments_of(again.segmentation)] == ["COVID-19"]
    assert path.exists()


def test_a_reloaded_result_is_filled_by_the_next_run_and_can_be_deleted(
    scene, screened, result_folder, tmp_path
):
    save_and_reload(scene, tmp_path / "Fall 2", "mrb")
    (again,) = results_in(scene)
    before = node_names(scene)
    result, folder = result_folder("h1n1")
    assert add_result(scene, again.volume, folder) == again
    assert node_names(scene) == before
    assert np.array_equal(voxels(again.label_map), result.arrays.lesions)
    delete_result(again)
    assert not [name for name in node_names(scene) if "M3LungScreen" in name or "lesion" in name]
    assert not [name for name in node_names(scene) if name.startswith(MADE_CLASSES)]


MADE_CLASSES = ("vtkMRMLTable", "vtkMRMLPlot", "vtkMRMLText", "vtkMRMLLabelMap")


def save_and_reload(scene, place, kind):
    place.mkdir()
    path = place / f"Szene.{kind}"
    scene.SetRootDirectory(str(place))
    if kind == "mrb":
        assert scene.WriteToMRB(str(path))
        scene.Clear(False)
        assert scene.ReadFromMRB(str(path))
    else:
        scene.SetURL(str(path))
        write_storable_nodes(scene, place)
        assert scene.Commit()
        scene.Clear(False)
        scene.SetURL(str(path))
        assert scene.Connect()
    return path


def write_storable_nodes(scene, place):
    """What the application's save dialog does."""
    for i in range(scene.GetNumberOfNodes()):
        node = scene.GetNthNode(i)
        if node.IsA("vtkMRMLStorableNode") and node.GetSaveWithScene():
            node.AddDefaultStorageNode()
            storage = node.GetStorageNode()
            if storage is not None:
                suffix = storage.GetDefaultWriteFileExtension()
                storage.SetFileName(str(place / f"{node.GetID()}.{suffix}"))
                assert storage.WriteData(node), node.GetName()


def test_a_review_is_kept_until_the_next_run(scene, ct, screened, result_folder):
    _, shown = screened
    assert shown.review == {}
    shown.set_review("other", "Tumor?")
    assert (shown.review["opinion"], shown.review["note"]) == ("other", "Tumor?")
    with pytest.raises(ValueError, match="maybe"):
        shown.set_review("maybe")
    assert add_result(scene, ct, result_folder("cap")[1]).review == {}


def test_segments_are_named_coloured_and_coded(screened):
    _, shown = screened
    (segment,) = segments_of(convert_to_segmentation(shown))
    assert segment.GetName() == "COVID-19"
    assert segment.GetColor() == pytest.approx((0xD5 / 255, 0x5E / 255, 0), abs=0.01)
    assert "SCT^840539006" in segment.GetTerminology()
    assert "SCT^39607008^Lung" in segment.GetTerminology()
    again = convert_to_segmentation(shown)
    assert len(segments_of(again)) == 1


def test_a_segment_fills_the_voxels_of_its_label(scene, screened):
    import slicer

    result, shown = screened
    node = convert_to_segmentation(shown)
    back = scene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode")
    export = slicer.vtkSlicerSegmentationsModuleLogic.ExportAllSegmentsToLabelmapNode
    assert export(node, back, slicer.vtkSegmentation.EXTENT_REFERENCE_GEOMETRY)
    assert np.array_equal(voxels(back) > 0, result.arrays.lesions > 0)


def test_3d_surfaces_are_made_on_demand_and_hidden_again(screened):
    _, shown = screened
    node = show_in_3d(shown, True)
    assert node.GetSegmentation().ContainsRepresentation("Closed surface")
    assert node.GetDisplayNode().GetVisibility3D()
    assert not show_in_3d(shown, False).GetDisplayNode().GetVisibility3D()


def test_surfaces_alone_are_seen_in_no_slice_view(scene, a_slice_view, screened, tmp_path):
    from Testing.stand_ins.view_pictures import SliceView

    _, shown = screened
    view = SliceView(scene, a_slice_view.node, (200, 200))
    view.fit()
    a_slice_view.node.JumpSliceByOffsetting(*position_of(shown, 14))
    seen = {}
    for show in (show_in_3d, convert_to_segmentation):
        show(*((shown, True) if show is show_in_3d else (shown,)))
        view.save(tmp_path / "view.png")
        seen[show] = sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / "view.png")))
    assert np.ptp(seen[show_in_3d].astype(int), axis=2).max() == 0
    assert np.ptp(seen[convert_to_segmentation].astype(int), axis=2).max() > 50


def test_the_most_suspicious_slice_is_the_reports_first(screened):

    result, shown = screened
    assert most_suspicious(shown) == result.slice_of(result.most_telling_slices()[0]).index


def test_next_and_previous_pass_over_slices_called_healthy(screened):
    result, shown = screened
    called = [one.index for one in result.slices if one.predicted not in (None, "healthy")]
    assert suspicious_neighbour(shown, called[0], 1) == called[1]
    assert suspicious_neighbour(shown, called[1], -1) == called[0]
    assert suspicious_neighbour(shown, called[-1], 1) is None
    healthy = [one.index for one in result.slices if one.predicted == "healthy"]
    assert healthy_slices(shown) == healthy


def test_the_lung_preset_can_be_taken_back(ct):
    display = ct.GetDisplayNode()
    set_window(ct, 350, 40)
    before = lung_window(ct)
    assert (display.GetWindow(), display.GetLevel()) == (1200, -600)
    set_window(ct, *before)
    assert (display.GetWindow(), display.GetLevel()) == (350, 40)
