"""The panel while packages are installed: clicks, leaving, closing and failing."""

from pathlib import Path
from types import SimpleNamespace

import pytest
from packaging.requirements import Requirement

from Testing.stand_ins.pip import Pip, make_wheel

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


class SilentWorker:
    """A child process that never answers."""

    running = True

    def start(self, on_line, on_exit): ...

    def send(self, line): ...

    def wait(self, seconds): ...

    def wait_for_finished(self, seconds): ...

    def kill(self): ...


@pytest.fixture
def widget(a_small_ct, open_widget, scene, pip, answers, lacking, tmp_path):
    """The module opened where a package is missing; its logic is the real one."""
    from M3LungScreenSlicer.installer import Installer
    from M3LungScreenSlicer.screening_logic import ScreeningLogic
    from slicer.ScriptedLoadableModule import ScriptedLoadableModuleLogic

    class M3LungScreenLogic(ScreeningLogic, ScriptedLoadableModuleLogic):
        def __init__(self):
            ScriptedLoadableModuleLogic.__init__(self)
            ScreeningLogic.__init__(self, scene, SilentWorker, tmp_path, Installer(pip))

    return open_widget(M3LungScreenLogic())


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


@pytest.fixture
def a_gpu_without_torch(lacking, monkeypatch):
    from M3LungScreenSlicer import installation, packages

    from M3LungScreenLib.engines import nvidia

    wanted = [Requirement("torch>=2.8")]

    def missing(requirements, extras):
        return [each for each in wanted if "torch" in extras]

    monkeypatch.setattr(nvidia, "has_driver", lambda: True)
    monkeypatch.setattr(installation, "_missing", missing)
    for check in ("_check", "_check_extension"):  # this Python may have PyTorch
        monkeypatch.setattr(installation, check, lambda *_: None)
    monkeypatch.setattr(packages, "unsatisfied", lambda needed: list(needed))
    return wanted


def test_with_an_nvidia_gpu_pytorch_is_offered_and_the_cpu_works_meanwhile(
    a_gpu_without_torch, widget, pip, answers
):
    ui = widget.ui
    assert ui.gpuButton.visible
    assert answers["asked"] == []  # nobody is asked who did not click
    ui.screenButton.click()
    assert pip.started == []
    assert widget.logic.status.state.value == "starting"
    assert not ui.gpuButton.enabled
    ui.screenButton.click()  # cancel
    ui.gpuButton.click()
    assert "torch>=2.8" in answers["asked"][0]
    assert "2 to 3 GB with an NVIDIA GPU" in answers["asked"][0]
    assert "light-the-torch>=0.8.1" in pip.last.arguments


def test_pytorch_that_is_installed_is_no_longer_offered(
    a_gpu_without_torch, widget, pip, monkeypatch
):
    from M3LungScreenSlicer import packages

    ui = widget.ui
    ui.gpuButton.click()
    a_gpu_without_torch.clear()
    monkeypatch.setattr(packages, "unsatisfied", lambda needed: [])
    pip.last.end()
    pip.last.end()
    assert not ui.gpuButton.visible


def test_without_an_nvidia_gpu_nothing_is_offered(widget):
    assert not widget.ui.gpuButton.visible
