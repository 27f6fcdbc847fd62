"""What an installed extension holds: every file, and a library that screens."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from Testing.stand_ins.mrml_scene import add_volume, ijk_to_ras_of

ROOT = Path(__file__).parents[2]
SCHEMA_KEYS = {
    "$schema",
    "category",
    "scm_url",
    "scm_revision",
    "build_dependencies",
    "build_subdirectory",
    "tier",
}


def listed(cmake, name):
    (body,) = re.findall(rf"set\({name}\s+([^)]*)\)", cmake.read_text("utf-8"))
    return body.replace("${MODULE_NAME}", "M3LungScreen").split()


def on_disk(folder, start=ROOT):
    return sorted(
        path.relative_to(start).as_posix()
        for path in (ROOT / folder).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts and path.name != "CMakeLists.txt"
    )


def test_every_file_of_the_library_and_its_model_is_listed():
    cmake = ROOT / "CMakeLists.txt"
    found = sorted(listed(cmake, "LIBRARY_SCRIPTS") + listed(cmake, "LIBRARY_RESOURCES"))
    assert found == sorted(on_disk("M3LungScreenLib") + on_disk("Resources/Models"))


def test_every_file_of_the_module_is_listed():
    cmake, module = ROOT / "M3LungScreen" / "CMakeLists.txt", ROOT / "M3LungScreen"
    found = listed(cmake, "MODULE_PYTHON_SCRIPTS") + listed(cmake, "MODULE_PYTHON_RESOURCES")
    assert sorted(found) == on_disk("M3LungScreen", module)


def test_no_loose_python_file_lies_beside_the_module_file():
    assert [path.name for path in (ROOT / "M3LungScreen").glob("*.py")] == ["M3LungScreen.py"]


def test_the_index_entry_names_the_extension_that_cmake_builds():
    entry = json.loads((ROOT / "M3LungScreen.json").read_text("utf-8"))
    cmake = (ROOT / "CMakeLists.txt").read_text("utf-8")
    assert set(entry) <= SCHEMA_KEYS
    assert entry["$schema"].endswith("slicer-extension-catalog-entry-schema-v1.0.2.json#")
    assert re.findall(r"^project\((\w+)\)", cmake, re.MULTILINE) == ["M3LungScreen"]
    assert re.findall(r'EXTENSION_DEPENDS "(\w+)"', cmake) == entry["build_dependencies"]
    assert "EXTENSION_CATEGORY" not in cmake


def test_icon_and_screenshots_are_files_of_the_repository_that_the_index_names():
    entry = json.loads((ROOT / "M3LungScreen.json").read_text("utf-8"))
    cmake = (ROOT / "CMakeLists.txt").read_text("utf-8")
    home = entry["scm_url"].removesuffix(".git")
    assert re.findall(r'EXTENSION_HOMEPAGE "(.+)"', cmake) == [home]
    raw = home.replace("github.com", "raw.githubusercontent.com") + f"/{entry['scm_revision']}/"
    urls = " ".join(re.findall(r'EXTENSION_(?:ICONURL|SCREENSHOTURLS) "(.+)"', cmake)).split()
    shown = {url.removeprefix(raw) for url in urls}
    assert all((ROOT / name).is_file() for name in shown)
    assert {Path(name).name for name in shown} >= {
        path.name for path in (ROOT / "Resources" / "Screenshots").iterdir()
    }


def test_the_modules_requirements_are_the_libraries_lower_bounds():
    import tomllib

    text = (ROOT / "M3LungScreen" / "Resources" / "requirements.txt").read_text("utf-8")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert lines == project["dependencies"]


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """The tree that `cmake --install` makes, in a folder with blanks and umlauts."""
    if shutil.which("cmake") is None:
        pytest.skip("cmake is not installed")
    build = tmp_path_factory.mktemp("build")
    target = tmp_path_factory.mktemp("Programme für Ärzte") / "Slicer"
    config = f"-DSlicer_DIR={ROOT / 'Testing' / 'stand_ins' / 'slicer_cmake'}"
    for command in (["-S", ROOT, "-B", build, config], ["--install", build, "--prefix", target]):
        ran = subprocess.run(["cmake", *map(str, command)], capture_output=True, text=True)
        assert ran.returncode == 0, ran.stderr
    return target / "lib" / "Slicer-5.12" / "qt-scripted-modules"


def test_the_installed_tree_has_one_module_and_the_library_beside_it(installed):
    names = {path.name for path in installed.iterdir()}
    assert names == {
        "M3LungScreen.py",
        "M3LungScreenSlicer",
        "M3LungScreenLib",
        "Resources",
    }


def test_the_installed_library_screens_a_simulated_ct(installed, tmp_path):
    def run(*arguments):
        command = [sys.executable, "-m", "M3LungScreenLib", *map(str, arguments)]
        ran = subprocess.run(command, cwd=installed, capture_output=True, text=True)
        assert ran.returncode == 0, ran.stderr

    ct, out = tmp_path / "ct.nrrd", tmp_path / "out"
    run("simulate", "--class", "cap", "--thickness", "8", "--matrix", "96", "-o", ct)
    run("screen", ct, "-o", out, "--detail", "preview", "--progress", "none")
    assert json.loads((out / "result.json").read_text("utf-8"))["patient"]["verdict"]


def test_the_installed_module_finds_its_library_and_screens_a_node(
    installed, scene, a_patient, tmp_path, monkeypatch
):
    volume = a_patient.volume
    ct = add_volume(scene, volume.hu, ijk_to_ras_of(volume.geometry))
    for name in [each for each in sys.modules if each.startswith("M3LungScreenSlicer")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.syspath_prepend(str(installed))
    from M3LungScreenSlicer.library import library_root
    from M3LungScreenSlicer.screening_logic import ScreeningLogic

    assert library_root() == installed
    logic = ScreeningLogic(scene, folder=tmp_path)
    result = logic.screen(ct, detail="preview")
    logic.close()
    assert result.content["patient"]["verdict"]
