"""A batch as its users run it: studies however nested, kills at any moment, one summary."""

import csv
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import SimpleITK as sitk

from M3LungScreenLib import simulate_patient
from M3LungScreenLib.batch.one_study import BatchSettings
from M3LungScreenLib.batch.studies import find_studies
from M3LungScreenLib.batch.summary import COLUMNS, write_summary
from M3LungScreenLib.errors import InputRefused, UsageError
from Testing.stand_ins.dicom import a_chest, write_series

parquet = pytest.importorskip("pyarrow.parquet", reason="the extra 'batch' is not installed")

ROOT = Path(__file__).parents[2]
PATIENCE_S = 240
CLASSES = ("healthy", "covid19", "cap", "h1n1")


@pytest.fixture(scope="module")
def an_archive(tmp_path_factory):
    """Four simulated patients, one of them a DICOM series, and two studies that are none."""
    folder = tmp_path_factory.mktemp("archive")
    for seed, key in enumerate(CLASSES):
        made = simulate_patient(key, seed, slice_count=24, slice_thickness_mm=10, matrix=96).volume
        place = folder / f"year {seed % 2}" / f"case {seed}"
        place.mkdir(parents=True)
        if seed == 0:
            x, _, z = made.spacing_mm
            write_series(place, made.hu, pixel_mm=x, thickness_mm=z, ConvolutionKernel="B30f")
        else:
            sitk.WriteImage(made.to_stored(made.hu), place / "chest.nrrd", useCompression=True)
    (folder / "damaged.nrrd").write_text("NRRD0004\n")
    write_series(folder / "knee", a_chest(3))
    (folder / "readme.txt").write_text("no CT")
    return folder


def arguments_of(archive, out, *more):
    made = [sys.executable, "-m", "M3LungScreenLib", "batch", archive, "-o", out, *more]
    return [*map(str, made), "--detail", "preview", "--progress", "none"]


def batch(archive, out, *more):
    ran = subprocess.run(
        arguments_of(archive, out, *more), cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


@pytest.fixture(scope="module")
def an_undisturbed_run(an_archive, tmp_path_factory):
    out = tmp_path_factory.mktemp("undisturbed") / "out"
    return out, batch(an_archive, out)


def rows_of(out, name="summary.csv"):
    with (out / name).open(newline="") as file:
        return list(csv.DictReader(file))


def test_every_study_has_a_result_or_a_reason(an_archive, an_undisturbed_run):
    out, said = an_undisturbed_run
    rows = rows_of(out)
    assert sorted(each["status"] for each in rows) == ["refused"] * 2 + ["screened"] * 4
    assert "4 of 6 studies, 2 refused" in said
    reasons = {each["refusal_kind"] for each in rows if each["status"] == "refused"}
    assert reasons == {"unreadable", "too_few_slices"}
    for row in rows:
        folder = out / "studies" / row["study"]
        wanted = "report.html" if row["status"] == "screened" else "refusal.json"
        assert (folder / wanted).exists()


def test_the_tables_agree_and_only_the_key_names_files(an_archive, an_undisturbed_run):
    out, _ = an_undisturbed_run
    rows = rows_of(out)
    told = parquet.read_table(out / "summary.parquet").to_pylist()
    assert list(told[0]) == list(rows[0]) == list(COLUMNS)
    for row, same in zip(rows, told, strict=True):
        assert all(str("" if same[k] is None else same[k]) == row[k] for k in COLUMNS)
    paths = {each["path"] for each in rows_of(out, "key.csv")}
    assert str(an_archive / "damaged.nrrd") in paths
    everything_else = b"".join(
        each.read_bytes() for each in out.rglob("*") if each.is_file() and each.name != "key.csv"
    )
    assert b"year 0" not in everything_else
    assert str(an_archive).encode() not in everything_else


def wait_for(condition):
    end = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)


def finished(out):
    return len([each for each in out.glob("studies/*/*.json") if each.parent.name[0] != "."])


@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL is POSIX")
def test_a_batch_that_is_killed_goes_on_and_loses_nothing(an_archive, an_undisturbed_run, tmp_path):
    out, workers = tmp_path / "out", ("--workers", "2", "--resume")
    for count in (1, 3):
        run = subprocess.Popen(arguments_of(an_archive, out, *workers), cwd=ROOT)
        wait_for(lambda enough=count: finished(out) >= enough)
        children = psutil.Process(run.pid).children(recursive=True)
        run.send_signal(signal.SIGKILL)
        run.wait()
        wait_for(lambda left=children: not any(each.is_running() for each in left))
    written = {each: each.stat().st_mtime_ns for each in out.glob("studies/*/*.json")}
    batch(an_archive, out, *workers)
    assert rows_of(out) == rows_of(an_undisturbed_run[0])
    assert all(each.stat().st_mtime_ns == when for each, when in written.items())
    assert list(out.glob("studies/.*")) == list(out.glob("*.part")) == []


