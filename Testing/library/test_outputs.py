"""The result folder: complete or absent, exact in geometry, readable by people and programs."""

import csv
import json
from dataclasses import replace
from itertools import permutations, product

import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from M3LungScreenLib.errors import UsageError
from M3LungScreenLib.location_map import LocationMap
from M3LungScreenLib.outputs import folder as folder_module
from M3LungScreenLib.outputs.folder import check_target, write
from M3LungScreenLib.outputs.nrrd import axis_vector, write_nrrd
from M3LungScreenLib.outputs.tables import COLUMNS

FILES = {
    "result.json",
    "slices.csv",
    "lesion_location_map.nrrd",
    "lesions.nrrd",
    "lungs.nrrd",
    "report.html",
    "montage.png",
}
VOLUMES = {"lesion_location_map": np.float32, "lesions": np.uint8, "lungs": np.uint8}


def geometry(image):
    return image.GetSize(), image.GetSpacing(), image.GetOrigin(), image.GetDirection()


def names(folder):
    return sorted(each.name for each in folder.iterdir())


# --- the folder


def test_a_folder_holds_exactly_the_seven_files(make_result, tmp_path):
    assert write(make_result(), tmp_path / "deep" / "out") == tmp_path / "deep" / "out"
    assert set(names(tmp_path / "deep" / "out")) == FILES
    assert names(tmp_path / "deep") == ["out"]
    mode = (tmp_path / "deep" / "out").stat().st_mode
    assert mode == (tmp_path / "deep").stat().st_mode


def test_an_empty_folder_is_filled(make_result, tmp_path):
    (tmp_path / "out").mkdir()
    make_result().write(str(tmp_path / "out"))
    assert set(names(tmp_path / "out")) == FILES
    assert names(tmp_path) == ["out"]


