"""The installer with the real pip, in an environment of its own."""

import subprocess
import sys
import time

import pytest

from Testing.stand_ins.pip import make_wheel


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
