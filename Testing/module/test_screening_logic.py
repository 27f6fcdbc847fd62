"""From a volume node to a result through a real child process, and every way it can end."""

import errno
import os
import shutil
import signal
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pytest
import vtk
from M3LungScreenSlicer.child_process import QtProcess, worker_process
from M3LungScreenSlicer.scene.frames import shows_another_frame
from M3LungScreenSlicer.scene.results import result_of, results_in, results_of
from M3LungScreenSlicer.screening_logic import ScreeningFailed, ScreeningLogic
from M3LungScreenSlicer.screening_session import State

from Testing.stand_ins.mrml_scene import add_volume, ijk_to_ras_of, node_names
from Testing.stand_ins.sequences import add_sequence, show_frame

ROOT = Path(__file__).parents[2]
PATIENCE_S = 60


class Driver:
    """A ScreeningLogic whose child is heard without an event loop, as the console hears it."""

    def __init__(self, scene, folder, make_child=None):
        folder.mkdir(exist_ok=True)
        self.folder = folder
        self.made = []
        self.heard = []
        self.results = []
        self._make_child = make_child or (lambda: worker_process(ROOT))
        self.logic = ScreeningLogic(scene, self._make, folder)

    def _make(self):
        self.made.append(self._make_child())
        return self.made[-1]

    @property
    def child(self):
        return self.made[-1]

    def start(self, volume, **options):
        given = {"detail": "preview", **options}
        callbacks = {"on_status": self.heard.append, "on_result": self.results.append}
        self.logic.start(volume, **given, **callbacks)

    def pump_until(self, is_it_so):
        end = time.monotonic() + PATIENCE_S
        while not is_it_so(self.logic.status):
            assert time.monotonic() < end, self.logic.status
            self.child.wait(0.2)
        return self.logic.status

    def finish(self):
        return self.pump_until(lambda status: not status.state.busy)


@pytest.fixture(autouse=True)
def qt(window):
    """Every child is run by Qt."""


@pytest.fixture
def driver(scene, tmp_path):
    driver = Driver(scene, tmp_path / "Umlaute äöü und Leerzeichen")
    yield driver
    if not driver.logic.status.state.busy and driver.made:
        assert list(driver.folder.glob("*/run-*/volume.raw")) == []  # the largest file
    driver.logic.close()
    assert list(driver.folder.iterdir()) == []
    assert not any(child.running for child in driver.made)


def reached(state):
    return lambda status: status.state is state


def at_step(step):
    return lambda status: status.step == step


def test_a_click_leads_through_a_provisional_verdict_to_a_result(driver, a_ct):
    driver.start(a_ct)
    status = driver.finish()
    states = list(dict.fromkeys(each.state for each in driver.heard))
    assert states == [State.STARTING, State.RUNNING, State.PROVISIONAL, State.DONE]
    fractions = [each.fraction for each in driver.heard]
    assert fractions == sorted(fractions)
    assert set(status.provisional["probabilities"]) == {"healthy", "covid19", "h1n1", "cap"}
    assert status.hello["devices"][-1]["name"] == "cpu"
    (result,) = driver.results
    assert result == result_of(a_ct)
    assert result.content["settings"]["detail"] == "preview"


def test_the_second_run_finds_the_child_warm_and_leaves_no_stray_nodes(driver, scene, a_ct):
    driver.start(a_ct)
    driver.finish()
    before = node_names(scene)
    driver.start(a_ct)
    assert driver.logic.status.state is State.RUNNING
    assert driver.finish().state is State.DONE
    assert node_names(scene) == before
    assert len(driver.made) == 1


def test_cancel_leaves_the_scene_as_it_was_and_the_next_click_works(driver, scene, a_ct):
    before = node_names(scene)
    driver.start(a_ct)
    driver.pump_until(at_step("slice_network"))
    driver.logic.cancel()
    assert driver.logic.status.state is State.CANCELLED
    assert node_names(scene) == before
    driver.start(a_ct)
    assert driver.finish().state is State.DONE
    assert len(driver.results) == len(driver.made) == 1


def test_cancel_before_the_child_is_ready_starts_no_run(driver, a_ct):
    driver.start(a_ct)
    driver.logic.cancel()
    driver.pump_until(lambda status: status.hello is not None)
    driver.child.wait(0.5)
    assert driver.logic.status.state is State.CANCELLED
    assert driver.results == []


@pytest.mark.skipif(os.name == "nt", reason="signals are POSIX")
def test_a_killed_child_becomes_one_sentence_and_the_next_click_works(driver, scene, a_ct):
    before = node_names(scene)
    driver.start(a_ct)
    driver.pump_until(at_step("slice_network"))
    os.kill(driver.child.pid, signal.SIGKILL)
    status = driver.finish()
    assert status.state is State.FAILED
    assert "crashed" in status.message
    assert "memory" in status.message
    assert node_names(scene) == before
    driver.start(a_ct)
    assert driver.finish().state is State.DONE
    heard = len(driver.heard)
    psutil.Process(driver.child.pid).kill()  # an idle child is replaced without a word
    driver.child.wait(PATIENCE_S)
    assert len(driver.heard) == heard
    driver.start(a_ct)
    assert len(driver.made) == 3


