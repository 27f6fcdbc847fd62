"""Installing is a state of its own: clicks, leaving, closing and failing while pip runs."""

import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from packaging.requirements import Requirement

from Testing.stand_ins.pip import Pip, make_wheel

ROOT = Path(__file__).parents[2]
MISSING = (Requirement("tqdm>=4.66"),)


@pytest.fixture
def pip():
    return Pip()


@pytest.fixture
def answers(window, monkeypatch):
    """What the user answers to questions, and the questions."""
    import slicer

    asked = []

    def confirm(text, *_, **__):
        asked.append(text)
        return answers_of["answer"]

    answers_of = {"answer": True, "asked": asked}
    monkeypatch.setattr(slicer.util, "confirmOkCancelDisplay", confirm, raising=False)
    return answers_of


@pytest.fixture
def lacking(monkeypatch):
    """lacking['packages'] are missing until a test empties it."""
    from M3LungScreenSlicer import installation, packages

    state = {"packages": MISSING}
    monkeypatch.setattr(installation, "_missing", lambda *where: list(state["packages"]))
    monkeypatch.setattr(packages, "unsatisfied", lambda wanted: list(state["packages"]))
    return state


@pytest.fixture
def widget(a_small_ct, window, scene, pip, answers, lacking, tmp_path):
    """The module opened where a package is missing; its logic is the real one."""
    from M3LungScreenSlicer.installer import Installer
    from M3LungScreenSlicer.library import make_importable
    from M3LungScreenSlicer.screening_logic import ScreeningLogic

    make_importable()
    from M3LungScreenSlicer.panel.widget import M3LungScreenWidget
    from slicer.ScriptedLoadableModule import ScriptedLoadableModuleLogic

    from Testing.stand_ins.slicer_application import a_parent

    class M3LungScreenLogic(ScreeningLogic, ScriptedLoadableModuleLogic):
        def __init__(self):
            ScriptedLoadableModuleLogic.__init__(self)
            ScreeningLogic.__init__(self, scene, lambda: Child(), tmp_path, Installer(pip))

    class Child:
        """A worker that never answers."""

        running = True

        def start(self, on_line, on_exit):
            self.on_line = on_line

        def send(self, line): ...

        def wait(self, seconds): ...

        def wait_for_finished(self, seconds): ...

        def kill(self): ...

    parent = a_parent()
    made = M3LungScreenWidget(parent, M3LungScreenLogic())
    made.setup()
    parent.isEntered = True
    made.enter()
    parent.show()
    yield made
    made.cleanup()
    parent.hide()
    parent.deleteLater()


def test_three_clicks_are_one_question_and_one_installation(widget, pip, answers):
    for _ in range(3):
        widget.ui.screenButton.click()
        widget.screening.onScreenButton()  # also where a menu calls it
    assert len(answers["asked"]) == len(pip.started) == 1
    assert "tqdm>=4.66" in answers["asked"][0]


def test_a_no_installs_nothing_and_is_told(widget, pip, answers):
    answers["answer"] = False
    widget.ui.screenButton.click()
    assert pip.started == []
    assert "Nothing was installed." in widget.ui.messageLabel.text
    assert widget.ui.screenButton.enabled
    answers["answer"] = True
    widget.ui.screenButton.click()
    assert len(pip.started) == 1


def test_while_installing_the_buttons_rest_and_pips_last_line_is_shown(widget, pip):
    ui = widget.ui
    ui.screenButton.click()
    for button in (ui.screenButton, ui.installButton):
        assert not button.enabled
    assert "being installed" in ui.screenButton.toolTip
    assert ui.screenButton.text == "Screen"
    assert (ui.progressBar.visible, ui.progressBar.maximum) == (True, 0)
    pip.last.say("Downloading tqdm-4.67.1-py3-none-any.whl (78 kB)")
    assert ui.progressLabel.text == "Installing … Downloading tqdm-4.67.1-py3-none-any.whl (78 kB)"
    pip.last.say("Progress 39000 of 78000")
    assert ui.progressLabel.text.endswith("(78 kB), 50 %")
    pip.last.say("Progress 78000 of 78000")
    assert ui.progressLabel.text.endswith("(78 kB), 100 %")


