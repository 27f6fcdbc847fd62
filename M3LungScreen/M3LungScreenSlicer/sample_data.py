"""Sample data: a simulated patient of each class, made on this machine."""

from __future__ import annotations

import hashlib
import logging
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from slicer.i18n import translate

from .child_process import Exit, QtProcess, creation_flags, slicer_python
from .installation import InstallationRefused, ask, plan
from .installer import INSTALLER, Outcome, install_and_wait
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
_at_work: set[QtProcess] = set()


def register() -> None:
    """Add the samples to Slicer's Sample Data module; call it once Slicer has started."""
    import SampleData
    import slicer

    if not hasattr(slicer.modules, "sampleDataSources"):  # as SampleData itself makes it
        slicer.modules.sampleDataSources = {}
    kind = simulated_source(SampleData.SampleDataSource)
    registered = slicer.modules.sampleDataSources.setdefault(CATEGORY, [])
    made = [kind(sample) for sample in SAMPLES]
    registered[:0] = [each for each in made if each not in registered]


def simulated_source(base: Any) -> Any:
    """SampleData's source whose file is made on this machine.

    A click in SampleData calls `customDownloader`, which leaves the window free;
    `SampleData.downloadSample` knows only addresses, and waits for them anyway.
    """

    class SimulatedSource(base):
        def __init__(self, sample: Sample) -> None:
            self.sample = sample
            base.__init__(
                self,
                sampleName=sample.name,
                uris="",
                fileNames=f"{sample.name}.nrrd",
                nodeNames=sample.name,
                customDownloader=make,
                thumbnailFileName=str(RESOURCES / "Icons" / f"{sample.name}.png"),
                loadFileType="VolumeFile",
            )

        @property
        def uris(self) -> list[str]:
            """The address of the cached file, simulated first where there is none."""
            return [simulated(self.sample).as_uri()]

        @uris.setter
        def uris(self, value: list[str]) -> None:
            """Nothing is downloaded."""

        def __str__(self) -> str:  # SampleData compares sources by it
            return f"{CATEGORY} {self.sample}"

    return SimulatedSource


def make(source: Any) -> None:
    """Simulate the patient of a source in a process of its own, then load it."""
    import slicer.util

    sample = source.sample
    if is_right(sample):
        load(sample)
        return
    try:
        _after_installation(lambda: _start(sample))
    except InstallationRefused as refusal:
        slicer.util.errorDisplay(str(refusal))


def _after_installation(go_on: Callable[[], None]) -> None:
    """`go_on` once the packages are there; the window stays free while they are installed."""
    import slicer.util

    needed = plan(RESOURCES / "requirements.txt", with_torch=False)
    if not needed.missing:
        go_on()
        return

    def ended(outcome: Outcome) -> None:
        if outcome.message:
            slicer.util.errorDisplay(outcome.message, detailedText=outcome.details)
        else:
            go_on()

    INSTALLER.check_free()
    ask(needed)
    INSTALLER.start(needed, slicer.util.showStatusMessage, ended)


def simulated(sample: Sample) -> Path:
    """The cached file of a sample; waits while it is made, RuntimeError where it cannot be."""
    path = cached_file(sample)
    if not is_right(sample):
        install_and_wait(plan(RESOURCES / "requirements.txt", with_torch=False))
        command = [slicer_python(), *_arguments(sample)]
        done = subprocess.run(
            command,
            cwd=library_root(),
            capture_output=True,
            text=True,
            creationflags=creation_flags(),
        )
        if done.returncode:
            raise RuntimeError(f"{sample.name} could not be simulated. {done.stderr.strip()}")
        _warn_where_it_differs(sample)
    return path


def load(sample: Sample) -> Any:
    """The cached file of a sample as a volume node."""
    import slicer.util

    return slicer.util.loadVolume(str(cached_file(sample)), {"name": sample.name})


def cached_file(sample: Sample) -> Path:
    """Where SampleData looks for the file of a sample."""
    import slicer

    folder = Path(slicer.mrmlScene.GetCacheManager().GetRemoteCacheDirectory())
    return folder / f"{sample.name}.nrrd"


def is_right(sample: Sample) -> bool:
    """Whether the cached file of a sample is there with the voxels that it is to have."""
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


def _arguments(sample: Sample) -> list[str]:
    """The command, whose file is complete or absent, and its folder."""
    path = cached_file(sample)
    path.parent.mkdir(parents=True, exist_ok=True)
    return [*sample.arguments, "-o", str(path)]


def _warn_where_it_differs(sample: Sample) -> None:
    """The log tells it; the patient can be used all the same."""
    if not is_right(sample):
        logging.warning(
            "%s differs from the reference because this computer rounds differently.", sample.name
        )


def _start(sample: Sample) -> None:
    import slicer.util

    slicer.util.showStatusMessage(
        translate("M3LungScreen", "Simulating {name}. This takes a few seconds.").format(
            name=sample.name
        )
    )
    process = QtProcess(slicer_python(), _arguments(sample), library_root())
    _at_work.add(process)  # a process that nobody holds would be ended

    def ended(how: Exit) -> None:
        _at_work.discard(process)
        if how.status == 0:
            _warn_where_it_differs(sample)
            load(sample)
        else:
            slicer.util.errorDisplay(
                translate(
                    "M3LungScreen",
                    "{name} could not be simulated. The reason is under Details.",
                ).format(name=sample.name),
                detailedText=how.last_lines,
            )

    process.start(lambda line: None, ended)
