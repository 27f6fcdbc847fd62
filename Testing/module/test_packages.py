"""What is required against what Slicer brings, and what pip is told; nothing is installed."""

import json
import os
import platform
import subprocess
import sys
import tomllib
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import ModuleType

import pytest
from M3LungScreenSlicer import installation, packages
from M3LungScreenSlicer.installation import InstallationRefused, plan, plan_from_folder
from M3LungScreenSlicer.models import extras_of
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
RESOURCES = ROOT / "M3LungScreen" / "Resources"
REQUIREMENTS = RESOURCES / "requirements.txt"
LISTS = sorted((ROOT / "Testing" / "fixtures" / "slicer_packages").glob("slicer-*.txt"))


def brought_by(path):
    """Version by canonical name."""
    lines = [line for line in path.read_text("utf-8").splitlines() if not line.startswith("#")]
    pairs = [line.split("==") for line in lines]
    return {canonicalize_name(name): number for name, number in pairs}


def lower_bounds():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    ours = packages.required(*sorted(RESOURCES.glob("requirements*.txt")))
    return [*ours, *map(Requirement, project["dependencies"])]


@pytest.mark.parametrize("path", LISTS, ids=lambda path: path.stem)
def test_nothing_that_slicer_brings_is_replaced(path):
    brought = brought_by(path)
    assert {"numpy", "scipy", "simpleitk", "pydicom", "pillow", "requests"} <= set(brought)
    for each in lower_bounds():
        found = brought.get(canonicalize_name(each.name))
        assert found is None or each.specifier.contains(found), f"{each} replaces {found}"


@pytest.mark.parametrize("path", LISTS, ids=lambda path: path.stem)
def test_slicers_own_packages_are_all_known(path):
    assert set(brought_by(path)) - packages.BUILD_TOOLS <= packages.SLICER_PACKAGES


def test_slicer_5_10_and_5_12_are_among_the_lists():
    assert {path.stem for path in LISTS} >= {"slicer-5.10", "slicer-5.12"}


class Machine:
    """`versions` says what is installed."""

    def __init__(self, versions):
        self.versions = dict(versions)

    def version(self, name):
        if name not in self.versions:
            raise PackageNotFoundError(name)
        return self.versions[name]


BOUNDS = {each.name: next(iter(each.specifier)).version for each in packages.required(REQUIREMENTS)}


@pytest.fixture
def machine(monkeypatch):
    """machine(versions, extension=True, system=('linux', 'x86_64')) is where Slicer runs."""

    def make(versions, extension=True, system=("linux", "x86_64")):
        made = Machine(versions)
        monkeypatch.setattr(packages, "version", made.version)
        monkeypatch.setattr(sys, "platform", system[0])
        monkeypatch.setattr(platform, "machine", lambda: system[1])
        utils = ModuleType("PyTorchUtils")  # without a logic: nothing of it may be called
        monkeypatch.setitem(sys.modules, "PyTorchUtils", utils if extension else None)
        monkeypatch.setitem(sys.modules, "slicer.packaging", None)  # as before Slicer 5.12
        return made

    return make


def without(*names):
    return {name: found for name, found in BOUNDS.items() if name not in names}


def asked_of(step):
    """The requirements of a step."""
    return [each for each in step[3:] if not each.startswith("-")]


def test_where_everything_is_there_no_step_is_needed(machine):
    machine(BOUNDS, extension=False)
    assert installation.missing_packages(REQUIREMENTS) == []
    assert plan(REQUIREMENTS).steps == ()


def test_a_fresh_slicer_gets_torch_by_the_pytorch_extensions_tool(machine):
    machine({**brought_by(LISTS[0]), "SimpleITK": "2.5.0"})
    first, second = plan(REQUIREMENTS, ("torch",)).steps
    assert first[:3] == ("-m", "pip", "install")
    others = {Requirement(each).name for each in asked_of(first)}
    assert others == {
        "scikit-image", "safetensors", "jinja2", "tqdm", "psutil", "onnxruntime", "light-the-torch"
    }  # fmt: skip
    assert second[:3] == ("-m", "light_the_torch", "install")
    assert asked_of(second) == ["torch>=2.8"]


