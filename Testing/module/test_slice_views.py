"""What the slice views show: the layers blended by Slicer's own logic, pixel by pixel."""

import json

import numpy as np
import pytest
import SimpleITK as sitk
from M3LungScreenSlicer.scene.overlays import lung_window, set_threshold
from M3LungScreenSlicer.scene.results import add_result
from M3LungScreenSlicer.scene.shown_map import map_to_show
from M3LungScreenSlicer.scene.slices import feet_head_axis
from M3LungScreenSlicer.scene.volumes import ijk_to_world, voxels
from scipy.spatial.transform import Rotation

from M3LungScreenLib.classes import class_by_key
from Testing.stand_ins.mrml_scene import add_volume, ijk_to_ras_of
from Testing.stand_ins.slice_pictures import SlicePicture

OBLIQUE = Rotation.from_euler("xyz", (6, -9, 12), degrees=True).as_matrix()
STORED = {
    "axial": np.eye(3),
    "from the head down, rows from behind": np.diag((1, -1, -1)),
    "sagittal": np.array([[0, 0, 1], [1, 0, 0], [0, -1, 0]]),
    "oblique": OBLIQUE @ np.diag((-1, 1, 1)),
}


@pytest.fixture(params=STORED)
def shown(request, scene, result_folder):
    """A made-up result in the scene, its CT stored in some orientation; and the lesion's RAS."""
    direction = tuple(np.ravel(STORED[request.param]).astype(float))
    result, folder = result_folder("covid19", direction=direction)
    volume = result.volume
    hu = sitk.GetArrayFromImage(volume.to_stored(volume.hu))
    ct = add_volume(scene, hu, ijk_to_ras_of(volume.stored))
    lung_window(ct)
    middle = np.argwhere(result.arrays.lesions).mean(axis=0)[::-1]
    x, y, z = volume.geometry.position_mm(middle)
    return add_result(scene, ct, folder), (-x, -y, z)


def colored(pixels):
    """Where the picture is not grey, bool `[row, column]`."""
    return np.ptp(pixels.astype(int), axis=2) > 12


@pytest.mark.parametrize("orientation", ["Axial", "Coronal", "Sagittal"])
@pytest.mark.parametrize("layer", ["foreground", "label"])
def test_the_lesion_is_at_its_pixel_in_every_view(scene, shown, orientation, layer):
    result, lesion = shown
    node = result.location_map if layer == "foreground" else result.label_map
    picture = SlicePicture(scene, result.volume, orientation=orientation, **{layer: node})
    picture.look_at(lesion)
    found = np.argwhere(colored(picture.pixels()))
    assert len(found) > 50
    assert found.mean(axis=0) == pytest.approx(picture.pixel_of(lesion), abs=4)


@pytest.mark.parametrize("orientation", ["Axial", "Coronal", "Sagittal"])
def test_the_map_of_a_slice_called_healthy_is_seen_in_no_view(scene, shown, orientation):
    result, lesion = shown
    whole = picture_of(scene, result, result.location_map, orientation, lesion)
    assert np.array_equal(
        picture_of(scene, result, map_to_show(result, True), orientation, lesion), whole
    )
    call(result, [each["index"] for each in result.content["slices"]])
    hidden = picture_of(scene, result, map_to_show(result, False), orientation, lesion)
    assert colored(whole).any()
    assert not colored(hidden).any()


def test_on_the_other_slices_every_voxel_above_0_is_what_it_was_where_it_was(scene, shown):
    result, _ = shown
    whole, axis = result.location_map, 2 - feet_head_axis(result.volume)
    call(result, range(13))
    node = map_to_show(result, False)
    first = np.linalg.solve(ijk_to_world(whole), ijk_to_world(node)[:, 3])[2::-1]
    assert first == pytest.approx(np.rint(first), abs=1e-6)
    assert ijk_to_world(node)[:, :3] == pytest.approx(ijk_to_world(whole)[:, :3])
    expected = np.moveaxis(voxels(whole).copy(), axis, 0)
    assert expected[:13].max() > 0.5
    expected[[each["predicted"] == "healthy" for each in result.content["slices"]]] = -1
    expected = np.moveaxis(expected, 0, axis)
    at = tuple(
        slice(int(a), int(a) + n) for a, n in zip(np.rint(first), voxels(node).shape, strict=True)
    )
    assert np.array_equal(voxels(node), expected[at])
    expected[at] = 0
    assert expected.max() <= 0  # nothing above 0 was left out


