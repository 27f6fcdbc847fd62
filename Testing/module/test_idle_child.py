"""The idle child: when it ends, how many cores it takes, and that the console shares it."""

import os
import sys
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def clock(monkeypatch, window):
    """clock(seconds) moves on; memory is plenty unless clock.free says otherwise."""
    from M3LungScreenSlicer.panel import idle

    class Clock:
        now, free = 1000.0, 0.9

        def __call__(self, seconds):
            self.now += seconds

    made = Clock()
    monkeypatch.setattr(idle, "time", SimpleNamespace(monotonic=lambda: made.now))
    monkeypatch.setattr(idle, "free_memory", lambda: made.free)
    return made


@pytest.fixture
def timer(clock):
    from M3LungScreenSlicer.panel.idle import IdleTimer

    stops = []
    made = IdleTimer(lambda: stops.append(clock.now))
    made.stops = stops
    made.onEnter()
    yield made
    made.stop()


def test_the_child_stays_while_the_module_is_open(timer, clock):
    clock(3600)
    timer.check()
    assert timer.stops == []


def test_the_child_ends_minutes_after_the_module_is_left(timer, clock):
    from M3LungScreenSlicer.panel.idle import AWAY_MINUTES

    timer.onExit()
    clock(60 * AWAY_MINUTES - 1)
    timer.check()
    assert timer.stops == []
    clock(2)
    timer.check()
    assert len(timer.stops) == 1


def test_coming_back_in_time_keeps_it(timer, clock):
    timer.onExit()
    clock(200)
    timer.onEnter()
    clock(200)
    timer.check()
    assert timer.stops == []


def test_it_ends_at_once_where_memory_is_wanted(timer, clock):
    clock.free = 0.05
    timer.check()
    assert len(timer.stops) == 1


def test_the_share_of_free_memory_is_the_systems(window):
    from M3LungScreenSlicer.panel.idle import free_memory

    memory = psutil.virtual_memory()
    assert free_memory() == pytest.approx(memory.available / memory.total, abs=0.1)


def test_leaving_and_entering_the_module_tells_the_watch(widget, monkeypatch, clock):
    from M3LungScreenSlicer.panel.idle import AWAY_MINUTES

    widget.exit()
    clock(60 * AWAY_MINUTES + 1)
    widget._idle.check()
    assert widget.logic.calls[-1] == ("stop_idle_child",)
    before = len(widget.logic.calls)
    widget.enter()
    assert ("warm_up",) in widget.logic.calls[before:]  # the next click finds it warm again


@pytest.fixture
def logic(scene, window, tmp_path):
    from M3LungScreenSlicer.screening_logic import ScreeningLogic

    made = ScreeningLogic(scene, folder=tmp_path)
    yield made
    made.close()


def children():
    return [each for each in psutil.Process().children() if "worker" in each.cmdline()]


def test_a_resting_child_is_gone_and_the_console_screens_in_the_panels_child(logic, a_ct):
    heard = []
    logic.warm_up(heard.append)
    (warm,) = children()
    logic.screen(a_ct, detail="preview")
    assert children() == [warm]
    logic.stop_idle_child()
    assert psutil.wait_procs([warm], timeout=10)[1] == []
    logic.screen(a_ct, detail="preview")
    assert len(children()) == 1


def test_a_child_at_work_does_not_rest(logic, a_ct):
    logic.start(a_ct, detail="preview")
    logic.stop_idle_child()
    assert len(children()) == 1
    assert logic.status.state.busy


def test_the_console_does_not_disturb_the_panels_run(logic, a_ct):
    from M3LungScreenSlicer.screening_logic import ScreeningFailed

    logic.start(a_ct, detail="preview")
    with pytest.raises(ScreeningFailed, match="is running"):
        logic.screen(a_ct)
    assert logic.status.state.busy


@pytest.mark.parametrize(("cores", "threads"), [(1, "1"), (2, "1"), (8, "7")])
def test_one_core_stays_free(monkeypatch, cores, threads):
    from M3LungScreenSlicer import environment

    monkeypatch.setattr(environment, "core_count", lambda: cores)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    assert environment.worker_environment()["OMP_NUM_THREADS"] == threads
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert "OMP_NUM_THREADS" not in environment.worker_environment()


def test_the_child_computes_with_the_threads_that_it_is_given(window, monkeypatch):
    from M3LungScreenSlicer import environment
    from M3LungScreenSlicer.child_process import QtProcess

    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(environment, "core_count", lambda: 2)
    given, lines = environment.worker_environment(), []
    script = "import os, torch; print(torch.get_num_threads(), os.environ['CUDA_DEVICE_ORDER'])"
    process = QtProcess(sys.executable, ["-c", script], ROOT, given)
    process.start(lines.append, lambda how: None)
    for _ in range(120):
        if lines:
            break
        process.wait(1)
    process.kill()
    assert lines == ["1 PCI_BUS_ID"]
    assert "OMP_NUM_THREADS" not in os.environ  # Slicer's own is as it was
