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


def test_contributors_have_an_institution():
    from M3LungScreenSlicer import library

    text = (ROOT / "CMakeLists.txt").read_text("utf-8")
    (told,) = re.findall(r'EXTENSION_CONTRIBUTORS "(.+)"', text)
    assert all(re.fullmatch(r"[^()]+ \([^()]+\)", each) for each in told.split("), ("))
    module = (library.MODULE_FOLDER / "M3LungScreen.py").read_text("utf-8")
    assert f'parent.contributors = ["{told}"]' in module


def test_cmake_is_asked_for_as_slicer_5_10_asks_for_it():
    first = (ROOT / "CMakeLists.txt").read_text("utf-8").splitlines()[0]
    assert first == "cmake_minimum_required(VERSION 3.20.6...3.22.6 FATAL_ERROR)"


def test_what_the_index_checks_of_the_entry_and_the_repository():
    entry = json.loads((ROOT / "M3LungScreen.json").read_text("utf-8"))
    assert entry["category"] == "Quantification"  # one of the accepted list
    assert entry["scm_url"].startswith("https://")
    assert "Slicer" in entry["scm_url"].rpartition("/")[2]
    assert (ROOT / "LICENSE").is_file()
    cmake = (ROOT / "CMakeLists.txt").read_text("utf-8")
    (told,) = re.findall(r'set\(EXTENSION_DESCRIPTION "(.+)"\)', cmake)
    assert len(told) < 300


def readme():
    return (ROOT / "README.md").read_text("utf-8")


def test_the_pictures_of_the_readme_are_files_of_the_repository():
    pictures = re.findall(r"!\[[^]]+\]\(([^)]+)\)", readme())
    assert len(pictures) >= 4
    assert all((ROOT / each).is_file() for each in pictures)


def test_the_tutorial_names_buttons_and_samples_that_there_are(scene, window):
    from M3LungScreenSlicer.sample_data import SAMPLES

    form = (ROOT / "M3LungScreen" / "Resources" / "UI" / "M3LungScreen.ui").read_text("utf-8")
    shown = set(re.findall(r"<string>(.*?)</string>", form))
    samples = {each.name for each in SAMPLES}
    _, tutorial = readme().split("### Tutorial", 1)
    tutorial, _ = tutorial.split("### ", 1)
    steps = re.findall(r"^\d\. ", tutorial, re.MULTILINE)
    named = re.findall(r"\*\*(.+?)\*\*", tutorial)
    assert len(steps) >= 6
    assert named[0] in samples
    assert set(named) <= shown | samples
    assert {each for each in samples if each in tutorial} == samples


def test_the_way_without_internet_names_files_that_there_are():
    for name in ("requirements.txt", "requirements-resnet.txt"):
        assert name in readme()
        assert (ROOT / "M3LungScreen" / "Resources" / name).is_file()


MOST_REPOSITORY_MB = 100  # the Extensions Index takes no more
LARGEST_FILE_MB = 13  # the shipped weights


def test_the_repository_is_small_enough_for_the_index():
    def git(*words):
        return subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True)

    counted = git("count-objects", "-v")
    if counted.returncode:
        pytest.skip("no git checkout")
    kib = {name: int(number) for name, number in re.findall(r"(\S+): (\d+)", counted.stdout)}
    assert (kib["size-pack"] + kib["size"]) / 1024 < MOST_REPOSITORY_MB
    tracked = [ROOT / name for name in git("ls-files").stdout.splitlines()]
    sizes = {path: path.stat().st_size for path in tracked if path.is_file()}
    assert max(sizes.values()) < LARGEST_FILE_MB * 2**20


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
    installed, scene, window, a_patient, tmp_path, monkeypatch
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
