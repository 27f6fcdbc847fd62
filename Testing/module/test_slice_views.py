"""What the slice views show: the layers blended by Slicer's own logic, pixel by pixel."""

import numpy as np
import pytest
import SimpleITK as sitk
from M3LungScreenSlicer.scene.overlays import hide_slices, lung_window, set_threshold
from M3LungScreenSlicer.scene.results import add_result
from M3LungScreenSlicer.scene.slices import feet_head_axis
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
def test_the_map_of_a_hidden_slice_is_seen_in_no_view(scene, shown, orientation):
    result, lesion = shown
    location_map, axis = result.location_map, feet_head_axis(result.volume)
    picture = SlicePicture(scene, result.volume, orientation=orientation, foreground=location_map)
    picture.look_at(lesion)
    before = picture.pixels()
    lesions = [each["index"] for each in result.content["slices"] if each["predicted"] == "covid19"]
    hide_slices(location_map, axis, lesions, True)
    assert not colored(picture.pixels()).any()
    hide_slices(location_map, axis, lesions, False)
    assert np.array_equal(picture.pixels(), before)


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


@pytest.mark.parametrize(("layer", "at_left"), [("location_map", True), ("label_map", False)])
def test_a_legend_stands_at_the_edge_of_the_view(
    a_small_ct, a_slice_view, result_folder, window, tmp_path, layer, at_left
):
    import slicer
    from M3LungScreenSlicer.panel.overlay_section import show_legend

    from Testing.stand_ins.view_pictures import SliceView

    scene = a_small_ct.GetScene()
    node = getattr(add_result(scene, a_small_ct, result_folder("covid19")[1]), layer)
    view = SliceView(scene, a_slice_view.node, (400, 300))
    slicer.util.setSliceViewerLayers(background=a_small_ct, label=node, foreground=node)
    pictures = []
    for shown in (False, True):
        show_legend(node, "Lesion", shown)
        view.save(tmp_path / "view.png")
        pictures.append(sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / "view.png"))))
    changed = np.flatnonzero((pictures[0] != pictures[1]).any(axis=(0, 2)))
    assert len(changed) > 10
    assert changed.max() < 100 if at_left else changed.min() > 300


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