def test_a_folder_with_something_else_in_it_is_refused(make_result, tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(UsageError, match="not empty") as refusal:
        write(make_result(), tmp_path)
    assert refusal.value.kind == "output_not_empty"
    assert names(tmp_path) == ["thesis.tex"]


def test_a_file_in_the_place_is_refused_before_any_work(tmp_path):
    (tmp_path / "out").write_text("a file")
    with pytest.raises(UsageError, match="is a file") as refusal:
        check_target(tmp_path / "out")
    assert refusal.value.kind == "output_not_empty"
    with pytest.raises(UsageError, match="A folder cannot be created"):
        check_target(tmp_path / "out" / "below a file")


@pytest.mark.parametrize("volumes", ["nrrd", "raw"])
def test_an_earlier_result_is_replaced(make_result, tmp_path, volumes):
    write(make_result("covid19"), tmp_path / "out", volumes)
    (tmp_path / "out" / ".DS_Store").write_text("somebody looked at it")
    write(make_result("cap"), tmp_path / "out")
    assert set(names(tmp_path / "out")) == FILES
    assert json.loads((tmp_path / "out/result.json").read_text())["patient"]["predicted"] == "cap"
    assert names(tmp_path) == ["out"]


def test_a_result_of_another_minor_version_is_replaced(make_result, tmp_path):
    write(make_result("covid19"), tmp_path)
    plain = json.loads((tmp_path / "result.json").read_text())
    (tmp_path / "result.json").write_text(json.dumps(plain | {"schema_version": "1.7"}))
    write(make_result("cap"), tmp_path)
    assert json.loads((tmp_path / "result.json").read_text())["patient"]["predicted"] == "cap"


@pytest.mark.parametrize("name", ["thesis.tex", "lungs.seg.nrrd", "notes/lungs.nrrd", "empty/"])
def test_what_somebody_put_beside_an_earlier_result_is_not_lost(make_result, tmp_path, name):
    write(make_result(), tmp_path / "out")
    theirs = tmp_path / "out" / name
    if name.endswith("/"):
        theirs.mkdir()
    else:
        theirs.parent.mkdir(exist_ok=True)
        theirs.write_text("years of work")
    held = names(tmp_path / "out")
    first = theirs.relative_to(tmp_path / "out").parts[0]
    with pytest.raises(
        UsageError, match=rf"out contains {first}, which is not .* Move it"
    ) as refusal:
        write(make_result("cap"), tmp_path / "out")
    assert refusal.value.kind == "output_not_empty"
    assert names(tmp_path / "out") == held


@pytest.mark.parametrize(
    "text",
    ["{}", "[]", "years", '{"schema_version": "1.0"}', '{"schema_version": "2.0", "patient": {}}'],
)
def test_a_result_json_of_another_program_is_no_earlier_result(make_result, tmp_path, text):
    (tmp_path / "result.json").write_text(text)
    with pytest.raises(UsageError, match=r"has no result\.json from an earlier run"):
        write(make_result(), tmp_path)
    assert (tmp_path / "result.json").read_text() == text
    assert names(tmp_path) == ["result.json"]


@pytest.mark.parametrize("step", ["write_nrrd", "slices_csv", "draw_montage", "report_html"])
@pytest.mark.parametrize("exception", [RuntimeError, KeyboardInterrupt])
def test_an_exception_midway_leaves_the_old_result_and_nothing_beside(
    make_result, tmp_path, monkeypatch, step, exception
):
    write(make_result("covid19"), tmp_path / "out")
    before = (tmp_path / "out" / "result.json").read_bytes()

    def fail(*_):
        raise exception

    monkeypatch.setattr(folder_module, step, fail)
    with pytest.raises(exception):
        write(make_result("cap"), tmp_path / "out")
    assert (tmp_path / "out" / "result.json").read_bytes() == before
    with pytest.raises(exception):
        write(make_result("cap"), tmp_path / "new" / "deep" / "out")
    assert names(tmp_path) == ["out"]


def test_a_failed_move_brings_the_old_result_back(make_result, tmp_path, monkeypatch):
    out = tmp_path / "out"
    write(make_result("covid19"), out)
    rename = type(out).rename

    def fails_on_the_new(self, target):
        if (
            target == out
            and '"predicted": "cap",\n  "verdict"' in (self / "result.json").read_text()
        ):
            raise OSError(28, "No space left on device")
        return rename(self, target)

    monkeypatch.setattr(type(out), "rename", fails_on_the_new)
    with pytest.raises(UsageError, match="No space left") as refusal:
        write(make_result("cap"), out)
    assert refusal.value.kind == "output_not_written"
    assert json.loads((out / "result.json").read_text())["patient"]["predicted"] == "covid19"
    assert names(tmp_path) == ["out"]


def test_writing_is_timed_in_the_result(make_result, tmp_path):
    result = make_result()
    write(result, tmp_path / "out")
    timing = json.loads((tmp_path / "out" / "result.json").read_text())["timing_s"]
    assert timing["write"] > 0
    assert timing["total"] == pytest.approx(result.timing_s.total + timing["write"])
    assert timing["read"] == result.timing_s.read


# --- volumes


@pytest.mark.parametrize("axes", list(permutations(range(3))))
def test_volumes_have_exactly_the_geometry_of_the_input_in_all_48_orders(
    make_result, tmp_path, axes
):
    for signs in product((1, -1), repeat=3):
        direction = tuple((np.eye(3)[:, list(axes)] * signs).ravel())
        result = make_result(direction=direction, spacing_mm=(0.7421875, 1.25, 5.0))
        source = result.volume.to_stored(result.volume.hu)
        for name, kind in VOLUMES.items():
            write_nrrd(result.volume.to_stored(getattr(result.arrays, name)), tmp_path / "v.nrrd")
            read = sitk.ReadImage(str(tmp_path / "v.nrrd"))
            assert geometry(read) == geometry(source)
            assert sitk.GetArrayViewFromImage(read).dtype == kind


def test_lungs_lie_on_the_lungs_of_an_oblique_input_read_from_disk(make_result, tmp_path):
    direction = Rotation.from_euler("xyz", (17, -11, 163), degrees=True).as_matrix().ravel()
    made = make_result(direction=tuple(direction), spacing_mm=(0.703125, 0.703125, 1.3))
    hu = made.volume.to_stored(made.volume.hu)
    sitk.WriteImage(hu, str(tmp_path / "ct.nrrd"))
    source = sitk.ReadImage(str(tmp_path / "ct.nrrd"))
    result = replace(made, volume=type(made.volume).from_image(source))
    write(result, tmp_path / "out")
    for name in VOLUMES:
        assert geometry(sitk.ReadImage(str(tmp_path / f"out/{name}.nrrd"))) == geometry(source)
    lungs = sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / "out/lungs.nrrd")))
    assert (sitk.GetArrayFromImage(source)[lungs > 0] == -850).all()


