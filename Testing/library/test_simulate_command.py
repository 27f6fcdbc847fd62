"""`simulate`: the same bytes for the same seed, complete files or none."""

import argparse

import numpy as np
import pytest
import SimpleITK as sitk

from M3LungScreenLib.commands import simulate
from M3LungScreenLib.errors import UsageError


def simulated(*arguments):
    parser = argparse.ArgumentParser()
    simulate.add_arguments(parser)
    return simulate.run(parser.parse_args([*map(str, arguments), "--matrix=64", "--slices=24"]))


def test_same_seed_writes_the_same_bytes(tmp_path):
    for name in ("first", "second"):
        truth = tmp_path / f"{name}-truth.nrrd"
        simulated("--class", "cap", "--seed", 4, "-o", tmp_path / f"{name}.nrrd", "--truth", truth)
    assert (tmp_path / "first.nrrd").read_bytes() == (tmp_path / "second.nrrd").read_bytes()
    truths = [(tmp_path / f"{n}-truth.nrrd").read_bytes() for n in ("first", "second")]
    assert truths[0] == truths[1]


def test_truth_lies_on_the_ct(tmp_path):
    out, mask = tmp_path / "case.nrrd", tmp_path / "lesions.nrrd"
    assert simulated("--class", "covid19", "--severity", 0.2, "-o", out, "--truth", mask) == 0
    image, truth = sitk.ReadImage(str(out)), sitk.ReadImage(str(mask))
    assert image.GetPixelID() == sitk.sitkInt16
    assert truth.GetPixelID() == sitk.sitkUInt8
    assert image.GetSize() == truth.GetSize() == (64, 64, 24)
    assert image.GetOrigin() == truth.GetOrigin()
    assert image.GetSpacing() == truth.GetSpacing()
    assert set(np.unique(sitk.GetArrayFromImage(truth))) == {0, 1}


def test_nothing_is_left_beside_the_files(tmp_path):
    simulated("--class", "healthy", "-o", tmp_path / "case.nrrd")
    assert [path.name for path in tmp_path.iterdir()] == ["case.nrrd"]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (
            ("--class", "flu", "-o", "case.nrrd"),
            "'flu' is not a class. Choose from healthy, covid19, h1n1, cap",
        ),
        (("-o", "nowhere/case.nrrd"), "folder nowhere does not exist"),
        (("-o", "case.txt"), "does not end in .nrrd"),
        (("-o", "case.nrrd", "--truth", "case.nrrd"), "Choose two files"),
        (("-o", "case.nrrd", "--seed", "-1"), "seed is -1"),
        (("-o", "case.nrrd", "--severity", "0.9"), "0.005 to 0.5"),
        (("-o", "case.nrrd", "--thickness", "0.2"), "slices of 0.2 mm"),
    ],
)
def test_what_cannot_be_done_is_refused_and_nothing_written(tmp_path, monkeypatch, arguments, says):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match=says) as refusal:
        simulated(*arguments)
    assert refusal.value.exit_status == 2
    assert not list(tmp_path.iterdir())