def test_after_the_installation_the_clicked_ct_is_screened(widget, pip, lacking):
    widget.ui.screenButton.click()
    lacking["packages"] = ()
    pip.last.end()
    assert widget.logic.status.state.value == "starting"
    assert widget.ui.screenButton.text == "Cancel"
    assert not widget.ui.installButton.enabled  # a run and an installation never meet
    widget.ui.screenButton.click()
    assert widget.ui.installButton.enabled


def test_another_ct_chosen_meanwhile_is_not_screened_unasked(widget, pip, lacking, scene):
    widget.ui.screenButton.click()
    widget.ui.inputSelector.setCurrentNode(None)
    assert not widget.ui.screenButton.enabled
    lacking["packages"] = ()
    pip.last.end()
    assert widget.logic.status.state.value == "installed"
    assert "The packages have been installed." in widget.ui.messageLabel.text
    assert not widget.ui.progressBar.visible


def test_choosing_another_ct_meanwhile_does_not_wake_the_button(widget, pip, a_small_ct):
    widget.ui.screenButton.click()
    for chosen in (None, a_small_ct):
        widget.ui.inputSelector.setCurrentNode(chosen)
        assert not widget.ui.screenButton.enabled
        assert "being installed" in widget.ui.reasonLabel.text


def test_a_failure_is_one_sentence_with_details_and_the_next_click_works(widget, pip):
    widget.ui.screenButton.click()
    pip.last.say("Collecting tqdm")
    pip.last.end(1, "NewConnectionError('<...>: Failed to establish a new connection')")
    ui = widget.ui
    assert "Not installed." in ui.messageLabel.text
    assert "Check the internet connection" in ui.messageLabel.text
    assert "exit status" not in ui.messageLabel.text
    assert "Collecting tqdm" in ui.detailsText.plainText
    assert "NewConnectionError" in ui.detailsText.plainText
    assert ui.screenButton.enabled
    ui.screenButton.click()
    assert len(pip.started) == 2


def test_a_pip_that_brings_nothing_is_a_failure(widget, pip):
    widget.ui.screenButton.click()
    pip.last.end()
    assert "4.66 is still missing." in widget.ui.messageLabel.text
    assert widget.logic.status.state.value == "not_installed"


def test_leaving_the_module_while_pip_runs_is_safe(widget, pip, lacking):
    widget.ui.screenButton.click()
    widget.parent.isEntered = False
    widget.exit()
    pip.last.say("Collecting tqdm")
    lacking["packages"] = ()
    pip.last.end()
    assert widget.logic.status.state.value == "installed"
    widget.parent.isEntered = True
    widget.enter()
    assert widget.ui.screenButton.enabled
    assert "installed" in widget.ui.messageLabel.text


def test_coming_back_finds_the_installation_still_shown(widget, pip):
    widget.ui.screenButton.click()
    widget.exit()
    widget.enter()
    pip.last.say("Collecting tqdm")
    assert not widget.ui.screenButton.enabled
    assert widget.ui.progressLabel.text == "Installing … Collecting tqdm"


def test_closing_the_scene_while_pip_runs_is_safe(widget, pip, scene, lacking):
    widget.ui.screenButton.click()
    scene.Clear(False)
    assert not widget.ui.screenButton.enabled
    pip.last.say("Collecting tqdm")
    lacking["packages"] = ()
    pip.last.end()
    assert widget.logic.status.state.value == "installed"
    assert "Load a chest CT" in widget.ui.reasonLabel.text


def test_closing_slicer_or_reloading_ends_a_download_at_once(widget, pip):
    widget.ui.screenButton.click()
    pip.last.say("Downloading tqdm-4.67.1-py3-none-any.whl (78 kB)")
    constraints = Path(pip.last.arguments[-1])
    widget.onReload()
    assert pip.last.killed
    assert pip.last.waited == []
    assert not constraints.exists()
    pip.last.say("too late")


