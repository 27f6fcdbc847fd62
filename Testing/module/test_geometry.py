"""Out of the scene and back in: every voxel stays at its place in the patient."""

import itertools
import json

import numpy as np
import pytest
import vtk
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from M3LungScreenSlicer.scene.results import add_result
from M3LungScreenSlicer.scene.slices import position_of, slice_at
from M3LungScreenSlicer.scene.volumes import (
    VolumeRefused,
    export_volume,
    problem_with,
    screenable,
    voxels,
)
from scipy.spatial.transform import Rotation

from M3LungScreenLib.ct import CTVolume, Geometry
from M3LungScreenLib.errors import InputRefused
from M3LungScreenLib.worker import map_volume
from Testing.stand_ins.mrml_scene import add_volume, ijk_to_ras_of
from Testing.stand_ins.sequences import add_sequence, show_frame

ORDERS = [
    np.diag(signs)[:, order]
    for order in itertools.permutations(range(3))
    for signs in itertools.product((1.0, -1.0), repeat=3)
]
OBLIQUE = Rotation.from_euler("xyz", (17, -9, 24), degrees=True).as_matrix()
ORIGIN = (-168.3, 12.7, 1043.1)


def stored_as(result_folder, direction):
    return result_folder(direction=tuple(np.ravel(direction)), origin_mm=ORIGIN)


def ct_of(scene, result, array=None):
    """The CT of a made-up result as Slicer would have loaded it."""
    volume = result.volume
    import SimpleITK as sitk

    stored = sitk.GetArrayFromImage(volume.to_stored(volume.hu if array is None else array))
    return add_volume(scene, stored, ijk_to_ras_of(volume.stored))


def as_given(geometry):
    return Geometry(**{name: tuple(values) for name, values in geometry.items()})


@pytest.mark.parametrize("direction", [*ORDERS, OBLIQUE @ ORDERS[9]])
def test_the_handed_over_ct_has_the_geometry_and_voxels_of_the_stored_one(
    scene, result_folder, tmp_path, direction
):
    result, _ = stored_as(result_folder, direction)
    exported = export_volume(ct_of(scene, result), tmp_path)
    geometry = as_given(exported.geometry)
    assert geometry.size == result.volume.stored.size
    assert geometry.spacing_mm == pytest.approx(result.volume.stored.spacing_mm)
    assert geometry.origin_mm == pytest.approx(ORIGIN)
    assert geometry.direction == pytest.approx(np.ravel(direction))
    read = np.fromfile(exported.path, np.int16).reshape(geometry.size[::-1])
    assert geometry.with_array(read)[1, 2, 3] == int(read[3, 2, 1])


@pytest.mark.parametrize("direction", [*ORDERS, OBLIQUE @ ORDERS[9]])
def test_a_lesion_lies_in_the_scene_where_it_lay_in_the_patient(scene, result_folder, direction):
    result, folder = stored_as(result_folder, direction)
    shown = add_result(scene, ct_of(scene, result), folder)
    expected = np.argwhere(result.arrays.lesions).mean(axis=0)[::-1]
    x, y, z = result.volume.geometry.position_mm(expected)
    found = np.argwhere(voxels(shown.label_map)).mean(axis=0)[::-1]
    matrix = vtk.vtkMatrix4x4()
    shown.label_map.GetIJKToRASMatrix(matrix)
    assert matrix.MultiplyPoint((*found, 1.0))[:3] == pytest.approx((-x, -y, z), abs=1e-6)


@pytest.mark.parametrize("direction", [ORDERS[0], ORDERS[5], ORDERS[17], OBLIQUE @ ORDERS[9]])
def test_the_slice_under_the_cursor_is_the_librarys_slice_there(scene, result_folder, direction):
    result, folder = stored_as(result_folder, direction)
    shown = add_result(scene, ct_of(scene, result), folder)
    for k in (0, 11, 29):
        x, y, z = result.volume.slice_position_mm(k)
        found = slice_at(shown, (-x, -y, z))
        assert found["index"] == result.volume.stored_slice_index(k)
        assert position_of(shown, found["index"]) == pytest.approx((-x, -y, z), abs=1e-6)
    assert slice_at(shown, (0, 0, 99999)) is None


def test_a_linear_transform_is_hardened_in_the_geometry_and_kept_by_the_overlays(
    scene, result_folder, tmp_path
):
    import slicer

    result, folder = stored_as(result_folder, np.eye(3))
    ct = ct_of(scene, result)
    moved = np.eye(4)
    moved[:3, :3], moved[:3, 3] = OBLIQUE, (10, -20, 30)
    matrix = vtk.vtkMatrix4x4()
    matrix.DeepCopy(moved.ravel())
    transform = scene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    transform.SetMatrixTransformToParent(matrix)
    ct.SetAndObserveTransformNodeID(transform.GetID())
    geometry = as_given(export_volume(ct, tmp_path).geometry)
    flip = np.diag([-1, -1, 1])
    inside = flip @ np.array(result.volume.stored.position_mm((3, 4, 5)))
    expected = flip @ (moved @ [*inside, 1])[:3]
    assert geometry.position_mm((3, 4, 5)) == pytest.approx(expected)
    shown = add_result(scene, ct, folder)
    assert shown.location_map.GetParentTransformNode() is transform
    assert isinstance(ct, slicer.vtkMRMLScalarVolumeNode)


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.sampled_from((np.uint16, np.int32, np.float32, np.float64, np.int16)),
    st.lists(st.integers(-1024, 3071), min_size=24, max_size=24),
)
def test_any_type_of_voxel_arrives_as_its_hu(scene, tmp_path, kind, values):
    hu = np.array(values).reshape(2, 3, 4)
    given = np.abs(hu) if kind is np.uint16 else hu
    path = export_volume(add_volume(scene, given.astype(kind)), tmp_path).path
    assert np.array_equal(np.fromfile(path, np.int16).reshape(2, 3, 4), given)


