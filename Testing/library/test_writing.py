"""A disk that refuses ends in one sentence, whichever library writes; nothing half is left."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
import torch

from M3LungScreenLib.bundle import CARD_FILE, WEIGHTS_FILE, load_bundle, save_bundle
from M3LungScreenLib.errors import UsageError
from M3LungScreenLib.outputs.folder import write
from M3LungScreenLib.outputs.nrrd import write_nrrd
from M3LungScreenLib.settings import ModelSettings
from M3LungScreenLib.writing import writer_errors

pytest.importorskip("resource", reason="A limit on the size of files is POSIX's.")
from Testing.stand_ins.full_disk import files_end_at

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("volumes", ["nrrd", "raw"])
def test_a_disk_too_small_for_any_file_of_a_result_is_one_sentence(make_result, tmp_path, volumes):
    attention = {k: np.random.default_rng(k).random((3, 9, 9)) for k in range(9)}
    result = make_result()
    vars(result)["attention"] = attention
    write(result, tmp_path / "whole", volumes)
    sizes = {path.name: path.stat().st_size for path in (tmp_path / "whole").iterdir()}
    for name, size in sizes.items():
        with files_end_at(size - 40), pytest.raises(UsageError, match="could not be") as refusal:
            write(result, tmp_path / "deep" / "out", volumes)
        assert refusal.value.kind == "output_not_written", name
        assert str(tmp_path / "deep" / "out") in refusal.value.message
        assert "\n" not in refusal.value.message
        assert [each.name for each in tmp_path.iterdir()] == ["whole"]


@pytest.mark.parametrize("missing", [1, 4, 100, 1000, 20_000])
def test_a_volume_without_its_last_bytes_is_noticed(tmp_path, missing):
    """ITK says nothing of what is lost when it closes a file."""
    noise = np.random.default_rng(0).random((20, 64, 64)).astype(np.float32)
    image = sitk.GetImageFromArray(noise)
    write_nrrd(image, tmp_path / "whole.nrrd")
    size = (tmp_path / "whole.nrrd").stat().st_size
    with files_end_at(size - missing), pytest.raises(OSError, match=r"cut\.nrrd"):
        write_nrrd(image, tmp_path / "cut.nrrd")


def test_a_simulated_patient_that_finds_no_room_leaves_what_was_there(tmp_path):
    out = tmp_path / "case.nrrd"
    out.write_text("before")
    script = (
        "import resource, sys; from M3LungScreenLib.__main__ import main;"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (9000, 9000));"
        "sys.exit(main(['simulate', '--slices', '24', '--matrix', '64', '-o', sys.argv[1]]))"
    )
    ran = subprocess.run(
        [sys.executable, "-c", script, str(out)], cwd=ROOT, capture_output=True, text=True
    )
    assert ran.returncode == 2
    assert ran.stderr.startswith(f"{out} could not be written: ")
    assert "Traceback" not in ran.stderr
    assert out.read_text() == "before"
    assert [path.name for path in tmp_path.iterdir()] == ["case.nrrd"]


def test_a_bundle_that_finds_no_room_leaves_the_one_that_was_there(tmp_path):
    def save(value):
        return save_bundle(
            tmp_path / "bundle",
            name="test",
            version="1",
            settings=ModelSettings(),
            slice_weights={"a": np.full(5000, value, np.float32)},
            patient_weights={},
            card={},
        )

    before = save(1.0)
    for file in (WEIGHTS_FILE, CARD_FILE):
        size = (before.folder / file).stat().st_size
        with files_end_at(min(size, 10_000) - 1), pytest.raises(UsageError) as refusal:
            save(2.0)
        assert refusal.value.kind == "output_not_written"
        assert load_bundle(before.folder) == before
    assert [each.name for each in tmp_path.iterdir()] == ["bundle"]


@pytest.mark.parametrize(
    ("call", "said"),
    [
        ("save_tensors({'a': torch.ones(9999)}, out)", "weights.part could not be written"),
        ("write_atomically(out, [0.5] * 9999)", "could not be written"),
        ("write_nrrd(sitk.GetImageFromArray(np.random.rand(9, 64, 64)), out)", "could not be"),
    ],
)
def test_a_training_script_that_finds_no_room_ends_in_a_sentence(tmp_path, call, said):
    script = (
        "import resource, sys, numpy as np, torch, SimpleITK as sitk; from pathlib import Path;"
        "from Training.atomic_files import save_tensors, write_atomically;"
        "from M3LungScreenLib.outputs.nrrd import write_nrrd;"
        "from Training.command_line import run_script; out = Path(sys.argv[1]);"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (9000, 9000));"
        f"run_script(lambda: {call})"
    )
    command = [sys.executable, "-c", script, str(tmp_path / "weights.nrrd")]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert ran.returncode == 2
    assert said in ran.stderr
    assert "Traceback" not in ran.stderr


def test_a_defect_of_a_script_is_still_a_traceback(tmp_path):
    script = (
        "from Training.command_line import run_script; run_script(lambda: open('/nothing/there'))"
    )
    ran = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True)
    assert ran.returncode == 1
    assert "FileNotFoundError" in ran.stderr


def test_memory_that_runs_out_while_writing_is_no_full_disk(tmp_path):
    for wrong in (MemoryError(), RuntimeError("ITK ERROR: Failed to allocate memory for image")):
        with pytest.raises(type(wrong)), writer_errors(tmp_path / "file"):
            raise wrong


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="There is no /dev/full here.")
def test_a_disk_without_room_is_told_by_its_own_words(tmp_path):
    with pytest.raises(OSError, match=os.strerror(errno.ENOSPC)), writer_errors(tmp_path / "x"):
        Path("/dev/full").write_text("x" * 100)
    with pytest.raises(OSError, match="x"), writer_errors(tmp_path / "x"):
        torch.save({"a": torch.ones(9)}, "/dev/full")
