"""The worker in this process: runs, refusals and cancelling."""

import io
import json
from pathlib import Path

import numpy as np

from M3LungScreenLib import worker
from M3LungScreenLib.engines import choice
from Testing.stand_ins.worker import served


def test_a_run_ends_in_a_folder_with_raw_volumes(a_command, engines):
    command = a_command(run=7)
    hello, *events = served(command)
    assert hello["event"] == "hello"
    assert hello["devices"][-1] == {"name": "cpu", "description": "CPU", "free_mb": None}
    assert {each["run"] for each in events} == {7}
    assert events[-1] == {"event": "result", "path": command["out"], "run": 7}
    names = {path.name for path in Path(command["out"]).iterdir()}
    assert {"result.json", "report.html", "lesion_location_map.raw", "lesions.raw"} <= names
    location = np.fromfile(Path(command["out"]) / "lesion_location_map.raw", np.float32)
    assert len(location) == 30 * 96 * 96


def test_the_engine_is_kept_for_the_same_model_and_device(a_command, engines):
    served(a_command(), a_command(run=2), a_command(run=3, device="auto"), a_command(run=4))
    assert [each.device for each in engines] == ["cpu", "auto", "cpu"]


def test_what_goes_wrong_is_told_and_the_next_run_works(a_command, engines, tmp_path):
    place = a_command()["geometry"]
    events = served(
        {"command": "dance", "run": 1},
        a_command(run=2, model=str(tmp_path)),
        a_command(run=3, geometry=place | {"size": [96, 96, 31]}),
        a_command(run=4, volume=str(tmp_path / "nothing.raw")),
        a_command(run=5),
    )
    ends = {each["run"]: each for each in events if each["event"] in ("error", "crash", "result")}
    assert [ends[run].get("kind") for run in (1, 2, 3)] == ["command", "model_missing", "cut_off"]
    assert ends[4]["event"] == "crash"
    assert "FileNotFoundError" in ends[4]["details"]
    assert ends[5]["event"] == "result"


def test_a_device_that_is_not_there_is_refused(a_command):
    *_, last = served(a_command(device="abacus"))
    assert (last["event"], last["kind"]) == ("error", "device")


def test_the_end_of_the_lines_cancels_what_runs(a_command, engines):
    out = io.StringIO()
    command = a_command()
    worker.serve([json.dumps(command) + "\n"], out)
    last = json.loads(out.getvalue().splitlines()[-1])
    assert (last["event"], last["kind"]) == ("error", "cancelled")
    assert not Path(command["out"]).exists()


def test_devices_are_described_for_people():
    devices = choice.describe_devices()
    assert devices[-1]["description"] == "CPU"
    for each in devices:
        assert set(each) == {"name", "description", "free_mb"}