def test_only_what_is_missing_is_installed(machine):
    machine(without("jinja2") | {"psutil": "1.2"})
    assert installation.missing_packages(REQUIREMENTS) == ["jinja2>=3.1", "psutil>=6"]
    (step,) = plan(REQUIREMENTS).steps
    assert asked_of(step) == ["jinja2>=3.1", "psutil>=6"]
    assert "--only-binary=:all:" in step


@pytest.mark.parametrize(("pip", "bar"), [("25.1.1", "raw"), ("24.0", "off"), (None, "off")])
def test_pip_tells_its_progress_if_it_can(machine, pip, bar):
    machine(without("tqdm") | ({"pip": pip} if pip else {}))
    assert f"--progress-bar={bar}" in plan(REQUIREMENTS).steps[0]


def test_the_small_runtime_is_all_that_the_shipped_model_needs(machine):
    machine({**brought_by(LISTS[-1]), "SimpleITK": "2.5.0"}, extension=False)
    shipped = extras_of(ROOT / "Resources" / "Models" / "compact")
    assert shipped == ()
    (step,) = plan(REQUIREMENTS, shipped).steps
    assert "onnxruntime>=1.23" in asked_of(step)
    assert not [each for each in asked_of(step) if "torch" in each]


def test_torch_comes_with_a_model_without_graphs_and_torchvision_with_its_resnet(machine):
    machine(BOUNDS)
    assert installation.missing_packages(REQUIREMENTS, ("torch",)) == ["torch>=2.8"]
    wanted = installation.missing_packages(REQUIREMENTS, ("torch", "resnet"))
    assert wanted == ["torch>=2.8", "torchvision>=0.23"]
    assert asked_of(plan(REQUIREMENTS, ("torch", "resnet")).steps[-1]) == wanted


def card_of(network, **more):
    return json.dumps({"settings": {"slice_network": network}, **more})


@pytest.mark.parametrize(
    ("card", "installed", "extras"),
    [
        (card_of({"backbone": "resnet50"}), {}, ("torch", "resnet")),
        (card_of({}), {}, ("torch", "resnet")),
        (card_of({"backbone": "efficientnet_lite0"}), {}, ("torch",)),
        (card_of({"backbone": "efficientnet_lite0"}, graphs={}), {"torch": "2.9"}, ()),
        (card_of({"backbone": "resnet50"}, graphs={}), {}, ()),
        # PyTorch is there, so a GPU may use it.
        (card_of({"backbone": "resnet50"}, graphs={}), {"torch": "2.9"}, ("resnet",)),
        ('{"settings": []}', {}, ()),
        ("[]", {}, ()),
        ("no card", {}, ()),
    ],
)
def test_what_a_model_needs_is_read_from_its_card(tmp_path, machine, card, installed, extras):
    machine(installed)
    (tmp_path / "model.json").write_text(card)
    assert extras_of(tmp_path) == extras


REFUSALS = {
    "extension 'PyTorch'": {"versions": BOUNDS, "extension": False},
    "is installed, but >=2.8 is required": {"versions": BOUNDS | {"torch": "2.2.2"}},
    "This version of Slicer is too old: numpy>=2.0": {"versions": BOUNDS | {"numpy": "1.26.4"}},
    "This version of Slicer is too old: pydicom>=2.4": {"versions": BOUNDS | {"pydicom": "2.3.1"}},
    "stops at version 2.2.2": {"versions": BOUNDS, "system": ("darwin", "x86_64")},
}


@pytest.mark.parametrize("words", REFUSALS)
def test_a_refusal_before_pip_says_what_to_do(machine, words):
    machine(**REFUSALS[words])
    with pytest.raises(InstallationRefused, match=words) as refusal:
        plan(REQUIREMENTS, ("torch",))
    assert str(refusal.value).endswith(".")