def picture_of(scene, result, node, orientation, at):
    """Pixels of a view on the CT with `node` in the foreground."""
    # In steps, not between voxels, where a hidden slice's neighbour would fade towards it.
    for each in (node, result.location_map):
        each.GetDisplayNode().SetInterpolate(False)
    picture = SlicePicture(scene, result.volume, orientation=orientation, foreground=node)
    picture.look_at(at)
    return picture.pixels()


def call(result, healthy):
    """Let these slices be called Healthy."""
    content = json.loads(result.node.GetText())
    for each in content["slices"]:
        if each["index"] in healthy:
            each["predicted"] = "healthy"
    result.node.SetText(json.dumps(content))


def test_a_label_is_drawn_in_its_diseases_colour(scene, shown):
    result, lesion = shown
    picture = SlicePicture(scene, result.volume, label=result.label_map)
    picture.look_at(lesion)
    row, column = picture.pixel_of(lesion)
    color = class_by_key("covid19").color
    wanted = np.array([int(color[i : i + 2], 16) for i in (1, 3, 5)])
    bare = SlicePicture(scene, result.volume)
    bare.look_at(lesion)
    under = bare.pixels()[row, column]
    assert picture.pixels()[row, column] == pytest.approx(0.6 * wanted + 0.4 * under, abs=3)


def test_the_threshold_hides_low_values(scene, shown):
    result, lesion = shown
    picture = SlicePicture(scene, result.volume, foreground=result.location_map)
    picture.look_at(lesion)
    areas = []
    for threshold in (0.1, 0.5, 0.9):
        set_threshold(result.location_map, threshold)
        areas.append(int(colored(picture.pixels()).sum()))
    assert areas[0] > areas[1] > areas[2] > 0


def test_the_lung_window_shows_lung_dark_and_soft_tissue_white(scene, shown):
    result, _ = shown
    picture = SlicePicture(scene, result.volume)
    grey = picture.pixels()[..., 0]
    assert grey.max() == 255
    expected = round((-850 + 1200) / 1200 * 255)
    assert np.count_nonzero(np.abs(grey.astype(int) - expected) <= 2) > 500


@pytest.mark.parametrize("size", [(400, 300), (1000, 800)])
@pytest.mark.parametrize(("layer", "at_left"), [("location_map", True), ("label_map", False)])
def test_a_small_legend_stands_at_the_edge_of_the_red_view_alone(
    a_small_ct, a_slice_view, result_folder, window, tmp_path, layer, at_left, size
):
    import slicer
    from M3LungScreenSlicer.panel.legends import show_legend

    from Testing.stand_ins.view_pictures import SliceView

    scene = a_small_ct.GetScene()
    node = getattr(add_result(scene, a_small_ct, result_folder("covid19")[1]), layer)
    other = scene.AddNewNodeByClass("vtkMRMLSliceNode")
    other.SetLayoutName("Green")
    slicer.util.setSliceViewerLayers(background=a_small_ct, label=node, foreground=node)
    changed = []
    for view_node in (a_slice_view.node, other):
        view = SliceView(scene, view_node, size)
        pictures = []
        for shown in (False, True):
            show_legend(node, "Lesion", shown)
            view.save(tmp_path / "view.png")
            pictures.append(sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / "view.png"))))
        changed.append((pictures[0] != pictures[1]).any(axis=2))
    columns, rows = (np.flatnonzero(changed[0].any(axis=axis)) for axis in (0, 1))
    assert len(columns) > 10
    assert columns.max() < 80 if at_left else columns.min() > size[0] - 120
    assert np.ptp(rows) < 120
    assert not changed[1].any()


def test_the_crop_rectangle_is_seen_where_its_corners_are(
    a_small_ct, a_slice_view, window, tmp_path
):
    import slicer
    from M3LungScreenSlicer.panel.researcher_section import draw_crop
    from M3LungScreenSlicer.scene.axial import crop_corners

    from Testing.stand_ins.view_pictures import SliceView

    view = SliceView(a_small_ct.GetScene(), a_slice_view.node, (400, 300))
    slicer.util.setSliceViewerLayers(background=a_small_ct)
    view.fit()
    corners = crop_corners(a_small_ct, 12, (8, 10, 20, 30))
    a_slice_view.node.JumpSliceByOffsetting(*corners[0])
    pictures = []
    for draw in (lambda corners: None, draw_crop):
        draw(corners)
        view.save(tmp_path / "view.png")
        pictures.append(sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / "view.png"))))
    rows, columns = np.nonzero((pictures[0] != pictures[1]).any(axis=2))
    across, down = abs(corners[2][0] - corners[0][0]), abs(corners[2][1] - corners[0][1])
    assert len(rows) > 200
    assert np.ptp(columns) / np.ptp(rows) == pytest.approx(across / down, rel=0.05)