def test_closing_waits_until_pip_has_written_what_it_is_writing(widget, pip):
    widget.ui.screenButton.click()
    pip.last.say("Installing collected packages: tqdm")
    widget.cleanup()
    assert pip.last.waited == [180]


def test_a_restart_is_offered_where_a_loaded_package_was_replaced(
    widget, pip, lacking, monkeypatch
):
    import slicer
    from M3LungScreenSlicer import installer

    monkeypatch.setattr(installer, "replaced_while_loaded", lambda before: ("scikit-image",))
    restarted = []
    monkeypatch.setattr(slicer.util, "restart", lambda: restarted.append(1), raising=False)
    assert not widget.ui.restartButton.visible
    widget.ui.screenButton.click()
    lacking["packages"] = ()
    pip.last.end()
    assert "scikit-image" in widget.ui.messageLabel.text
    assert restarted == []  # it is the user's to decide
    widget.ui.restartButton.click()
    assert restarted == [1]


def test_a_folder_of_wheels_is_installed_in_the_same_state(widget, pip, tmp_path, monkeypatch):
    from Testing.stand_ins.dialogs import choose

    make_wheel(tmp_path, "tqdm", "4.67")
    choose(monkeypatch, folder=tmp_path)
    widget.ui.installButton.click()
    widget.ui.installButton.click()
    (process,) = pip.started
    assert {"--no-index", str(tmp_path)} <= set(process.arguments)
    assert not widget.ui.screenButton.enabled


def test_sample_data_and_panel_share_one_installation(widget, pip, monkeypatch, answers):
    import slicer
    from M3LungScreenSlicer import sample_data

    told, shown = [], []
    monkeypatch.setattr(slicer.util, "showStatusMessage", told.append, raising=False)
    monkeypatch.setattr(slicer.util, "errorDisplay", shown.append, raising=False)
    monkeypatch.setattr(sample_data, "INSTALLER", widget.logic._installer)
    monkeypatch.setattr(sample_data, "is_cached", lambda sample: False)
    source = SimpleNamespace(sampleName=sample_data.SAMPLES[0].name)
    sample_data.onSampleClicked(source)
    sample_data.onSampleClicked(source)
    assert len(pip.started) == len(answers["asked"]) == 1
    assert "Wait until the installation has finished" in shown[0]
    pip.last.say("Collecting tqdm")
    assert told == ["Collecting tqdm"]
    assert widget.logic.status.state.value == "installing"
    with pytest.raises(RuntimeError, match="being installed"):
        widget.logic.start(None)


def test_the_console_waits_for_no_installation(widget, a_small_ct):
    from M3LungScreenSlicer.screening_logic import ScreeningFailed

    widget.ui.screenButton.click()
    with pytest.raises(ScreeningFailed, match="being installed"):
        widget.logic.screen(a_small_ct)


# The real pip, in an environment of its own


@pytest.fixture
def python_without_packages(tmp_path):
    folder = tmp_path / "ein Python für Slicer"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    return folder / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")


@pytest.fixture
def install(window, python_without_packages, tmp_path):
    """install(*requirements) by the real pip from the wheels in tmp_path; its Outcome."""
    from M3LungScreenSlicer.child_process import QtProcess
    from M3LungScreenSlicer.installation import Plan, pip_options
    from M3LungScreenSlicer.installer import Installer

    def process(arguments, folder):
        there = [*arguments[:2], "--python", str(python_without_packages), *arguments[2:]]
        return QtProcess(sys.executable, there, folder)

    def run(*requirements, source=("--no-index", "--find-links", str(tmp_path))):
        made, ends, lines = Installer(process), [], []
        step = ("-m", "pip", "install", *pip_options(), *source, *requirements)
        made.start(Plan((), (step,), tmp_path), lines.append, ends.append)
        end = time.monotonic() + 120
        while made.running:
            assert time.monotonic() < end
            window.processEvents()
            time.sleep(0.005)
        return ends[0], lines

    return run


