"""A DICOM folder or file as one image in HU."""

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from M3LungScreenLib.dicom.choice import choose
from M3LungScreenLib.dicom.files import archive_of, is_dicom
from M3LungScreenLib.dicom.found import look_into
from M3LungScreenLib.dicom.grid import Grid, grid_of
from M3LungScreenLib.dicom.pixels import read_slices
from M3LungScreenLib.dicom.scan import Scan
from M3LungScreenLib.errors import InputRefused
from M3LungScreenLib.suitability import Warned

# Air and lung lie below; a share of one value above is what an unsigned type makes of them.
CLIPPED_HU, CLIPPED_SHARE = -500, 0.02


@dataclass(frozen=True)
class DicomImage:
    """HU in 3D where they lie, and what is to be said of how they were found."""

    image: sitk.Image
    kind: str  # 'dicom_series' of a folder, 'dicom_file' of one file
    series_uid_sha256: str | None
    warnings: Warned = ()


def read_dicom(path: Path, wanted: str | None = None) -> DicomImage:
    """The chest CT in a folder, a file or what a DICOMDIR lists, as int16.

    `wanted` names a series by UID, number or the index in a message. Raises InputRefused
    where there is no whole CT in HU, UsageError where `wanted` is not there.
    """
    if path.is_file() and path.name.upper() == "DICOMDIR":
        path = path.absolute().parent
    is_open = path.is_file() and os.access(path, os.R_OK)
    if is_open and not is_dicom(path):
        raise _no_dicom(path)
    scan, warnings = choose(look_into(path), wanted)
    grid = grid_of(scan)
    volume = read_slices(scan.frames, grid.mixed)
    said = (*grid.warnings, *_assumed(scan), *_clipped(scan, grid, volume), *warnings)
    kind = "dicom_series" if path.is_dir() else "dicom_file"
    return DicomImage(grid.geometry.with_array(volume), kind, _digest(scan.uid), said)


def _clipped(scan: Scan, grid: Grid, volume: np.ndarray) -> Warned:
    """Warn of slices whose air was cut off when they were saved."""
    names = []
    for hu, (lower, _, share) in zip(volume, grid.mixed, strict=True):
        lowest = hu.min()
        if lowest > CLIPPED_HU and not share and np.mean(hu == lowest) > CLIPPED_SHARE:
            names.append(scan.frames[lower].path.name)
    if not names:
        return ()
    what = f"{len(names)} slices have" if len(names) > 1 else f"{names[0]} has"
    text = (
        f"{what} no values below {CLIPPED_HU} HU, where the air of the other slices is: they were "
        "cut off when it was saved. Lungs and lesions there are not seen."
    )
    return (("clipped_slices", text),)


def _assumed(scan: Scan) -> Warned:
    if not scan.first.is_place_assumed:
        return ()
    text = (
        f"{scan.first.path.name} tells one position for {len(scan.frames)} frames. They were laid "
        f"{scan.spacing_mm:.1f} mm apart (Spacing Between Slices) in the order in which they are "
        "stored: if that is not theirs, feet and head are exchanged."
    )
    return (("frame_positions_assumed", text),)


def _no_dicom(path: Path) -> InputRefused:
    archive = archive_of(path)
    if archive:
        return InputRefused(
            "archive", f"{path.name} is a {archive} archive. Unpack it and name the folder."
        )
    return InputRefused(
        "unreadable",
        f"{path.name} is no DICOM image and no volume file that this tool reads. Save the CT as "
        "DICOM, .nrrd, .nii, .nii.gz, .mha or .mhd.",
    )


def _digest(uid: str) -> str | None:
    return hashlib.sha256(uid.encode()).hexdigest() if uid else None
