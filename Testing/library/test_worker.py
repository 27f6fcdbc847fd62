"""The worker's lines, without a process: what it hears and what it says."""

import io
import json
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from M3LungScreenLib import worker
from M3LungScreenLib.engines import choice, fallback_engine
from M3LungScreenLib.engines.fallback_engine import FallbackEngine
from M3LungScreenLib.engines.interface import PatientScores, SliceOutputs
from M3LungScreenLib.simulation.patient import simulate_patient
from M3LungScreenLib.worker_commands import Cancel, Malformed, Quit, Screen, command_of

ROOT = Path(__file__).parents[2]
BUNDLE = ROOT / "Resources" / "Models" / "compact"


@dataclass
class CountingEngine:
    """Answers with zeros, or runs out of memory; counts what it was asked."""

    device: str = "cpu"
    wrong: Exception | None = None
    asked: list[int] = field(default_factory=list)

    def run_slices(self, images: np.ndarray) -> SliceOutputs:
        self.asked.append(len(images))
        if self.wrong is not None:
            raise self.wrong
        count = len(images)
        uniform = np.full((count, 4), 0.25, np.float32)
        return SliceOutputs(
            np.full(count, 0.5), uniform, np.zeros((count, 7, 7)), np.zeros((count, 3))
        )

    def run_patient(self, features: np.ndarray) -> PatientScores:
        self.asked.append(-len(features))
        if self.wrong is not None:
            raise self.wrong
        return PatientScores(np.zeros(4), np.full(len(features), 1 / len(features)))


@pytest.fixture(scope="module")
def a_command(tmp_path_factory):
    """a_command(**changes): a 'screen' of a small simulated patient, as a dict."""
    folder = tmp_path_factory.mktemp("Übergabe")
    volume = simulate_patient(
        "covid19", 3, slice_count=30, slice_thickness_mm=8.0, matrix=96
    ).volume
    volume.hu.tofile(folder / "volume.raw")
    place = volume.geometry

    def make(**changes):
        return {
            "command": "screen",
            "run": 1,
            "volume": str(folder / "volume.raw"),
            "geometry": {name: list(value) for name, value in vars(place).items()},
            "model": str(BUNDLE),
            "device": "cpu",
            "detail": "preview",
            "out": str(folder / f"out-{time.monotonic_ns()}"),
            **changes,
        }

    return make


@pytest.fixture
def engines(monkeypatch):
    """Engines that are made, in order, instead of networks."""
    made = []

    def make(bundle, device):
        made.append(CountingEngine(device))
        return made[-1]

    monkeypatch.setattr(fallback_engine, "make_engine", make)
    return made


def served(*commands):
    out = io.StringIO()
    lines = [json.dumps(each) + "\n" for each in commands]
    assert worker.serve(WaitingLines(lines, out), out) == 0
    return [json.loads(line) for line in out.getvalue().splitlines()]


class WaitingLines:
    """Gives a command once the run before it has ended, as a person does."""

    def __init__(self, lines, out):
        self._lines, self._out = lines, out

    def __iter__(self):
        for sent, line in enumerate(self._lines):
            yield line
            while self._ended() <= sent:
                time.sleep(0.01)

    def _ended(self):
        lines = self._out.getvalue().splitlines()
        kinds = [json.loads(line)["event"] for line in lines if line.endswith("}")]
        return sum(kind in ("result", "error", "crash") for kind in kinds)


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


GOOD = {
    "command": "screen",
    "run": 1,
    "volume": "v.raw",
    "geometry": {
        "size": [96, 96, 30],
        "spacing_mm": [1, 1.5, 8],
        "origin_mm": [0, 0, -3.5],
        "direction": [1, 0, 0, 0, 1, 0, 0, 0, 1],
    },
    "model": "m",
    "out": "o",
}
BAD_LINES = {
    "": "",
    "no JSON": "screen please",
    "cut": '{"command": "screen", "run": 1',
    "a list": "[1, 2]",
    "a number": "3",
    "nested": "[" * 100_000,
    "no command": '{"run": 1}',
    "command of another type": '{"command": ["screen"], "run": 1}',
    "a run to cancel that is a list": '{"command": "cancel", "run": [1]}',
}
BAD_FIELDS = {
    "volume": [None, 3, ["v"]],
    "model": [None, True],
    "out": [None, {}],
    "device": [None, 0],
    "detail": ["quick", None],
    "run": [[1], {"a": 1}, 1.5],
    "geometry": [
        None,
        "here",
        [1],
        {},
        {"size": [96, 96, 30]},
        *(
            {**GOOD["geometry"], **wrong}
            for wrong in (
                {"size": [96, 96]},
                {"size": [96, 96, 0]},
                {"size": [96, 96, "30"]},
                {"spacing_mm": [1, 1, -8]},
                {"spacing_mm": [1, 1, float("nan")]},
                {"origin_mm": [0, 0, float("inf")]},
                {"direction": [1, 0, 0]},
            )
        ),
    ],
}


