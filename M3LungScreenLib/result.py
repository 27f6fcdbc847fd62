"""What a screening found: one frozen value, of which all outputs are views.

Attributes bear the names of result.json (schema in `result.schema.json`).
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from M3LungScreenLib.assessment import Nonparametric
from M3LungScreenLib.classes import CLASS_KEYS
from M3LungScreenLib.ct import CTVolume
from M3LungScreenLib.involvement import Involvement, LungVolumes
from M3LungScreenLib.key_slices import most_telling_slices
from M3LungScreenLib.location_map import LocationMap

SCHEMA_VERSION = "1.1"
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
        """From an array of four in the order of the classes."""
        return cls(*(float(value) for value in values))

    def as_array(self) -> np.ndarray:
        return np.array([getattr(self, key) for key in CLASS_KEYS])


@dataclass(frozen=True)
class InputSummary:
    """What was screened; nothing that names the patient. x, y, z as SimpleITK gives them."""

    kind: str
    size: tuple[int, int, int]
    spacing_mm: tuple[float, float, float]
    hu_range: tuple[int, int]
    series_uid_sha256: str | None


@dataclass(frozen=True)
class ModelSummary:
    """Which model; `notes` are sentences on training data and unverified classes.

    `unverified` are the keys of the classes never verified on real CT.
    """

    name: str
    version: str
    sha256: str
    notes: tuple[str, ...] = ()
    unverified: tuple[str, ...] = ()


@dataclass(frozen=True)
class PatientResult:
    """`verdict` is `predicted` or 'indeterminate', then with `reasons` in plain words.

    `spread_over_windows` is how far the windows' mean probabilities of a class lie apart, 0
    where a preview has seen one alone. `probabilities` are the softmax of `logits`, the
    patient-level network's four in the order of the classes, over `temperature`, that of
    calibration and of a part of the lungs together.
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
    """One slice of the input; what an uninformative or unscreened one has not is None.

    `index` counts along the stored feet–head axis, `position_mm` is its centre in
    LPS, `probabilities` are Eq. 4's, `crop` is (row, column, rows, columns) in the
    LPS axial slice, `involvement` the share of its lung pixels that are lesion.
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
    """`code` for programs, `message` one sentence for people."""

    code: str
    message: str


@dataclass(frozen=True)
class Timing:
    """Seconds of each step; `write` and `total` are known once the folder is written."""

    read: float = 0.0
    preprocess: float = 0.0
    slice_network: float = 0.0
    patient_network: float = 0.0
    localization: float = 0.0
    write: float = 0.0
    total: float = 0.0


@dataclass(frozen=True)
class Arrays:
    """Read-only arrays `[slice, row, column]` that lie on the CTVolume's `hu` (LPS axial).

    `lesion_location_map` float32 in [0, 1], in steps of 1/250, 0 outside the lungs: what the
    network says of a whole crop is in `Result.attention`; `lesions` uint8 0 to 3 (class index),
    one class for each lesion connected in 3D; `lungs` uint8 1 right, 2 left.
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
    """One screening. What lies on voxels is not in result.json; `write` saves it beside it.

    `attention` has, by `SliceResult.index`, the maps that fed the slice network's last
    block: float16 `[window, h, w]` in [0, 1], each covering the slice's crop.
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
    versions: dict[str, str]
    volume: CTVolume = field(repr=False)
    arrays: Arrays = field(repr=False)
    attention: Mapping[int, np.ndarray] = field(default_factory=dict, repr=False)
    schema_version: str = SCHEMA_VERSION

    def to_dict(self) -> dict[str, Any]:
        """What result.json holds: plain values, `schema_version` first."""
        plain = {name: value for name, value in vars(self).items() if name not in ON_VOXELS}
        plain["warnings"] = [asdict(each) for each in self.warnings]
        plain["slices"] = [asdict(each) for each in self.slices]
        for name in ("input", "model", "patient", "involvement", "lung_volume_ml", "timing_s"):
            plain[name] = None if plain[name] is None else asdict(plain[name])
        ordered = {"schema_version": plain.pop("schema_version"), **plain}
        return json.loads(json.dumps(ordered))

    def slice_of(self, k: int) -> SliceResult:
        """The entry of axial slice `k` (0 at the feet), whatever the stored order."""
        return self.slices[self.volume.stored_slice_index(k)]

    def most_telling_slices(self, count: int = 1) -> list[int]:
        """Axial slices to look at first, 0 at the feet; see `key_slices.most_telling_slices`."""
        indices = most_telling_slices(self.to_dict(), count)
        # Counting from the other end is its own reverse.
        return [self.volume.stored_slice_index(index) for index in indices]

    def write(self, folder: str | Path) -> Path:
        """Write the result folder, complete or not at all; see `outputs.folder.write`."""
        from M3LungScreenLib.outputs.folder import write

        return write(self, Path(folder))