def test_closing_ends_the_childs_children_too(scene, tmp_path):
    script = (
        "import subprocess, sys, time\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
        'print(\'{"event": "hello", "pid": %d}\' % child.pid, flush=True)\n'
        "time.sleep(60)\n"
    )
    driver = Driver(scene, tmp_path / "t", lambda: QtProcess(sys.executable, ["-c", script], ROOT))
    driver.logic.warm_up(driver.heard.append)
    hello = driver.pump_until(lambda status: status.hello is not None).hello
    grandchild = psutil.Process(hello["pid"])
    driver.logic.close()
    assert psutil.wait_procs([grandchild], timeout=5)[0] == [grandchild]
    assert not driver.child.running


@pytest.mark.skipif(os.name == "nt", reason="signals are POSIX")
def test_the_child_ends_when_its_parent_does(tmp_path):
    import subprocess

    script = (
        "import subprocess, sys, time\n"
        "worker = subprocess.Popen([sys.executable, '-m', 'M3LungScreenLib', 'worker'],\n"
        "                          stdin=subprocess.PIPE, stdout=subprocess.PIPE)\n"
        "worker.stdout.readline()\n"
        "print(worker.pid, flush=True)\n"
        "time.sleep(60)\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, cwd=ROOT)
    assert parent.stdout is not None
    worker = psutil.Process(int(parent.stdout.readline()))
    parent.kill()
    parent.wait()
    parent.stdout.close()
    gone, _ = psutil.wait_procs([worker], timeout=20)
    assert gone == [worker]


ENDS = {
    "not enough memory": "raise MemoryError",
    "ended unexpectedly": "raise SystemExit(3)",
    "Install the packages": "import M3LungScreenLib.commands.worker as w; import sys; "
    "sys.modules['M3LungScreenLib.worker'].describe_devices = lambda: __import__('no_such'); "
    "import argparse; w.run(argparse.Namespace())",
}


@pytest.mark.parametrize("words", ENDS)
def test_every_end_of_the_child_is_one_sentence(scene, a_ct, tmp_path, words):
    folder = tmp_path / "t"
    driver = Driver(scene, folder, lambda: QtProcess(sys.executable, ["-c", ENDS[words]], ROOT))
    driver.start(a_ct)
    status = driver.finish()
    assert status.state in (State.FAILED, State.REFUSED)
    assert words in status.message
    assert "exit status" not in status.message
    driver.logic.close()


def test_a_child_that_cannot_be_started_says_so(scene, a_ct, tmp_path):
    driver = Driver(scene, tmp_path / "t", lambda: QtProcess("no-such-python", [], ROOT))
    driver.start(a_ct)
    status = driver.finish()
    assert status.state is State.FAILED
    assert "could not be started" in status.message
    driver.logic.close()


def test_a_label_map_is_refused_without_a_child(driver, scene, a_patient):
    kind = "vtkMRMLLabelMapVolumeNode"
    driver.start(add_volume(scene, a_patient.lungs, name="Lungs", kind=kind))
    assert driver.logic.status.state is State.REFUSED
    assert "Lungs is a label map" in driver.logic.status.message
    assert driver.made == []


def test_what_the_library_refuses_is_shown_word_for_word(driver, scene, a_ct, tmp_path):
    coarse = np.diag([5.0, 5.0, 5.0, 1.0])
    driver.start(add_volume(scene, np.full((30, 64, 64), 40, np.int16), coarse))
    status = driver.finish()
    assert (status.state, status.kind) == (State.REFUSED, "not_hu")
    damaged = tmp_path / "bundle"
    shutil.copytree(ROOT / "Resources" / "Models" / "compact", damaged)
    with (damaged / "weights.safetensors").open("ab") as weights:
        weights.write(b"x")
    driver.start(a_ct, model=damaged)
    assert driver.finish().kind == "model_hash"
    driver.start(a_ct)
    assert driver.finish().state is State.DONE


def test_a_ct_deleted_while_it_is_screened_leaves_nothing(driver, scene, a_ct):
    driver.start(a_ct)
    driver.pump_until(at_step("slice_network"))
    scene.RemoveNode(a_ct)
    before = node_names(scene)
    status = driver.finish()
    assert (status.state, status.kind) == (State.CANCELLED, "volume_removed")
    assert node_names(scene) == before


def crop(volume):
    image = vtk.vtkExtractVOI()
    image.SetInputData(volume.GetImageData())
    image.SetVOI(10, 60, 10, 60, 2, 20)
    image.Update()
    volume.SetAndObserveImageData(image.GetOutput())


def move(volume):
    volume.SetOrigin(*(each + 3 for each in volume.GetOrigin()))


@pytest.mark.parametrize("change", [crop, move])
def test_a_ct_changed_while_it_is_screened_says_so(driver, scene, a_ct, change):
    before = node_names(scene)
    driver.start(a_ct)
    driver.pump_until(lambda status: status.state is State.RUNNING)
    change(a_ct)
    status = driver.finish()
    assert status.state is State.FAILED
    assert "was cropped, resampled or moved during the screening" in status.message
    assert "temporary" not in status.message
    assert node_names(scene) == before


def test_the_frame_that_was_shown_at_the_click_is_the_results(driver, scene, a_patient):
    volume = a_patient.volume
    frames = [volume.hu, np.full_like(volume.hu, -1000)]
    breathing, browser = add_sequence(scene, frames, ijk_to_ras_of(volume.geometry), "Breathing")
    driver.start(breathing)
    driver.pump_until(lambda status: status.state is State.RUNNING)
    show_frame(browser, 1)
    assert driver.finish().state is State.DONE
    (result,) = driver.results
    assert result.frame["words"] == "frame 1 of 2 (time 0 s) of Breathing"
    assert shows_another_frame(result)
    show_frame(browser, 0)
    assert not shows_another_frame(result)


def test_a_second_run_can_keep_the_first_result(driver, a_ct):
    for keep in (False, True):
        driver.start(a_ct, keep_previous=keep)
        driver.finish()
    assert results_of(a_ct) == driver.results
    assert len(driver.results) == 2


def test_a_result_that_cannot_be_read_is_one_sentence(driver, scene, a_ct, monkeypatch):
    from M3LungScreenSlicer import screening_logic

    def fail(*_, **options):
        raise OSError("lesions.raw has 0 bytes instead of 276480")

    monkeypatch.setattr(screening_logic, "add_result", fail)
    driver.start(a_ct)
    status = driver.finish()
    assert status.state is State.FAILED
    assert "could not be read" in status.message
    assert "276480" in status.details


def test_no_place_for_temporary_files_is_one_sentence(scene, a_ct, tmp_path):
    logic, heard = ScreeningLogic(scene, folder=tmp_path / "gone"), []
    logic.start(a_ct, on_status=heard.append)
    assert heard[-1].state is State.REFUSED
    assert "A temporary folder could not be created" in heard[-1].message


def test_no_file_is_left_of_a_refused_volume_nor_of_a_forgotten_logic(
    scene, a_ct, tmp_path, monkeypatch
):
    import gc

    from M3LungScreenSlicer.scene import volumes

    def fill_the_disk(_):
        yield np.zeros((1, 96, 96), np.int16)
        raise OSError(errno.ENOSPC, "No space left on device")

    place = tmp_path / "temporary"
    place.mkdir()
    logic = ScreeningLogic(scene, folder=place)
    with pytest.raises(ScreeningFailed):
        logic.screen(None)
    assert list(place.iterdir()) == []
    monkeypatch.setattr(volumes, "_int16_parts", fill_the_disk)
    with pytest.raises(ScreeningFailed, match="No space left on device"):
        logic.screen(a_ct)
    assert list(place.glob("*/*")) == []
    assert logic._run_folder().is_dir()
    del logic
    gc.collect()
    assert list(place.iterdir()) == []


def test_two_runs_at_once_are_an_error(driver, a_ct):
    driver.start(a_ct)
    with pytest.raises(RuntimeError, match="cancel it first"):
        driver.start(a_ct)


def test_the_console_screens_and_waits_and_takes_all_volumes_of_the_scene(scene, a_ct, tmp_path):
    logic = ScreeningLogic(scene, folder=tmp_path)
    phantom = add_volume(scene, np.full((30, 64, 64), 40, np.int16), name="Phantom")
    outcomes = logic.screen_all(detail="preview")
    assert set(outcomes) == {a_ct.GetID(), phantom.GetID()}
    assert outcomes[a_ct.GetID()] == results_in(scene)[0]
    assert isinstance(outcomes[phantom.GetID()], ScreeningFailed)
    with pytest.raises(ScreeningFailed, match="No volume"):
        logic.screen(None)
    logic.close()


def test_the_console_is_told_what_has_to_be_installed_first(scene, a_ct, tmp_path, monkeypatch):
    from M3LungScreenSlicer import screening_logic

    monkeypatch.setattr(screening_logic, "missing_packages", lambda *where: ["torch>=2.8"])
    logic = ScreeningLogic(scene, folder=tmp_path)
    with pytest.raises(ScreeningFailed, match=r"torch>=2.8 is missing\. Open the module"):
        logic.screen(a_ct)
    assert list(tmp_path.glob("M3LungScreen-*")) == []
