"""The worker's process: it ends with its parent, and its stdout carries only events."""

import json
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from Testing.stand_ins.worker import GOOD

ROOT = Path(__file__).parents[2]


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
