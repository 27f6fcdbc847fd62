"""Sample data: a simulated patient of each class, made on this machine, and Slicer's own CT."""

from __future__ import annotations

import hashlib
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .child_process import Exit, QtProcess, slicer_python
from .installation import InstallationRefused, ensure_packages
from .library import MODULE_FOLDER, library_root

CATEGORY = "M3LungScreen"
RESOURCES = MODULE_FOLDER / "Resources"


@dataclass(frozen=True)
class Sample:
    """A simulated patient; `sha256` is that of its voxels, int16 as stored."""

    key: str
    name: str
    sha256: str
    seed: int = 4
    thickness_mm: float = 5.0

    @property
    def arguments(self) -> list[str]:
        """What the library's command line makes it from, without the file's name."""
        choices = ["--class", self.key, "--seed", str(self.seed)]
        return [
            "-m",
            "M3LungScreenLib",
            "simulate",
            *choices,
            "--thickness",
            str(self.thickness_mm),
        ]


SAMPLES = (
    Sample(
        "healthy",
        "SimulatedHealthy",
        "9b35d41bfb07ea724c4608123c79ab777e917b54b2a459b562dbf14b79a48c72",
    ),
    Sample(
        "covid19",
        "SimulatedCOVID-19",
        "126f9b3847344d7c3f152468198f96ccce0589b22a2117c531d76f7bb83cf00a",
    ),
    Sample(
        "h1n1",
        "SimulatedH1N1",
        "74d59942620a678e171aa9181b77fc8591fbc0eb252677fe9d9b68c365b18974",
    ),
    Sample(
        "cap",
        "SimulatedCAP",
        "4c367963a83f396f5d6d0dbbe397d5ef87fcd33efd5ff90019d933a4a0b00522",
    ),
)
CT_CHEST_SHA256 = "4507b664690840abb6cb9af2d919377ffc4ef75b167cb6fd0f747befdb12e38e"
_at_work: set[QtProcess] = set()


def register() -> None:
    """Add the samples to Slicer's Sample Data module; call it once Slicer has started."""
    import SampleData
    import slicer.util

    add = SampleData.SampleDataLogic.registerCustomSampleDataSource
    for sample in SAMPLES:
        add(
            category=CATEGORY,
            sampleName=sample.name,
            uris="",  # nothing is downloaded
            fileNames=f"{sample.name}.nrrd",
            nodeNames=sample.name,
            customDownloader=make,
            thumbnailFileName=str(RESOURCES / "Icons" / f"{sample.name}.png"),
        )
    add(
        category=CATEGORY,
        sampleName="CTChest",
        uris=f"{slicer.util.TESTING_DATA_URL}SHA256/{CT_CHEST_SHA256}",
        fileNames="CT-chest.nrrd",
        nodeNames="CTChest",
        checksums=f"SHA256:{CT_CHEST_SHA256}",
    )


def make(source: Any) -> None:
    """Simulate the patient of a sample data source in a process of its own, then load it."""
    import slicer

    sample = next(each for each in SAMPLES if each.name == source.sampleName)
    path = Path(slicer.mrmlScene.GetCacheManager().GetRemoteCacheDirectory(), f"{sample.name}.nrrd")
    if path.is_file():
        load(sample, path)
        return
    try:
        ensure_packages(RESOURCES / "requirements.txt", with_torch=False)
    except InstallationRefused as refusal:
        slicer.util.errorDisplay(str(refusal))
        return
    slicer.util.showStatusMessage(f"Simulating {sample.name}; this takes some seconds.")
    _simulate(sample, path)


def load(sample: Sample, path: Path) -> Any:
    """The simulated CT as a volume node; the log tells where its voxels are not the reference's."""
    import slicer.util

    node = slicer.util.loadVolume(str(path), {"name": sample.name})
    if digest_of(node) != sample.sha256:
        logging.warning("%s differs from the reference: numbers round otherwise here.", sample.name)
    return node


def digest_of(node: Any) -> str:
    """SHA-256 of a volume node's voxels."""
    from .scene.volumes import voxels

    return hashlib.sha256(voxels(node).tobytes()).hexdigest()


def _simulate(sample: Sample, path: Path) -> None:
    import slicer.util

    path.parent.mkdir(parents=True, exist_ok=True)
    process = QtProcess(slicer_python(), [*sample.arguments, "-o", str(path)], library_root())
    _at_work.add(process)  # a process that nobody holds would be ended

    def ended(how: Exit) -> None:
        _at_work.discard(process)
        if how.status == 0:
            load(sample, path)
        else:
            slicer.util.errorDisplay(
                f"{sample.name} could not be simulated. Try again; the details say more.",
                detailedText=how.last_words,
            )

    process.start(lambda line: None, ended)
