"""The result of a screening, from which all outputs are made.

Attributes have the same names as in result.json (schema in `result.schema.json`).
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from M3LungScreenLib.assessment import Nonparametric
from M3LungScreenLib.classes import CLASS_KEYS
from M3LungScreenLib.ct import CTVolume
from M3LungScreenLib.engines.interface import EngineSummary
from M3LungScreenLib.involvement import Involvement, LungVolumes
from M3LungScreenLib.key_slices import most_telling_slices
from M3LungScreenLib.location_map import LocationMap
from M3LungScreenLib.settings import from_dict

SCHEMA_VERSION = "1.2"
SCHEMA_FILE = Path(__file__).with_name("result.schema.json")
ON_VOXELS = ("volume", "arrays", "attention")


@dataclass(frozen=True)
class ClassProbabilities:
    """Four numbers that sum to 1."""

    healthy: float
    covid19: float
    h1n1: float
    cap: float

    @classmethod
    def of(cls, values: np.ndarray) -> "ClassProbabilities":
        """From an array of four, in the order of the classes."""
        return cls(*(float(value) for value in values))

    def as_array(self) -> np.ndarray:
        return np.array([getattr(self, key) for key in CLASS_KEYS])


@dataclass(frozen=True)
class InputSummary:
    """The input, without anything that identifies the patient; x, y, z as in SimpleITK."""

    kind: str
    size: tuple[int, int, int]
    spacing_mm: tuple[float, float, float]
    hu_range: tuple[int, int]
    series_uid_sha256: str | None


@dataclass(frozen=True)
class ModelSummary:
    """The model; `notes` describe its training data and limits.

    `unverified` are the keys of the classes never verified on real CT.
    """

    name: str
    version: str
    sha256: str
    notes: tuple[str, ...] = ()
    unverified: tuple[str, ...] = ()


@dataclass(frozen=True)
class PatientResult:
    """`verdict` is `predicted`, or 'indeterminate' for the `reasons` given.

    `probabilities` are the softmax of `logits / temperature`. `logits` are the patient-level
    network's outputs in the order of the classes; `temperature` combines calibration and
    incomplete lungs. `spread_over_windows` is the largest difference between two windows' mean
    probabilities of a class, 0 in a preview with one window.
    """

    probabilities: ClassProbabilities
    predicted: str
    verdict: str
    reasons: tuple[str, ...]
    nonparametric: Nonparametric
    agreement: bool
    spread_over_windows: float
    logits: tuple[float, ...]
    temperature: float


@dataclass(frozen=True)
class SliceResult:
    """One slice of the input; values are None if it has no lung or was not screened.

    `index` counts along the stored feet–head axis, `position_mm` is the center in LPS,
    `probabilities` are from Eq. 4, `crop` is (row, column, rows, columns) in the LPS axial
    slice, `involvement` is the fraction of its lung pixels that are lesion.
    """

    index: int
    position_mm: tuple[float, float, float]
    informative: bool
    screened: bool
    p_lesion: float | None = None
    probabilities: ClassProbabilities | None = None
    predicted: str | None = None
    weight: float | None = None
    crop: tuple[int, int, int, int] | None = None
    involvement: float | None = None


@dataclass(frozen=True)
class ScreeningWarning:
    """`code` for programs, `message` for people."""

    code: str
    message: str


@dataclass(frozen=True)
class Timing:
    """Seconds per step; `write` and `total` are final once the folder is written."""

    read: float = 0.0
    preprocess: float = 0.0
    slice_network: float = 0.0
    patient_network: float = 0.0
    localization: float = 0.0
    write: float = 0.0
    total: float = 0.0


@dataclass(frozen=True)
class Arrays:
    """Read-only arrays `[slice, row, column]` on the voxels of `CTVolume.hu` (LPS axial).

    `lesion_location_map` is float32 in [0, 1], in steps of 1/250, and 0 outside the lungs
    (`Result.attention` has the maps of whole crops); `lesions` is uint8, 0 to 3 (class index),
    with one class for each lesion connected in 3D; `lungs` is uint8, 1 right, 2 left (empty in a
    result that was kept without them).
    """

    lesion_location_map: np.ndarray | LocationMap
    lesions: np.ndarray
    lungs: np.ndarray

    def __post_init__(self) -> None:
        for array in (self.lesion_location_map, self.lesions, self.lungs):
            if isinstance(array, np.ndarray):
                array.flags.writeable = False


@dataclass(frozen=True)
class Result:
    """One screening. Arrays are not in result.json; `write` saves them in files of their own.

    `attention` has, by `SliceResult.index`, the attention maps that the slice network's last
    block receives: float16 `[window, h, w]` in [0, 1], each covering the slice's crop.
    """

    input: InputSummary
    model: ModelSummary
    settings: dict[str, Any]
    patient: PatientResult | None
    slices: tuple[SliceResult, ...]
    involvement: Involvement
    lung_volume_ml: LungVolumes
    warnings: tuple[ScreeningWarning, ...]
    timing_s: Timing
    peak_memory_mb: float
    device: str
    engine: EngineSummary
    versions: dict[str, str]
    volume: CTVolume = field(repr=False)
    arrays: Arrays = field(repr=False)
    attention: Mapping[int, np.ndarray] = field(default_factory=dict, repr=False)
    schema_version: str = SCHEMA_VERSION

    def to_dict(self) -> dict[str, Any]:
        """The content of result.json: plain values, `schema_version` first."""
        plain = {name: value for name, value in vars(self).items() if name not in ON_VOXELS}
        plain["warnings"] = [asdict(each) for each in self.warnings]
        plain["slices"] = [asdict(each) for each in self.slices]
        for name in KINDS:
            plain[name] = None if plain[name] is None else asdict(plain[name])
        ordered = {"schema_version": plain.pop("schema_version"), **plain}
        return json.loads(json.dumps(ordered))

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any], volume: CTVolume, arrays: Arrays) -> "Result":
        """The result on `volume` whose `to_dict` is `plain`, without attention maps.

        Raises ValueError if `plain` is of another version.
        """
        if plain.get("schema_version") != SCHEMA_VERSION:
            raise ValueError(f"schema version {plain.get('schema_version')}")
        values = dict(plain)
        for name, kind in KINDS.items():
            values[name] = None if plain[name] is None else from_dict(kind, plain[name])
        values["warnings"] = tuple(from_dict(ScreeningWarning, each) for each in plain["warnings"])
        values["slices"] = tuple(map(_slice_from, plain["slices"]))
        return cls(**values, volume=volume, arrays=arrays)

    def slice_of(self, k: int) -> SliceResult:
        """The entry of axial slice `k`, 0 at the feet."""
        return self.slices[self.volume.stored_slice_index(k)]

    def most_telling_slices(self, count: int = 1) -> list[int]:
        """Axial slices to look at first, 0 at the feet; see `key_slices.most_telling_slices`."""
        indices = most_telling_slices(self.to_dict(), count)
        # The conversion is its own inverse.
        return [self.volume.stored_slice_index(index) for index in indices]

    def write(self, folder: str | Path, *, dicom: bool = False) -> Path:
        """Write the result folder, completely or not at all; see `outputs.folder.write`."""
        from M3LungScreenLib.outputs.folder import write

        return write(self, Path(folder), dicom=dicom)


KINDS: dict[str, type] = {
    "input": InputSummary,
    "model": ModelSummary,
    "patient": PatientResult,
    "involvement": Involvement,
    "lung_volume_ml": LungVolumes,
    "timing_s": Timing,
    "engine": EngineSummary,
}


def _slice_from(plain: Mapping[str, Any]) -> SliceResult:
    values, shares = dict(plain), plain["probabilities"]
    del values["probabilities"]
    made = from_dict(SliceResult, values)
    return replace(made, probabilities=from_dict(ClassProbabilities, shares)) if shares else made
