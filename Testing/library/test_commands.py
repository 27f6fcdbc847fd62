"""The command line as a user meets it: exit status, one plain sentence, nothing left behind."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from M3LungScreenLib import load_bundle
from M3LungScreenLib.__main__ import main
from M3LungScreenLib.commands import info
from M3LungScreenLib.commands.progress import PROGRESS_STYLES, listener_for
from M3LungScreenLib.engines import fallback_engine
from M3LungScreenLib.errors import MEMORY_RAN_OUT
from M3LungScreenLib.events import Notice
from M3LungScreenLib.result import SCHEMA_FILE
from Testing.stand_ins.small_gpu import put_in_small_gpu

ROOT = Path(__file__).parents[2]
BUNDLE = ROOT / "Resources" / "Models" / "compact"


def command(*arguments, **options):
    return subprocess.run(
        [sys.executable, "-m", "M3LungScreenLib", *map(str, arguments)],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=False,
        **options,
    )


@pytest.fixture(scope="module")
def a_case(tmp_path_factory):
    path = tmp_path_factory.mktemp("Fälle mit Leerzeichen") / "case.nrrd"
    assert main(["simulate", "--class", "covid19", "--seed", "5", "-o", str(path)]) == 0
    return path


@pytest.fixture(scope="module")
def a_screened_case(a_case):
    out = a_case.parent / "out"
    ran = command("screen", a_case, "-o", out, "--detail", "preview", "--progress", "jsonl")
    assert ran.returncode == 0, ran.stderr
    return out, [json.loads(line) for line in ran.stdout.splitlines()]


def test_the_folder_is_complete_and_fits_the_schema(a_screened_case):
    import jsonschema

    out, _ = a_screened_case
    names = {"result.json", "slices.csv", "report.html", "montage.png", "lungs.nrrd"}
    assert {each.name for each in out.iterdir()} == names | {
        "lesions.nrrd",
        "lesion_location_map.nrrd",
    }
    result = json.loads((out / "result.json").read_text("utf-8"))
    jsonschema.validate(result, json.loads(SCHEMA_FILE.read_text("utf-8")))
    assert result["model"]["sha256"] == load_bundle(BUNDLE).sha256


def test_the_volumes_have_the_inputs_geometry_to_the_bit(a_case, a_screened_case):
    given = sitk.ReadImage(str(a_case))
    for name in ("lesions.nrrd", "lungs.nrrd", "lesion_location_map.nrrd"):
        made = sitk.ReadImage(str(a_screened_case[0] / name))
        for ask in ("GetSize", "GetSpacing", "GetOrigin", "GetDirection"):
            assert getattr(made, ask)() == getattr(given, ask)()


def test_involvement_is_what_the_written_volumes_say(a_screened_case):
    out, _ = a_screened_case
    lesions, lungs = (
        sitk.GetArrayFromImage(sitk.ReadImage(str(out / name)))
        for name in ("lesions.nrrd", "lungs.nrrd")
    )
    involvement = json.loads((out / "result.json").read_text("utf-8"))["involvement"]
    for name, side in (("right", lungs == 1), ("left", lungs == 2), ("total", lungs > 0)):
        share = (lesions[side] > 0).mean()
        assert involvement[name]["fraction"] == pytest.approx(share)


def test_json_lines_tell_progress_a_provisional_verdict_and_the_result(a_screened_case):
    out, events = a_screened_case
    kinds = [each["event"] for each in events]
    assert kinds.count("provisional") == 1
    assert kinds[-1] == "result"
    assert Path(events[-1]["path"]) == out
    progress = [each for each in events if each["event"] == "progress"]
    assert all(0 <= each["done"] <= each["total"] for each in progress)
    assert list(dict.fromkeys(each["step"] for each in progress)) == [
        "read",
        "preprocess",
        "slice_network",
        "patient_network",
        "localization",
        "write",
    ]


def test_a_result_folder_is_replaced_and_another_is_refused(a_case, a_screened_case, tmp_path):
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "thesis.txt").write_text("years")
    refused = command("screen", a_case, "-o", mine, "--progress", "none")
    assert refused.returncode == 2
    assert [each.name for each in mine.iterdir()] == ["thesis.txt"]
    assert refused.stderr.count("\n") == 1


REFUSALS = {
    "missing": (lambda path: None, 3),
    "no image": (lambda path: path.write_text("hello"), 3),
    "eight bit": (lambda path: write(path, np.uint8(np.arange(9 * 64 * 64) % 256)), 3),
    "not a number": (lambda path: write(path, np.full(9 * 64 * 64, np.nan, np.float32)), 3),
    "no lungs": (lambda path: write(path, np.full(9 * 64 * 64, 40, np.int16)), 3),
    "four slices": (lambda path: write(path, np.full(4 * 64 * 64, -800, np.int16), 4), 3),
}


def write(path, values, slices=9):
    image = sitk.GetImageFromArray(values.reshape(slices, 64, 64))
    image.SetSpacing((5.0, 5.0, 5.0) if slices == 9 else (5.0, 5.0, 2.0))
    sitk.WriteImage(image, str(path))


@pytest.mark.parametrize("case", REFUSALS)
def test_a_refusal_is_one_plain_sentence_and_leaves_nothing(case, tmp_path):
    make, status = REFUSALS[case]
    path = tmp_path / "in.nrrd"
    make(path)
    start = time.monotonic()
    ran = command("screen", path, "-o", tmp_path / "out", "--progress", "jsonl")
    assert ran.returncode == status
    assert len(ran.stderr.strip().splitlines()) == 1
    assert "Traceback" not in ran.stderr
    error = json.loads(ran.stdout.splitlines()[-1])
    assert error["event"] == "error"
    assert error["message"] == ran.stderr.strip()
    assert not (tmp_path / "out").exists()
    assert time.monotonic() - start < 20


def test_a_damaged_model_is_refused(a_case, tmp_path):
    import shutil

    bundle = tmp_path / "bundle"
    shutil.copytree(BUNDLE, bundle)
    weights = bytearray((bundle / "weights.safetensors").read_bytes())
    weights[-1] ^= 1
    (bundle / "weights.safetensors").write_bytes(weights)
    ran = command("screen", a_case, "-o", tmp_path / "out", "--model", bundle)
    assert ran.returncode == 4
    assert "Traceback" not in ran.stderr


def test_a_gpu_too_small_for_the_model_is_told_and_the_cpu_screens(
    a_case, tmp_path, monkeypatch, capsys
):
    put_in_small_gpu(monkeypatch)
    asked = ["screen", a_case, "-o", tmp_path / "out", "--device", "cuda", "--detail", "preview"]
    assert main([*map(str, asked), "--progress", "none"]) == 0
    assert capsys.readouterr().err == fallback_engine.GPU_MEMORY_RAN_OUT + "\n"
    assert json.loads((tmp_path / "out" / "result.json").read_text("utf-8"))["device"] == "cpu"


def test_memory_that_runs_out_is_one_plain_sentence(a_case, tmp_path, monkeypatch, capsys):
    def run_out(*_, **__):
        raise MemoryError

    monkeypatch.setattr(fallback_engine, "make_engine", run_out)
    out = tmp_path / "out"
    assert main(["screen", str(a_case), "-o", str(out), "--progress", "none"]) == 1
    assert capsys.readouterr().err == MEMORY_RAN_OUT + "\n"
    assert not out.exists()


@pytest.mark.parametrize("style", PROGRESS_STYLES)
def test_a_notice_is_said_in_every_style_of_progress(style, capsys):
    with listener_for(style) as listen:
        listen(Notice("The CPU goes on."))
    said = capsys.readouterr()
    if style == "jsonl":
        assert json.loads(said.out) == {"event": "notice", "message": "The CPU goes on."}
    else:
        assert (said.out, said.err) == ("", "The CPU goes on.\n")


def test_wrong_usage_exits_with_2(tmp_path):
    assert command("screen").returncode == 2
    assert command("screen", "in.nrrd", "-o", tmp_path / "o", "--device", "abacus").returncode == 2


def test_dicom_output_of_a_file_is_refused_before_any_work(a_case, tmp_path):
    ran = command("screen", a_case, "-o", tmp_path / "out", "--dicom-out")
    assert (ran.returncode, ran.stdout) == (2, "")
    assert "DICOM output needs DICOM input" in ran.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_target_that_is_neither_url_nor_node_is_refused_before_any_work(a_case, tmp_path):
    ran = command("screen", a_case, "-o", tmp_path / "out", "--send", "pacs")
    assert (ran.returncode, ran.stdout) == (2, "")
    assert "neither a DICOMweb URL" in ran.stderr


def test_info_prints_the_card():
    ran = command("info", BUNDLE)
    assert ran.returncode == 0
    assert json.loads(ran.stdout)["name"] == load_bundle(BUNDLE).name


@pytest.mark.skipif(os.name == "nt", reason="signals are POSIX")
def test_an_interrupt_ends_with_130_and_leaves_nothing(a_case, tmp_path):
    process = subprocess.Popen(
        [sys.executable, "-m", "M3LungScreenLib", "screen", a_case]
        + ["-o", tmp_path / "out", "--progress", "jsonl"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    assert process.stdout is not None
    process.stdout.readline()  # the run is under way
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in said
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_that_is_swallowed_is_still_known_to_the_run(number, monkeypatch):
    asked = []

    def run(parsed):
        asked.append(parsed.cancelled())
        with contextlib.suppress(KeyboardInterrupt):  # as in a destructor
            signal.raise_signal(number)
        asked.append(parsed.cancelled())
        return 0

    monkeypatch.setattr(info, "run", run)
    before = [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)]
    try:
        assert main(["info", "bundle"]) == 0
    finally:
        for each, handler in zip((signal.SIGINT, signal.SIGTERM), before, strict=True):
            signal.signal(each, handler)
    assert asked == [False, True]