@given(st.text() | st.recursive(st.none() | st.integers() | st.text(), st.lists).map(json.dumps))
def test_no_line_breaks_the_reading(line):
    assert command_of(line).__class__ in (Screen, Cancel, Quit, Malformed)


@pytest.mark.parametrize("key", BAD_FIELDS)
def test_a_field_that_is_missing_or_of_another_type_is_named(key):
    assert isinstance(command_of(json.dumps(GOOD)), Screen)
    for value in BAD_FIELDS[key]:
        told = command_of(json.dumps({**GOOD, key: value}))
        assert isinstance(told, Malformed), value
        assert key in told.message
        assert told.run == (None if key == "run" else 1)
    without = {name: value for name, value in GOOD.items() if name != key}
    if key in ("volume", "geometry", "model", "out"):
        assert f"lacks {key}" in command_of(json.dumps(without)).message


def test_a_malformed_line_is_an_error_and_the_worker_goes_on(a_command, engines):
    lines = [*BAD_LINES.values(), json.dumps(a_command(run=9))]
    out = io.StringIO()
    assert worker.serve(WaitingLines([f"{each}\n" for each in lines], out), out) == 0
    _, *events = map(json.loads, out.getvalue().splitlines())
    told, run = events[: len(BAD_LINES)], events[len(BAD_LINES) :]
    assert {(each["event"], each["kind"]) for each in told} == {("error", "command")}
    assert (run[-1]["event"], run[-1]["run"]) == ("result", 9)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_lines_that_cannot_be_read_end_the_worker():
    def broken():
        yield json.dumps({"command": "dance"}) + "\n"
        raise OSError("the pipe broke")

    out, before = io.StringIO(), set(threading.enumerate())
    assert worker.serve(broken(), out) == 0
    assert json.loads(out.getvalue().splitlines()[-1])["kind"] == "command"
    # What the reading thread raised belongs to this test, not to the next one.
    for thread in set(threading.enumerate()) - before:
        thread.join()


# --- the real process: it ends with its parent

# Without torch, with a run that takes for ever or ignores that it was cancelled.
CHILD = """
import argparse, sys, time
import M3LungScreenLib.commands.worker as command, M3LungScreenLib.worker as worker
worker.describe_devices = lambda: ()
def screen(command, engines, listen, cancelled):
    listen(worker.Progress("read", 0, 1))
    while {deaf} or not cancelled():
        time.sleep(0.05)
    raise worker.Cancelled
worker.screen_mapped = screen
command.POLL_S, command.GRACE_S = 0.1, 1.0
sys.exit(command.run(argparse.Namespace()))
"""
RUN = json.dumps(GOOD) + "\n"
# A busy machine starts and ends a process late; a worker that stays, stays for ever.
PATIENCE_S = 60


def child(deaf=False, **options):
    script = CHILD.format(deaf=deaf)
    return subprocess.Popen(
        [sys.executable, "-c", script],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        **options,
    )


def heard(process):
    return json.loads(process.stdout.readline())


@pytest.mark.parametrize("running", ["no", "yes", "deaf"])
def test_the_end_of_stdin_ends_the_process(running):
    with child(deaf=running == "deaf") as process:
        assert heard(process)["event"] == "hello"
        process.stdin.write("nonsense\n" + RUN * (running != "no"))
        process.stdin.flush()
        assert heard(process)["kind"] == "command"
        if running != "no":
            assert heard(process)["event"] == "progress"
        process.stdin.close()
        assert process.wait(PATIENCE_S) == int(running == "deaf")


@pytest.mark.parametrize("running", [False, True])
def test_a_broken_stdout_ends_the_process(running):
    with child(stderr=subprocess.DEVNULL) as process:
        assert heard(process)["event"] == "hello"
        if running:
            process.stdin.write(RUN)
            process.stdin.flush()
            assert heard(process)["event"] == "progress"
        process.stdout.close()
        if running:
            process.stdin.write('{"command": "cancel", "run": 1}\n')
        else:
            process.stdin.write("nonsense\n")
        process.stdin.flush()
        assert process.wait(PATIENCE_S) == 1


