"""Sample data: a simulated patient of each class, simulated on this computer."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from slicer.i18n import translate

from .child_process import ChildProcess, Exit, OnExit, QtProcess, slicer_python
from .installation import InstallationRefused, ask, plan
from .installer import INSTALLER, Outcome, install_and_wait
from .library import MODULE_FOLDER, library_root

CATEGORY = "M3LungScreen"
RESOURCES = MODULE_FOLDER / "Resources"
WAIT_S = 1.0


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
        """Arguments of Python, without the output file."""
        choices = ["--class", self.key, "--seed", str(self.seed)]
        thickness = ["--thickness", str(self.thickness_mm)]
        return ["-m", "M3LungScreenLib", "simulate", *choices, *thickness]


SAMPLES = (
    Sample(
        "healthy",
        "SimulatedHealthy",
        "9b35d41bfb07ea724c4608123c79ab777e917b54b2a459b562dbf14b79a48c72",
    ),
    Sample(
        "covid19",
        "SimulatedCOVID-19",
        "0a20124c023e17af3d7ab54d025fb30d4f30bcbb920b0bc314acdf77f10a0366",
    ),
    Sample(
        "h1n1",
        "SimulatedH1N1",
        "95069ee17bf1c8832a24ca04c2a5744868557a13111bd1716f4327be8248364a",
    ),
    Sample(
        "cap",
        "SimulatedCAP",
        "1a497bbdf8d7992b7fb4117f2e2ab2e29acad0013b595a298c3b0b664c59a653",
        seed=7,  # seed 4 has next to no lesion
    ),
)
_processes: set[ChildProcess] = set()  # a QProcess ends when nothing refers to it


class SimulationFailed(RuntimeError):
    """A sample could not be simulated; `details` are the process's last lines."""

    def __init__(self, message: str, details: str) -> None:
        super().__init__(message)
        self.details = details
        self.add_note(details)  # shown below a traceback


def register() -> None:
    """Add the samples to Slicer's Sample Data module, once Slicer has started.

    Nothing is simulated before a sample is clicked or `download_sample` is called.
    `SampleData.downloadSample` does not use `customDownloader`: it finds a sample only once it
    is in the cache.
    """
    import SampleData

    for sample in SAMPLES:
        SampleData.SampleDataLogic.registerCustomSampleDataSource(
            category=CATEGORY,
            sampleName=sample.name,
            uris=cached_file(sample).as_uri(),
            fileNames=cached_file(sample).name,
            nodeNames=sample.name,
            customDownloader=onSampleClicked,
            thumbnailFileName=str(RESOURCES / "Icons" / f"{sample.name}.png"),
            loadFileType="VolumeFile",
        )


def onSampleClicked(source: Any) -> None:
    """Simulate the patient of a SampleData source in a child process, then load it."""
    import slicer.util

    sample = sample_by_name(source.sampleName)
    if is_cached(sample):
        load(sample)
        return
    try:
        _install_and(lambda: _simulate_and_load(sample))
    except InstallationRefused as refusal:
        slicer.util.errorDisplay(str(refusal))


def download_sample(name: str) -> Any:
    """The volume node of the sample called `name`, for scripts; waits while it is simulated.

    Raises InstallationRefused if packages are missing, SimulationFailed.
    """
    sample = sample_by_name(name)
    if not is_cached(sample):
        install_and_wait(plan(RESOURCES / "requirements.txt"))
        exits: list[Exit] = []
        process = _start(sample, exits.append)
        while not exits:
            process.wait_for_finished(WAIT_S)
        _check(sample, exits[0])
    return load(sample)


def sample_by_name(name: str) -> Sample:
    """The sample called `name`; ValueError names those that there are."""
    for each in SAMPLES:
        if each.name == name:
            return each
    raise ValueError(f"{name!r} is none of {', '.join(each.name for each in SAMPLES)}")


def load(sample: Sample) -> Any:
    """The cached file of a sample as a volume node."""
    import slicer.util

    return slicer.util.loadVolume(str(cached_file(sample)), {"name": sample.name})


def cached_file(sample: Sample) -> Path:
    """Where SampleData looks for the file of a sample."""
    import slicer

    folder = Path(slicer.mrmlScene.GetCacheManager().GetRemoteCacheDirectory())
    return folder / f"{sample.name}.nrrd"


def is_cached(sample: Sample) -> bool:
    """Whether the file of a sample is in the cache, with the right voxels."""
    path = cached_file(sample)
    try:
        return path.is_file() and digest_of(path) == sample.sha256
    except RuntimeError:  # no image
        return False


def digest_of(path: Path) -> str:
    """SHA-256 of the voxels of an image file, int16 as stored."""
    import SimpleITK as sitk

    voxels = sitk.GetArrayFromImage(sitk.ReadImage(str(path)))
    return hashlib.sha256(voxels.tobytes()).hexdigest()


def _install_and(go_on: Callable[[], None]) -> None:
    """Call `go_on` when the packages are installed, without blocking the window."""
    import slicer.util

    needed = plan(RESOURCES / "requirements.txt")
    if not needed.missing:
        go_on()
        return

    def on_finished(outcome: Outcome) -> None:
        if outcome.message:
            slicer.util.errorDisplay(outcome.message, detailedText=outcome.details)
        else:
            go_on()

    INSTALLER.check_free()
    ask(needed)
    INSTALLER.start(needed, slicer.util.showStatusMessage, on_finished)


def _simulate_and_load(sample: Sample) -> None:
    import slicer.util

    words = translate("M3LungScreen", "Simulating {name}. This takes a few seconds.")
    slicer.util.showStatusMessage(words.format(name=sample.name))

    def on_exit(how: Exit) -> None:
        try:
            _check(sample, how)
        except SimulationFailed as failed:
            slicer.util.errorDisplay(str(failed), detailedText=failed.details)
        else:
            load(sample)

    _start(sample, on_exit)


def _start(sample: Sample, on_exit: OnExit) -> ChildProcess:
    """Start the process that simulates a sample; its file is complete or absent."""
    process = QtProcess(slicer_python(), _arguments(sample), library_root())

    def on_process_exit(how: Exit) -> None:
        _processes.discard(process)
        on_exit(how)

    _processes.add(process)
    process.start(lambda line: None, on_process_exit)
    return process


def _arguments(sample: Sample) -> list[str]:
    path = cached_file(sample)
    path.parent.mkdir(parents=True, exist_ok=True)
    return [*sample.arguments, "-o", str(path)]


def _check(sample: Sample, how: Exit) -> None:
    """Raise SimulationFailed if the process failed; log it if the voxels are not the reference's.

    They can be used all the same.
    """
    if how.status != 0:
        words = translate("M3LungScreen", "{name} could not be simulated.")
        raise SimulationFailed(words.format(name=sample.name), how.last_lines)
    if not is_cached(sample):
        logging.warning(
            "%s differs from the reference because this computer rounds differently.", sample.name
        )
