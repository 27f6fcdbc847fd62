"""The child process as Slicer runs it: by QProcess, in an event loop that is never blocked."""

import sys
import time
from pathlib import Path

import psutil
import pytest

ROOT = Path(__file__).parents[2]
MODULE = ROOT / "M3LungScreen" / "M3LungScreen.py"
PATIENCE_S = 90  # other work may share the cores
# The clinician's window may stand still no longer than this while a run computes.
LONGEST_BLOCK_S = 0.1


@pytest.fixture
def window(scene):
    from Testing.stand_ins import pythonqt
    from Testing.stand_ins.slicer_application import install

    application = install(MODULE)
    yield application
    problems, pythonqt.raised[:] = list(pythonqt.raised), []
    assert not problems


@pytest.fixture
def loop_until(window):
    """loop_until(question) turns the event loop until it says yes; the longest turn in seconds."""

    def loop(is_it_so):
        longest, end = 0.0, time.monotonic() + PATIENCE_S
        while not is_it_so():
            assert time.monotonic() < end
            start = time.monotonic()
            window.processEvents()
            longest = max(longest, time.monotonic() - start)
            time.sleep(0.005)
        return longest

    return loop


@pytest.fixture
def a_process(window):
    """a_process(script) runs Python under QtProcess, killed at the end."""
    from M3LungScreenSlicer.child_process import QtProcess

    made = []

    def make(script, program=sys.executable):
        made.append(QtProcess(program, ["-c", script], ROOT))
        return made[-1]

    yield make
    for each in made:
        each.kill()


@pytest.mark.parametrize(
    ("there", "chosen"),
    [
        ((), None),
        (("PythonSlicer",), "PythonSlicer"),
        (("PythonSlicer", "python-real"), "python-real"),
    ],
)
def test_the_child_runs_under_slicers_own_python(tmp_path, monkeypatch, there, chosen):
    from M3LungScreenSlicer.child_process import slicer_python

    for name in there:
        (tmp_path / name).touch(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert slicer_python() == (str(tmp_path / chosen) if chosen else sys.executable)


def test_lines_arrive_whole_and_the_end_is_told_once(a_process, loop_until):
    lines, ends = [], []
    script = (
        "import sys, time\n"
        "out = sys.stdout.buffer\n"
        "out.write('Müll'.encode()[:2]); out.flush(); time.sleep(0.2)\n"
        "out.write('Müll'.encode()[2:] + b'er\\nzwei\\n'); out.flush()\n"
        "print(sys.stdin.readline().upper(), end='')\n"
        "print('letzte Worte', file=sys.stderr)\n"
        "sys.exit(3)\n"
    )
    process = a_process(script)
    process.start(lines.append, ends.append)
    process.send("drei ä")
    loop_until(lambda: ends)
    assert lines == ["Müller", "zwei", "DREI Ä"]
    (end,) = ends
    assert (end.status, end.crashed, end.last_lines) == (3, False, "letzte Worte")
    assert not process.running


def test_a_program_that_is_not_there_is_told_as_an_end(a_process, loop_until):
    ends = []
    a_process("", program="no-such-python").start(lambda line: None, ends.append)
    loop_until(lambda: ends)
    assert ends[0].status is None


def test_a_killed_process_is_told_as_a_crash(a_process, loop_until):
    lines, ends = [], []
    process = a_process("import os; print(os.getpid(), flush=True); import time; time.sleep(60)")
    process.start(lines.append, ends.append)
    loop_until(lambda: lines)
    psutil.Process(int(lines[0])).kill()
    loop_until(lambda: ends)
    assert ends[0].crashed


def test_kill_ends_the_whole_tree_and_says_nothing_more(a_process, loop_until):
    lines, ends = [], []
    process = a_process(
        "import subprocess, sys, time\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
        "print(child.pid, flush=True)\n"
        "time.sleep(60)\n"
    )
    process.start(lines.append, ends.append)
    loop_until(lambda: lines)
    grandchild = psutil.Process(int(lines[0]))
    process.kill()
    assert psutil.wait_procs([grandchild], timeout=5)[0] == [grandchild]
    assert not process.running
    assert ends == []


def test_a_run_never_blocks_the_window(scene, a_ct, window, loop_until, tmp_path):
    from M3LungScreenSlicer.screening_logic import ScreeningLogic
    from M3LungScreenSlicer.screening_session import State

    logic = ScreeningLogic(scene, folder=tmp_path)
    results, heard = [], []
    logic.start(a_ct, detail="preview", on_result=results.append, on_status=heard.append)
    # On a busy machine both verdicts may arrive in one turn.
    longest = loop_until(lambda: heard[-1].provisional or not heard[-1].state.busy)
    assert longest < LONGEST_BLOCK_S
    loop_until(lambda: not logic.status.state.busy)
    assert State.PROVISIONAL in [each.state for each in heard], logic.status
    assert [each.volume for each in results] == [a_ct]
    logic.close()
    assert list(tmp_path.glob("M3LungScreen-*")) == []