def installed_in(python, name):
    ask = f"from importlib.metadata import version; print(version({name!r}))"
    ran = subprocess.run([python, "-c", ask], capture_output=True, text=True)
    return ran.stdout.strip()


def test_wheels_from_a_folder_are_installed_by_pip(install, python_without_packages, tmp_path):
    make_wheel(tmp_path, "first_package", "1.2", "second_package>=1")
    make_wheel(tmp_path, "second_package", "3.0")
    outcome, lines = install("first_package>=1")
    assert outcome.message == "", outcome.details
    assert any(line.startswith("Installing collected packages") for line in lines)
    assert installed_in(python_without_packages, "second_package") == "3.0"


def test_no_dependency_moves_what_slicer_brings(install, python_without_packages, tmp_path):
    from importlib.metadata import version

    make_wheel(tmp_path, "greedy", "1.0", "numpy>=99")
    make_wheel(tmp_path, "numpy", "99.0")
    outcome, _ = install("greedy")
    assert "conflict with those that come with Slicer" in outcome.message
    assert f"numpy=={version('numpy')}" in outcome.details
    assert installed_in(python_without_packages, "numpy") == ""


def test_a_folder_that_lacks_wheels_says_for_which_python(install, tmp_path):
    make_wheel(tmp_path, "other", "1.0")
    outcome, _ = install("first_package>=1")
    assert (
        f"does not contain all wheels for Python {sys.version_info[0]}.{sys.version_info[1]}"
        in outcome.message
    )


def test_no_network_is_told_as_that(install):
    source = ("--index-url", "http://127.0.0.1:9/simple", "--retries", "1", "--timeout", "2")
    outcome, _ = install("first_package", source=source)
    assert "could not be downloaded" in outcome.message


def test_the_cause_before_a_long_traceback_is_found(window, tmp_path):
    """light-the-torch 0.8.1 ends in a traceback where PyTorch's server cannot be reached."""
    from M3LungScreenSlicer.child_process import QtProcess
    from M3LungScreenSlicer.installation import Plan
    from M3LungScreenSlicer.installer import Installer

    script = (
        "import sys\n"
        "print('WARNING: Retrying after connection broken by X', file=sys.stderr)\n"
        "print('  File x, line 1\\n    call()\\n' * 60, file=sys.stderr)\n"
        "sys.exit('TypeError: build_source() missing 1 required keyword-only argument')\n"
    )
    made, ends = Installer(lambda _, folder: QtProcess(sys.executable, ["-c", script], folder)), []
    made.start(Plan((), (("-m", "light_the_torch"),)), lambda line: None, ends.append)
    made.wait()
    assert "could not be downloaded" in ends[0].message
    assert "build_source" in ends[0].details


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ("OSError: [Errno 28] No space left on device", "disk is full"),
        ("[WinError 5] Access is denied: 'scipy\\\\_lib'", "is in use"),
        ("does not have Windows Long Path support enabled.", "too long for Windows"),
        ("HTTPSConnectionPool: Max retries exceeded (SSLError(...))", "proxy"),
        ("something new", "under Details"),
    ],
)
def test_every_failure_of_pip_is_one_sentence_with_a_way_out(said, words):
    from M3LungScreenSlicer.pip_messages import failure_message

    assert words in failure_message(said)
    assert failure_message(said).endswith(".")


def test_of_an_address_the_files_name_is_shown():
    from M3LungScreenSlicer.pip_messages import progress_text

    line = "  Downloading https://download.pytorch.org/whl/cu130/torch-2.9.0.whl (1812.4 MB)"
    shown = progress_text("", line)
    assert progress_text(shown, "Progress 41 of 100") == (
        "Downloading torch-2.9.0.whl (1812.4 MB), 41 %"
    )


def test_progress_that_is_none_changes_nothing():
    from M3LungScreenSlicer.pip_messages import progress_text

    for line in ("Progress", "Progress 5 of 0", "Progress a of b", "Progress 5"):
        assert progress_text("Downloading", line) in ("Downloading", line)