PARENT = """
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", sys.argv[1]], stdin=subprocess.PIPE,
                         stdout=subprocess.PIPE, text=True)
child.stdout.readline()
# Somebody else has the pipe's other end, too: stdin stays open when the parent is killed.
heir = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"],
                        close_fds=False, pass_fds=[child.stdin.fileno()])
child.stdin.write(sys.argv[2]); child.stdin.flush()
if sys.argv[2]:
    child.stdout.readline()
print(child.pid, heir.pid, flush=True)
time.sleep(60)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="kill -9 is POSIX's.")
@pytest.mark.parametrize("running", ["no", "yes", "deaf"])
def test_a_killed_parent_whose_pipe_lives_on_takes_the_process_with_it(running):
    script = CHILD.format(deaf=running == "deaf")
    command = [sys.executable, "-c", PARENT, script, RUN * (running != "no")]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as parent:
        pid, heir = map(int, parent.stdout.readline().split())
        try:
            process = psutil.Process(pid)
            assert process.is_running()
            parent.kill()
            parent.wait(PATIENCE_S)
            gone, _ = psutil.wait_procs([process], PATIENCE_S)
            assert gone or process.status() == psutil.STATUS_ZOMBIE
        finally:
            psutil.Process(heir).kill()


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


NO_MEMORY = {
    "numpy": MemoryError("Unable to allocate 8 TiB"),
    "torch": RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate"),
    "ITK": RuntimeError("ITK ERROR: Failed to allocate memory for image: std::bad_alloc"),
}


@pytest.mark.parametrize("source", NO_MEMORY)
def test_memory_that_runs_out_is_one_plain_sentence(a_command, monkeypatch, source):
    engine = CountingEngine("cpu", NO_MEMORY[source])
    monkeypatch.setattr(fallback_engine, "make_engine", lambda bundle, device: engine)
    *_, last = served(a_command())
    assert (last["event"], last["message"]) == ("crash", worker.MEMORY_RAN_OUT)
    assert "Traceback" in last["details"]


def out_of_memory():
    import torch

    return torch.cuda.OutOfMemoryError("CUDA out of memory")


def test_the_cpu_takes_over_where_the_memory_of_the_gpu_runs_out(monkeypatch):
    gpu, cpu, said = CountingEngine("cuda (A)", out_of_memory()), CountingEngine(), []
    monkeypatch.setattr(fallback_engine, "make_engine", lambda bundle, device: cpu)
    engine = FallbackEngine(None, gpu, lambda: said.append("fallback"))
    images = np.zeros((3, 3, 8, 8), np.float32)
    assert len(engine.run_slices(images).p_lesion) == 3
    engine.run_slices(images)
    engine.run_patient(np.zeros((5, 3), np.float32))
    assert (gpu.asked, cpu.asked, said) == ([3], [3, 3, -5], ["fallback"])
    assert engine.device == "cpu"


def test_other_errors_and_a_cpu_without_memory_are_no_reason_to_fall_back():
    for device, wrong in (("cuda (A)", RuntimeError("nan")), ("cpu", out_of_memory())):
        engine = FallbackEngine(None, CountingEngine(device, wrong), lambda: pytest.fail("fell"))
        with pytest.raises(type(wrong)):
            engine.run_slices(np.zeros((1, 3, 8, 8), np.float32))


def test_falling_back_is_said_once_and_the_gpu_is_tried_again_next_time(a_command, monkeypatch):
    made = []

    def make(bundle, device):
        wrong = out_of_memory() if device == "cuda" else None
        made.append(CountingEngine("cuda (A)" if device == "cuda" else device, wrong))
        return made[-1]

    monkeypatch.setattr(fallback_engine, "make_engine", make)
    events = served(a_command(device="cuda"), a_command(run=2, device="cuda"))
    notices = [each for each in events if each["event"] == "notice"]
    assert [each["run"] for each in notices] == [1, 2]
    assert "CPU" in notices[0]["message"]
    assert [each.device for each in made] == ["cuda (A)", "cpu", "cuda (A)", "cpu"]
    ends = [each for each in events if each["event"] == "result"]
    result = json.loads((Path(ends[0]["path"]) / "result.json").read_text("utf-8"))
    assert result["device"] == "cpu"


def test_a_model_too_large_for_the_gpu_is_run_on_the_cpu(a_command, monkeypatch):
    def make(bundle, device):
        if device == "cuda":
            raise out_of_memory()
        return CountingEngine(device)

    monkeypatch.setattr(fallback_engine, "make_engine", make)
    events = served(a_command(device="cuda"))
    assert [each["event"] for each in events].count("notice") == 1
    assert events[-1]["event"] == "result"


def test_stdout_carries_nothing_but_lines():
    script = (
        "import argparse, os, M3LungScreenLib.commands.worker as command\n"
        "def serve(lines, out):\n"
        "    print('stray'); os.write(1, b'from C\\n'); out.write('line\\n'); out.flush()\n"
        "    return 0\n"
        "command.serve = serve\n"
        "command.run(argparse.Namespace())\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert ran.stdout == "line\n"
    assert "stray" in ran.stderr
    assert "from C" in ran.stderr


def test_devices_are_described_for_people():
    devices = choice.describe_devices()
    assert devices[-1]["description"] == "CPU"
    for each in devices:
        assert set(each) == {"name", "description", "free_mb"}
