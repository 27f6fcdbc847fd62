"""Chests that Python packages carry: fetched, checked against a digest, thinned by averaging."""

import io
import json
import tarfile
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from M3LungScreenLib.errors import UsageError
from Training.gather_backgrounds import main
from Training.sources import pypi_chests
from Training.sources.backgrounds import ORIGINS
from Training.sources.pypi_chests import Package, fetch, packaged_volume, thinned

MEMBER = "project-1.0/data/chest.nii.gz"


@pytest.fixture
def volume() -> sitk.Image:
    hu = np.random.default_rng(5).integers(-1024, 1000, (6, 300, 400)).astype(np.int16)
    image = sitk.GetImageFromArray(hu)
    image.SetSpacing((0.7, 0.8, 1.5))
    image.SetOrigin((10, 20, 30))
    return image


@pytest.fixture
def distribution(tmp_path: Path, volume: sitk.Image) -> tuple[Package, bytes]:
    """A package's description and its file."""
    sitk.WriteImage(volume, str(tmp_path / "chest.nii.gz"))
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w:gz") as archive:
        archive.add(tmp_path / "chest.nii.gz", MEMBER)
    digest = sha256(content.getvalue()).hexdigest()
    return Package("project", "project-1.0.tar.gz", digest), content.getvalue()


class Index:
    """What stands for pypi.org: its answers by address."""

    def __init__(self, content: bytes) -> None:
        described = {"filename": "project-1.0.tar.gz", "url": "../../files/project-1.0.tar.gz"}
        self.answers = {
            "https://pypi.org/pypi/project/json": json.dumps(
                {"releases": {"0.9": [], "1.0": [described]}}
            ).encode(),
            "https://pypi.org/files/project-1.0.tar.gz": content,
        }
        self.asked: list[str] = []

    def __call__(self, address: str, timeout: float) -> io.BytesIO:
        self.asked.append(address)
        return io.BytesIO(self.answers[address])


def test_a_packaged_chest_is_fetched_once_and_thinned(monkeypatch, tmp_path, volume, distribution):
    package, content = distribution
    index = Index(content)
    monkeypatch.setattr(pypi_chests, "urlopen", index)
    for _ in range(2):
        packaged_volume(package, MEMBER, tmp_path / "kept" / "chest.nrrd")
    assert len(index.asked) == 2
    assert sorted(p.name for p in (tmp_path / "kept").iterdir()) == ["chest.nrrd", package.file]
    found = sitk.ReadImage(str(tmp_path / "kept" / "chest.nrrd"))
    assert sitk.Hash(found) == sitk.Hash(thinned(volume))


def test_thinning_averages_whole_voxels_and_keeps_the_place(volume):
    found = thinned(volume)
    hu = sitk.GetArrayFromImage(volume).astype(float)
    means = hu.reshape(2, 3, 150, 2, 200, 2).mean(axis=(1, 3, 5))
    assert np.abs(sitk.GetArrayFromImage(found) - means).max() <= 0.5
    assert found.GetSpacing() == pytest.approx((1.4, 1.6, 4.5))
    assert found.GetOrigin() == pytest.approx((10.35, 20.4, 31.5))


def test_what_is_small_and_thick_stays_as_it_is():
    image = sitk.Image(64, 64, 5, sitk.sitkInt16) + 7
    image.SetSpacing((1, 1, 5))
    assert sitk.Hash(thinned(image)) == sitk.Hash(image)


def test_another_file_than_the_published_one_is_refused(tmp_path, distribution):
    package, content = distribution
    (tmp_path / package.file).write_bytes(content[:-1])
    with pytest.raises(UsageError, match=r"differs from the published file\. Delete it"):
        fetch(package, tmp_path)


def test_without_a_network_the_way_out_is_named(monkeypatch, tmp_path, distribution):
    def unreachable(address: str, timeout: float) -> io.BytesIO:
        raise OSError("no route to host")

    monkeypatch.setattr(pypi_chests, "urlopen", unreachable)
    with pytest.raises(UsageError, match=r"no route to host.*omit --packages"):
        fetch(distribution[0], tmp_path / "new")
    assert not any((tmp_path / "new").iterdir())


def test_without_packages_no_network_is_asked(monkeypatch, tmp_path):
    def unwanted(address: str, timeout: float) -> io.BytesIO:
        raise AssertionError(address)

    monkeypatch.setattr(pypi_chests, "urlopen", unwanted)
    gathered: list[str] = []
    monkeypatch.setattr(
        "Training.gather_backgrounds.gather", lambda path, target: gathered.append(target.stem)
    )
    main([str(tmp_path), "-o", str(tmp_path / "out")])
    assert gathered == [name for name, origin in ORIGINS.items() if origin.package is None]