@settings(max_examples=60, deadline=None)
@given(
    spacing=st.floats(0.2, 8),
    angles=st.tuples(*[st.floats(-180, 180)] * 3),
)
def test_no_axis_is_off_by_more_than_the_last_digits(spacing, angles):
    direction = Rotation.from_euler("xyz", angles, degrees=True).as_matrix()[:, 0]
    vector = axis_vector(spacing, direction)
    np.testing.assert_allclose(np.linalg.norm(vector), spacing, rtol=5e-16)
    np.testing.assert_allclose(vector / np.linalg.norm(vector), direction, rtol=1e-15, atol=3e-16)


def test_what_was_read_from_nrrd_is_written_bit_for_bit(tmp_path):
    rng = np.random.default_rng(7)
    for turn in Rotation.random(20, random_state=1).as_matrix():
        image = sitk.Image([4, 3, 2], sitk.sitkUInt8)
        image.SetSpacing(rng.uniform(0.3, 6, 3).tolist())
        image.SetOrigin(rng.uniform(-500, 500, 3).tolist())
        image.SetDirection(turn.ravel().tolist())
        sitk.WriteImage(image, str(tmp_path / "in.nrrd"))
        read = sitk.ReadImage(str(tmp_path / "in.nrrd"))
        write_nrrd(read, tmp_path / "out.nrrd")
        assert geometry(sitk.ReadImage(str(tmp_path / "out.nrrd"))) == geometry(read)


def test_volumes_are_compressed_and_hold_the_arrays(make_result, tmp_path):
    result = make_result(direction=(-1, 0, 0, 0, -1, 0, 0, 0, 1))
    write(result, tmp_path / "out")
    path = tmp_path / "out" / "lesion_location_map.nrrd"
    assert b"encoding: gzip" in path.read_bytes()[:800]
    read = sitk.GetArrayFromImage(sitk.DICOMOrient(sitk.ReadImage(str(path)), "LPS"))
    np.testing.assert_array_equal(read, result.arrays.lesion_location_map)


def test_the_location_map_is_written_in_steps_of_a_250th_and_small(make_result, tmp_path):
    result = make_result()
    steps = np.rint(250 * np.asarray(result.arrays.lesion_location_map)).astype(np.uint8)
    arrays = replace(result.arrays, lesion_location_map=LocationMap(steps))
    write(replace(result, arrays=arrays), tmp_path / "out")
    path = tmp_path / "out" / "lesion_location_map.nrrd"
    read = sitk.GetArrayFromImage(sitk.ReadImage(str(path)))
    assert read.dtype == np.float32
    assert np.array_equal(read, steps / np.float32(250))
    assert path.stat().st_size < read.nbytes / 20


# --- slices.csv


def flattened(one):
    for held in one.values():
        parts = held.values() if isinstance(held, dict) else held
        yield from parts if isinstance(held, (dict, list)) else [held]


@pytest.mark.parametrize("screened", [lambda k: True, lambda k: k % 3 == 0])
def test_the_table_says_what_the_json_says(make_result, tmp_path, screened):
    write(make_result(screened=screened), tmp_path / "out")
    with (tmp_path / "out" / "slices.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    plain = json.loads((tmp_path / "out" / "result.json").read_text())["slices"]
    assert tuple(rows[0]) == COLUMNS
    assert len(rows) == len(plain) == 30
    for row, one in zip(rows, plain, strict=True):
        assert float(row["position_mm_z"]) == one["position_mm"][2]
        texts = ["" if v is None else json.dumps(v).strip('"') for v in flattened(one)]
        if one["screened"]:
            assert list(row.values()) == texts
        assert [c for c in row.values() if c] == [text for text in texts if text]
        assert row["probabilities_h1n1"] == (
            repr(one["probabilities"]["h1n1"]) if one["probabilities"] else ""
        )


# --- attention.npz


def test_attention_maps_are_kept_for_programs(make_result, tmp_path):
    maps = {3: np.linspace(0, 1, 12, dtype=np.float16).reshape(3, 2, 2)}
    write(replace(make_result(), attention=maps), tmp_path / "raw", volumes="raw")
    with np.load(tmp_path / "raw" / "attention.npz") as kept:
        assert kept.files == ["3"]
        assert np.array_equal(kept["3"], maps[3])