@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL is POSIX")
def test_a_worker_that_is_killed_costs_no_study(an_archive, an_undisturbed_run, tmp_path):
    out = tmp_path / "out"
    run = subprocess.Popen(arguments_of(an_archive, out, "--workers", "2"), cwd=ROOT)
    wait_for(lambda: finished(out) >= 1)
    workers = [
        each
        for each in psutil.Process(run.pid).children(recursive=True)
        if "spawn_main" in " ".join(each.cmdline())
    ]
    workers[0].kill()
    assert run.wait(PATIENCE_S) == 0
    assert rows_of(out) == rows_of(an_undisturbed_run[0])


@pytest.fixture
def ray_workers():
    """A function that lists the processes of Ray that screen."""
    pytest.importorskip("ray", reason="the extra 'cluster' is not installed")

    def listed():
        names = [(each, " ".join(each.cmdline())) for each in psutil.process_iter()]
        return [each for each, name in names if name.startswith("ray::_Actor")]

    return listed


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL is POSIX")
def test_on_ray_a_worker_that_is_killed_costs_no_study(
    an_archive, an_undisturbed_run, tmp_path, ray_workers
):
    out = tmp_path / "out"
    run = subprocess.Popen(
        arguments_of(an_archive, out, "--workers", "2", "--engine", "ray"), cwd=ROOT
    )
    wait_for(lambda: finished(out) >= 1)
    ray_workers()[0].kill()
    assert run.wait(PATIENCE_S) == 0
    assert rows_of(out) == rows_of(an_undisturbed_run[0])


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL is POSIX")
def test_on_ray_a_batch_that_is_killed_goes_on(
    an_archive, an_undisturbed_run, tmp_path, ray_workers
):
    out, ray = tmp_path / "out", ("--workers", "2", "--engine", "ray", "--resume")
    run = subprocess.Popen(arguments_of(an_archive, out, *ray), cwd=ROOT)
    wait_for(lambda: finished(out) >= 1)
    run.kill()
    run.wait()
    wait_for(lambda: not ray_workers())
    batch(an_archive, out, *ray)
    assert rows_of(out) == rows_of(an_undisturbed_run[0])


def test_an_output_folder_that_is_not_empty_needs_resume(an_archive, tmp_path):
    (tmp_path / "mine.txt").write_text("keep")
    ran = subprocess.run(
        arguments_of(an_archive, tmp_path), cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 2
    assert "continue with --resume" in ran.stderr
    assert os.listdir(tmp_path) == ["mine.txt"]


def test_studies_are_told_apart_however_they_are_nested(tmp_path):
    for name, study in (("a/1", "1.1"), ("b/deep/2", "1.1"), ("b/3", "1.2")):
        write_series(tmp_path / name, a_chest(3), StudyInstanceUID=study)
    shutil.copytree(tmp_path / "a", tmp_path / "copy of a")
    found = {each.study_uid: each for each in find_studies([tmp_path])}
    assert set(found) == {"1.1", "1.2"}
    assert len(found["1.1"].files) == 9
    assert found["1.1"].path == tmp_path
    assert found["1.2"].path == tmp_path / "b/3"
    assert find_studies([tmp_path, tmp_path / "b"]) == list(found.values())


def test_a_table_lists_paths_beside_it(tmp_path):
    (tmp_path / "x.nrrd").touch()
    table = tmp_path / "cases.csv"
    table.write_text("name,path\na,x.nrrd\nb,missing.nrrd\nc,\n")
    assert [each.path.name for each in find_studies([table])] == ["x.nrrd", "missing.nrrd"]
    table.write_text("name,file\na,x.nrrd\n")
    with pytest.raises(UsageError, match="no column 'path'"):
        find_studies([table])
    with pytest.raises(InputRefused, match="There is no file or folder"):
        find_studies([tmp_path / "nothing"])


def test_a_study_that_is_not_done_yet_stands_in_the_summary_as_missing(tmp_path):
    (tmp_path / "x.nrrd").touch()
    studies = find_studies([tmp_path / "x.nrrd"])
    out = tmp_path / "out"
    out.mkdir()
    assert not BatchSettings(out).is_done(studies[0])
    (row,) = write_summary(studies, out, with_key=False)
    assert row["status"] == "missing"
    assert not (out / "key.csv").exists()


def test_the_page_sorts_and_filters_in_a_browser(an_undisturbed_run, tmp_path):
    browser = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)
    if browser is None:
        pytest.skip("chromium is missing")
    out, _ = an_undisturbed_run
    page = (out / "index.html").read_text("utf-8")
    script = (
        "<script>document.getElementById('search').value = 'damaged'; filter();"
        "document.querySelectorAll('th button')[2].click();</script></body>"
    )
    (tmp_path / "page.html").write_text(page.replace("</body>", script), "utf-8")
    shown = subprocess.run(
        [browser, "--headless", "--no-sandbox", "--dump-dom", tmp_path / "page.html"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    rows = shown.partition("<tbody>")[2].partition("</tbody>")[0].split("<tr")[1:]
    visible = [each for each in rows if 'hidden=""' not in each.partition(">")[0]]
    assert len(rows) == 6
    assert len(visible) == 1
    assert "damaged.nrrd" in visible[0]
    assert 'aria-sort="ascending"' in shown