def test_an_intel_mac_gets_the_small_runtime_and_is_told_before_pip_tries_torch(machine, tmp_path):
    (tmp_path / "torch-2.9.0-cp312-none-any.whl").touch()
    machine(without("onnxruntime"), system=("darwin", "x86_64"))
    assert asked_of(plan(REQUIREMENTS).steps[0]) == ["onnxruntime>=1.23"]
    with pytest.raises(InstallationRefused, match="Windows or Linux"):
        plan_from_folder(tmp_path, REQUIREMENTS, ("torch",))
    machine(BOUNDS, system=("darwin", "arm64"))
    assert len(plan(REQUIREMENTS, ("torch",)).steps) == 2


def test_what_slicer_lost_is_installed_again(machine):
    machine(without("scipy"))
    assert asked_of(plan(REQUIREMENTS).steps[0]) == ["scipy>=1.13"]


def test_two_modules_do_not_install_at_once(machine, monkeypatch):
    machine(without("tqdm"))
    busy = ModuleType("slicer.packaging")
    monkeypatch.setitem(sys.modules, "slicer.packaging", busy)
    assert plan(REQUIREMENTS).steps  # an early preview of it, which cannot tell
    busy.isPipInstallInProgress = lambda: True
    with pytest.raises(InstallationRefused, match="Another module"):
        plan(REQUIREMENTS)


def test_a_folder_of_wheels_needs_neither_network_nor_extension(machine, tmp_path):
    machine(without("psutil"), extension=False)
    with pytest.raises(InstallationRefused, match=r"contains no \.whl"):
        plan_from_folder(tmp_path, REQUIREMENTS)
    (tmp_path / "psutil-6.whl").touch()
    (step,) = plan_from_folder(tmp_path, REQUIREMENTS, ("torch",)).steps
    assert "--no-index" in step
    assert asked_of(step) == [str(tmp_path), "psutil>=6", "torch>=2.8"]


def test_what_is_missing_is_found_without_importing_it():
    script = (
        "import sys; sys.path.append('M3LungScreen')\n"
        "from Testing.stand_ins import translation; translation.install()\n"
        "from pathlib import Path\n"
        "from M3LungScreenSlicer.installation import missing_packages\n"
        f"missing_packages(Path({str(REQUIREMENTS)!r}), ('torch', 'resnet'))\n"
        "print(*{'torch', 'torchvision', 'onnxruntime', 'skimage'} & set(sys.modules))\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert ran.stdout.strip() == ""


def test_what_slicer_brings_or_has_loaded_is_kept_at_its_version():
    import numpy  # noqa: F401
    import psutil  # noqa: F401

    lines = packages.constraints([])
    assert f"numpy=={version('numpy')}" in lines
    assert f"psutil=={version('psutil')}" in lines  # loaded here, though not Slicer's
    assert not any(line.startswith(("pip==", "setuptools==")) for line in lines)
    changing = [Requirement("psutil>=99")]
    assert not any(line.startswith("psutil==") for line in packages.constraints(changing))


def test_a_package_replaced_while_it_is_loaded_is_noticed(monkeypatch):
    before = packages.installed_versions()
    assert packages.replaced_while_loaded(before) == ()
    assert packages.replaced_while_loaded({**before, "numpy": "1.0"}) == ("numpy",)
    # not loaded: no restart; not there before: nothing was replaced
    import_names = set(sys.modules)
    assert "light_the_torch" not in import_names
    monkeypatch.setattr(packages, "_loaded", lambda: frozenset({"scipy"}))
    assert packages.replaced_while_loaded({**before, "numpy": "1.0"}) == ()


@pytest.mark.skipif(os.name == "nt", reason="POSIX paths")
def test_requirements_for_other_systems_do_not_count(tmp_path):
    path = tmp_path / "requirements.txt"
    path.write_text('# comment\n\nno-such-package>=1; sys_platform == "win32"\nnumpy>=1\n')
    assert [each.name for each in packages.required(path)] == ["numpy"]
