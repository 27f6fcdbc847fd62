"""A result that a scene kept becomes DICOM objects as if it had just been made."""

import json
from dataclasses import replace

import numpy as np
import pytest

from M3LungScreenLib.ct import Geometry
from M3LungScreenLib.errors import UsageError
from M3LungScreenLib.kept_result import read_kept_result
from M3LungScreenLib.outputs.folder import write
from M3LungScreenLib.reading import read_ct
from M3LungScreenLib.result import Result
from Testing.conftest import plausible_result, small_chest, small_lesions
from Testing.stand_ins.dicom import write_series
from Testing.stand_ins.worker import served

ORIENTATIONS = {"feet first": (1, 0, 0, 0, 1, 0), "head first": (1, 0, 0, 0, -1, 0)}


@pytest.mark.parametrize("called", ["covid19", "healthy"])
def test_a_result_comes_back_from_its_plain_values(make_result, called):
    result = make_result(called)
    back = Result.from_dict(result.to_dict(), result.volume, result.arrays)
    assert back.to_dict() == result.to_dict()
    assert back == replace(result, settings=back.settings, attention={})


@pytest.fixture(params=list(ORIENTATIONS))
def kept(request, tmp_path):
    """A result on a DICOM series, and the folder and geometry in which a scene gives it back."""
    hu, lungs = small_chest()
    write_series(
        tmp_path / "series",
        hu,
        orientation=ORIENTATIONS[request.param],
        FrameOfReferenceUID="1.2.3",
    )
    volume = read_ct(tmp_path / "series")
    _, lungs = small_chest()
    result = plausible_result(
        volume, lungs, small_lesions(lungs, 1), patient=np.array([0.02, 0.94, 0.02, 0.02])
    )
    folder = write(result, tmp_path / "kept", volumes="raw")
    return result, folder, volume.stored


def test_lesions_and_map_lie_on_the_voxels_of_the_files(kept):
    result, folder, geometry = kept
    back = read_kept_result(folder, geometry, result.volume)
    np.testing.assert_array_equal(back.arrays.lesions, result.arrays.lesions)
    np.testing.assert_allclose(
        back.arrays.lesion_location_map, result.arrays.lesion_location_map, atol=1e-6
    )
    assert back.patient == result.patient


def test_a_scene_that_stores_the_axes_in_another_order_gives_the_same(kept, tmp_path):
    result, folder, geometry = kept
    other = flipped(geometry)
    for name, kind in (("lesions", np.uint8), ("lesion_location_map", np.float32)):
        path = folder / f"{name}.raw"
        array = np.fromfile(path, kind).reshape(geometry.size[::-1])
        path.write_bytes(np.ascontiguousarray(array[:, :, ::-1]).tobytes())
    back = read_kept_result(folder, other, result.volume)
    np.testing.assert_array_equal(back.arrays.lesions, result.arrays.lesions)


def flipped(geometry: Geometry) -> Geometry:
    """The same voxels, counted from the other end of a row."""
    axes = np.reshape(geometry.direction, (3, 3)) * (-1, 1, 1)
    corner = geometry.position_mm((geometry.size[0] - 1, 0, 0))
    return replace(geometry, origin_mm=corner, direction=tuple(axes.ravel()))


def test_a_ct_that_was_moved_or_edited_is_refused(kept):
    result, folder, geometry = kept
    x, y, z = geometry.origin_mm
    for moved in (replace(geometry, origin_mm=(x + 3.0, y, z)), flipped(geometry)):
        moved = replace(moved, origin_mm=(x + 3.0, y, z))
        with pytest.raises(UsageError, match="has another position or size than in the DICOM"):
            read_kept_result(folder, moved, result.volume)
    hu = np.where(result.volume.hu > 30, np.int16(60), result.volume.hu)
    with pytest.raises(UsageError, match="has other values than in the DICOM files"):
        read_kept_result(folder, geometry, replace(result.volume, hu=hu))


def test_a_result_of_another_version_is_refused(kept):
    result, folder, geometry = kept
    plain = json.loads((folder / "result.json").read_text("utf-8")) | {"schema_version": "1.0"}
    (folder / "result.json").write_text(json.dumps(plain))
    with pytest.raises(UsageError, match="another version of M3LungScreen"):
        read_kept_result(folder, geometry, result.volume)


def test_the_worker_writes_the_objects_of_a_kept_result(kept, tmp_path):
    pydicom = pytest.importorskip("pydicom")
    pytest.importorskip("highdicom", reason="the extra 'dicom' is not installed")
    result, folder, geometry = kept
    (tmp_path / "report.pdf").write_bytes(b"%PDF-1.7 report")
    events = served(
        {
            "command": "dicom",
            "run": 3,
            "result": str(folder),
            "geometry": {name: list(value) for name, value in vars(geometry).items()},
            "files": [str(each) for each in result.volume.dicom_files[::-1]],
            "pdf": str(tmp_path / "report.pdf"),
            "out": str(tmp_path / "dicom"),
        }
    )
    assert events[-1] == {"event": "result", "path": str(tmp_path / "dicom"), "run": 3}
    made = [pydicom.dcmread(each) for each in sorted((tmp_path / "dicom").iterdir())]
    assert sorted(each.Modality for each in made) == ["DOC", "OT", "SEG", "SR"]
    document = next(each for each in made if each.Modality == "DOC")
    assert document.EncapsulatedDocument.startswith(b"%PDF-1.7 report")
    study = pydicom.dcmread(result.volume.dicom_files[0]).StudyInstanceUID
    lesions = next(each for each in made if each.Modality == "SEG")
    assert lesions.StudyInstanceUID == study
    assert lesions.pixel_array.sum() == (result.arrays.lesions > 0).sum()
