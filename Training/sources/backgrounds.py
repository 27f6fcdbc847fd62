"""Real CT without pneumonia, in which lesions are simulated."""

from dataclasses import dataclass
from pathlib import Path
from zlib import crc32

import numpy as np

from Training.sources.pypi_chests import PYRADIOMICS, TOTALSEGMENTATOR, Package

LIDC = "LIDC-IDRI, CC BY 3.0"
LUNG_PET_CT = "Lung-PET-CT-Dx, CC BY 4.0"
TCGA = "TCGA-LUAD / TCGA-LUSC, CC BY 3.0"
# A single slice is repeated to a stack, in which each copy cuts the lesions elsewhere.
STACKED_SLICES, STACKED_SPACING_MM = 12, 8.0


@dataclass(frozen=True)
class Origin:
    """Location of a background (below the data folder or in a package) and its licence."""

    path: str
    licence: str
    package: Package | None = None


PYRADIOMICS_LICENCE = "distributed with pyradiomics 3.0.1, BSD-3-Clause"


VOLUMES = {
    "lidc-0002": Origin("backgrounds/lidc-0002.nrrd", LIDC),
    "lidc-0003": Origin("backgrounds/lidc-0003.nrrd", LIDC),
    "rider-1225316081": Origin("backgrounds/rider-1225316081.nrrd", "RIDER Lung CT, CC BY 4.0"),
    "lung-pet-ct-dx-A0001": Origin("backgrounds/lung-pet-ct-dx-A0001.nrrd", LUNG_PET_CT),
    "lung-pet-ct-dx-A0002": Origin("backgrounds/lung-pet-ct-dx-A0002.nrrd", LUNG_PET_CT),
    "crlm-1006": Origin("backgrounds/crlm-1006.nrrd", "Colorectal-Liver-Metastases, CC BY 4.0"),
    "pyradiomics-lung1": Origin(
        "pyradiomics-3.0.1/data/lung1_image.nrrd", PYRADIOMICS_LICENCE, PYRADIOMICS
    ),
    "pyradiomics-lung2": Origin(  # a tumour in the left lower lobe
        "pyradiomics-3.0.1/data/lung2_image.nrrd", PYRADIOMICS_LICENCE, PYRADIOMICS
    ),
    "totalsegmentator-aorta": Origin(
        "totalsegmentator-2.18.0/tests/reference_files/aorta_report/example_ct.nii.gz",
        "distributed with TotalSegmentator 2.18.0, Apache-2.0",
        TOTALSEGMENTATOR,
    ),
}
# Slices with lung and without anything like pneumonia; tumours are kept as hard negatives.
# Excluded: slices without lung, and 007, 009, 031, 033, 039, 049, 055, 063, 065, 091, 097
# for haze, consolidation or air beside the lung.
CLEAR_SLICES = (
    "001 003 005 011 015 019 021 023 025 029 035 043 "
    "053 057 059 061 067 069 075 081 089 093 095 099"
)
SLICES = {
    f"edge-{number}": Origin(f"slices/edge-cases/edge-{number}.dcm", TCGA)
    for number in CLEAR_SLICES.split()
}
ORIGINS = VOLUMES | SLICES


@dataclass(frozen=True)
class Background:
    """HU int16 and lungs uint8 (1 right, 2 left) `[slice, row, column]`; spacing x, y, z."""

    hu: np.ndarray
    lungs: np.ndarray
    spacing_mm: tuple[float, float, float]


def names_in(folder: Path | None) -> list[str]:
    """The names of the backgrounds in a folder."""
    return sorted(path.stem for path in folder.glob("*.npz")) if folder else []


def place_of(name: str) -> int:
    """A number for a background, 0 to 48, whichever others there are.

    Unlisted ones share the numbers after the listed ones.
    """
    known = list(ORIGINS)
    if name in known:
        return known.index(name)
    return len(known) + crc32(name.encode()) % (49 - len(known))


def load(folder: Path, name: str) -> Background:
    """A background; a single slice is repeated to a stack."""
    with np.load(folder / f"{name}.npz") as arrays:
        hu, lungs = arrays["hu"], arrays["lungs"]
        x, y, z = map(float, arrays["spacing_mm"])
    if len(hu) > 1:
        return Background(hu, lungs, (x, y, z))
    hu, lungs = (np.repeat(each, STACKED_SLICES, axis=0) for each in (hu, lungs))
    return Background(hu, lungs, (x, y, STACKED_SPACING_MM))
