"""Which models can be chosen, and what is installed how; no network, nothing really installed."""

import shutil
import sys
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from types import ModuleType

import pytest
from M3LungScreenSlicer import installation
from M3LungScreenSlicer.installation import InstallationRefused, install_from_folder
from M3LungScreenSlicer.models import list_models, open_model, unverified_classes

ROOT = Path(__file__).parents[2]
SHIPPED = ROOT / "Resources" / "Models" / "compact"
REQUIREMENTS = ROOT / "M3LungScreen" / "Resources" / "requirements.txt"


@pytest.fixture
def a_copy(tmp_path):
    folder = tmp_path / "Modelle für Ärzte" / "mine"
    shutil.copytree(SHIPPED, folder)
    return folder


def test_the_shipped_model_is_listed_first_and_then_the_users(a_copy):
    choices = list_models(a_copy.parent)
    assert [each.folder for each in choices] == [SHIPPED, a_copy]
    assert choices[0].label == choices[1].label == "M3LungScreen compact 0.1.0"
    assert [each.problem for each in choices] == ["", ""]
    assert [each.folder for each in list_models(a_copy)] == [SHIPPED, a_copy]


@pytest.mark.parametrize("name", ["", "model.json", "weights.safetensors"])
def test_a_model_opens_by_its_folder_or_any_file_of_it(a_copy, name):
    opened = open_model(a_copy / name)
    assert (opened.folder, opened.problem) == (a_copy, "")
    assert opened.card["weights"]["sha256"] == opened.sha256


def test_a_model_whose_hash_is_wrong_is_named_and_refused(a_copy):
    with (a_copy / "weights.safetensors").open("ab") as weights:
        weights.write(b"x")
    opened = open_model(a_copy)
    assert "damaged" in opened.problem
    assert opened.label == "M3LungScreen compact 0.1.0"
    assert opened.sha256 == ""


def test_what_is_no_model_says_so(tmp_path):
    (tmp_path / "model.json").write_text("[]")
    assert "holds no settings" in open_model(tmp_path).problem
    assert "no model" in open_model(tmp_path / "elsewhere" / "photo.png").problem


def test_a_class_without_real_cases_is_unverified():
    assert unverified_classes({"verified_on_real_ct": {"healthy": 12, "cap": 0}}) == (
        "covid19",
        "h1n1",
        "cap",
    )
    assert len(unverified_classes({})) == 4


class Slicer:
    """Installs by remembering: `versions` says what is there, `pip` what was asked."""

    def __init__(self, versions, answer=True):
        self.versions, self.answer, self.pip = dict(versions), answer, []

    def version(self, name):
        if name not in self.versions:
            raise PackageNotFoundError(name)
        return self.versions[name]

    def pip_install(self, arguments):
        self.pip.append(list(arguments))
        self.versions |= {
            line.split(">=")[0]: line.split(">=")[1] for line in arguments if ">=" in line
        }

    def pip_ensure(self, lines, requester):
        if not self.answer:
            raise RuntimeError("declined")
        self.pip_install(lines)

    def install_torch(self, **options):
        self.pip.append(options)
        if self.answer:
            self.versions |= {"torch": "2.14.1", "torchvision": "0.29.1"}
        return self.answer or None


EVERYTHING = {
    line.split(">=")[0]: line.split(">=")[1]
    for line in REQUIREMENTS.read_text("utf-8").splitlines()
    if ">=" in line
}


@pytest.fixture
def slicer_with(monkeypatch):
    """slicer_with(versions, packaging=True, torch_utils=True, answer=True)"""
    import slicer

    def make(versions, packaging=True, torch_utils=True, answer=True):
        stand_in = Slicer(versions, answer)
        monkeypatch.setattr(installation, "version", stand_in.version)
        monkeypatch.setattr(slicer.util, "pip_install", stand_in.pip_install)
        monkeypatch.setattr(slicer.util, "confirmOkCancelDisplay", lambda text: answer)
        if packaging:
            monkeypatch.setattr(slicer, "packaging", stand_in, raising=False)
        utils = ModuleType("PyTorchUtils")
        logic = type("Logic", (), {})
        logic.torchInstalled = staticmethod(lambda: "torch" in stand_in.versions)
        logic.installTorch = lambda self, **options: stand_in.install_torch(**options)
        utils.PyTorchUtilsLogic = logic
        monkeypatch.setitem(sys.modules, "PyTorchUtils", utils if torch_utils else None)
        return stand_in

    return make


def without(*names):
    return {name: found for name, found in EVERYTHING.items() if name not in names}