def test_the_worker_maps_what_was_handed_over(scene, a_ct, a_patient, tmp_path):
    exported = export_volume(a_ct, tmp_path)
    volume = map_volume(exported.path, as_given(json.loads(json.dumps(exported.geometry))))
    assert np.array_equal(volume.hu, a_patient.volume.hu)
    assert volume.spacing_mm == pytest.approx(a_patient.volume.spacing_mm)


def under(scene, ct, transform):
    node = scene.AddNewNodeByClass(transform, "Warp")
    ct.SetAndObserveTransformNodeID(node.GetID())
    return node


def warped(scene):
    import slicer

    ct = add_volume(scene, np.zeros((3, 3, 3), np.int16))
    node = under(scene, ct, "vtkMRMLBSplineTransformNode")
    assert isinstance(node, slicer.vtkMRMLTransformNode)
    node.SetAndObserveTransformToParent(vtk.vtkThinPlateSplineTransform())
    return ct


def sheared(scene):
    matrix = np.eye(4)
    matrix[0, 1] = 0.2
    return add_volume(scene, np.zeros((3, 3, 3), np.int16), matrix)


def colored(scene):
    node = scene.AddNewNodeByClass("vtkMRMLVectorVolumeNode", "Photo")
    image = vtk.vtkImageData()
    image.SetDimensions(3, 3, 3)
    image.AllocateScalars(vtk.VTK_UNSIGNED_CHAR, 3)
    node.SetAndObserveImageData(image)
    return node


def labelled(scene):
    kind = "vtkMRMLLabelMapVolumeNode"
    return add_volume(scene, np.zeros((3, 3, 3), np.uint8), name="Labels", kind=kind)


def of_bytes(kind):
    return lambda scene: add_volume(scene, np.full((3, 3, 3), 100, kind), name="Picture")


REFUSED = {
    "values have only 8 bits": of_bytes(np.uint8),
    "have only 8 bits, like a picture": of_bytes(np.int8),
    "non-linear transform": warped,
    "right angles": sheared,
    "more than one value": colored,
    "label map": labelled,
    "no voxels": lambda scene: scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode"),
    "not a scalar volume": lambda scene: scene.AddNewNodeByClass("vtkMRMLModelNode"),
    "No volume is selected": lambda scene: None,
}


@pytest.mark.parametrize("words", REFUSED)
def test_what_cannot_be_screened_is_refused_with_a_sentence(scene, tmp_path, words):
    node = REFUSED[words](scene)
    assert words in problem_with(node)
    assert problem_with(node).endswith(".")
    with pytest.raises(VolumeRefused, match=words):
        export_volume(node, tmp_path)
    assert list(tmp_path.glob("*.raw")) == []


@pytest.mark.parametrize("kind", [np.float32, np.float64])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("place", [(1, 1, 2), (2, 3, 4)], ids=["inside", "at the border"])
def test_a_value_that_is_no_number_is_to_slicer_what_it_is_to_the_library(
    scene, tmp_path, kind, value, place
):
    hu = np.linspace(-1000, 1000, 60).reshape(3, 4, 5).astype(kind)
    hu[place] = value
    exported = export_volume(add_volume(scene, hu), tmp_path)

    geometry = as_given(exported.geometry)
    if place == (2, 3, 4):
        expected = CTVolume.stored_in(geometry, hu)
        assert (map_volume(exported.path, geometry).hu == expected.hu).all()
        return
    with pytest.raises(InputRefused, match="NaN or infinite") as told:
        CTVolume.stored_in(geometry, hu)
    with pytest.raises(InputRefused) as refused:
        map_volume(exported.path, geometry)
    assert refused.value.message == told.value.message


def test_overlays_are_not_offered_for_screening(scene, result_folder):
    result, folder = stored_as(result_folder, np.eye(3))
    ct = ct_of(scene, result)
    add_result(scene, ct, folder)
    assert screenable(scene) == [ct]


def test_of_a_sequence_the_frame_that_is_shown_is_handed_over_and_named(scene, tmp_path):
    frames = [np.full((3, 4, 5), hu, np.int16) for hu in (-900, -600, -300)]
    volume, browser = add_sequence(scene, frames, np.eye(4), "Breathing")
    assert screenable(scene) == [volume]
    for number, hu in ((0, -900), (2, -300)):
        show_frame(browser, number)
        exported = export_volume(volume, tmp_path)
        assert (np.fromfile(exported.path, np.int16) == hu).all()
        words = f"frame {number + 1} of 3 (time {2 * number} s) of Breathing"
        assert exported.frame == {"number": number, "words": words}


def test_a_volume_of_no_sequence_has_no_frame(scene, tmp_path):
    exported = export_volume(add_volume(scene, np.full((3, 4, 5), -800, np.int16)), tmp_path)
    assert exported.frame == {}