def test_nothing_is_asked_or_installed_where_everything_is_there(slicer_with):
    stand_in = slicer_with(EVERYTHING, answer=False, torch_utils=False)
    assert installation.missing_packages(REQUIREMENTS) == []
    installation.ensure_packages(REQUIREMENTS)
    assert stand_in.pip == []


def test_nothing_that_slicer_brings_is_asked_for(slicer_with):
    bundled_in_5_10 = {"numpy": "2.0.2", "SimpleITK": "2.5.2", "pydicom": "2.4.4"}
    slicer_with(EVERYTHING | bundled_in_5_10)
    assert installation.missing_packages(REQUIREMENTS) == []
    slicer_with(EVERYTHING | {"pydicom": "2.3.1"})
    with pytest.raises(InstallationRefused, match="too old: pydicom"):
        installation.ensure_packages(REQUIREMENTS)


@pytest.mark.parametrize("packaging", [True, False])
def test_only_what_is_missing_is_installed(slicer_with, packaging):
    stand_in = slicer_with(without("jinja2") | {"scipy": "1.2"}, packaging)
    assert installation.missing_packages(REQUIREMENTS) == ["scipy>=1.14", "jinja2>=3.1"]
    installation.ensure_packages(REQUIREMENTS)
    assert stand_in.pip == [["scipy>=1.14", "jinja2>=3.1"]]


def test_torch_comes_from_the_pytorch_extension_alone(slicer_with):
    stand_in = slicer_with(without("torch", "torchvision"))
    installation.ensure_packages(REQUIREMENTS)
    bounds = {"torchVersionRequirement": ">=2.8", "torchvisionVersionRequirement": ">=0.23"}
    assert stand_in.pip == [{"askConfirmation": True, **bounds}]


def test_simulating_needs_no_torch(slicer_with):
    stand_in = slicer_with(without("torch", "torchvision"))
    installation.ensure_packages(REQUIREMENTS, with_torch=False)
    assert stand_in.pip == []


REFUSALS = {
    "extension 'PyTorch'": {"versions": without("torch"), "torch_utils": False},
    "PyTorch was not installed": {"versions": without("torch"), "answer": False},
    "is installed, >=2.8 is needed": {"versions": EVERYTHING | {"torch": "1.13"}},
    "This Slicer is too old: numpy>=2.0": {"versions": EVERYTHING | {"numpy": "1.26.4"}},
    "Nothing was installed": {"versions": without("scipy"), "answer": False},
}


@pytest.mark.parametrize("packaging", [True, False])
@pytest.mark.parametrize("words", REFUSALS)
def test_a_refusal_says_what_to_do(slicer_with, words, packaging):
    slicer_with(packaging=packaging, **REFUSALS[words])
    with pytest.raises(InstallationRefused, match=words) as refusal:
        installation.ensure_packages(REQUIREMENTS)
    assert str(refusal.value).endswith(".")


def test_a_failed_pip_becomes_one_sentence(slicer_with, monkeypatch):
    import slicer

    slicer_with(without("scipy"), packaging=False)
    failed = OSError("returned non-zero exit status 1")
    monkeypatch.setattr(slicer.util, "pip_install", lambda lines: (_ for _ in ()).throw(failed))
    with pytest.raises(InstallationRefused, match="Check the connection") as refusal:
        installation.ensure_packages(REQUIREMENTS)
    assert "exit status" not in str(refusal.value)


def test_a_folder_of_wheels_needs_no_network(slicer_with, tmp_path):
    stand_in = slicer_with(without("torch", "psutil"), torch_utils=False)
    with pytest.raises(InstallationRefused, match=r"holds no \.whl"):
        install_from_folder(tmp_path, REQUIREMENTS)
    (tmp_path / "psutil-6.whl").touch()
    install_from_folder(tmp_path, REQUIREMENTS)
    (asked,) = stand_in.pip
    assert asked[:3] == ["--no-index", "--find-links", str(tmp_path)]
    assert asked[3:] == ["torch>=2.8", "psutil>=6"]


def test_a_folder_that_lacks_wheels_says_for_which_python(slicer_with, tmp_path, monkeypatch):
    import slicer

    slicer_with(without("psutil"))
    (tmp_path / "other.whl").touch()
    monkeypatch.setattr(slicer.util, "pip_install", lambda lines: None)
    with pytest.raises(InstallationRefused, match=f"Python {sys.version_info[0]}"):
        install_from_folder(tmp_path, REQUIREMENTS)
