"""Reads a DICOM folder or file as one image in HU."""

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from M3LungScreenLib.dicom.choice import choose
from M3LungScreenLib.dicom.files import archive_of, is_dicom
from M3LungScreenLib.dicom.found import Found, look_into
from M3LungScreenLib.dicom.grid import Grid, grid_of
from M3LungScreenLib.dicom.pixels import read_slices
from M3LungScreenLib.dicom.scan import Scan
from M3LungScreenLib.errors import InputRefused
from M3LungScreenLib.suitability import Warned

# Air and lung are below; an unsigned type turns them into one higher value.
CLIPPED_HU, CLIPPED_SHARE = -500, 0.02


@dataclass(frozen=True)
class DicomImage:
    """HU as a 3D image, and the warnings from reading it."""

    image: sitk.Image
    kind: str  # 'dicom_series' of a folder, 'dicom_file' of one file
    series_uid_sha256: str | None
    warnings: Warned = ()
    files: tuple[Path, ...] = ()  # in the order of the slices, each once


def read_dicom(path: Path, *others: Path, wanted: str | None = None) -> DicomImage:
    """The chest CT in a folder, a file or beside a DICOMDIR, or in several files, as int16.

    `wanted` selects a series by UID, number or the index in a message. Raises InputRefused
    if there is no complete CT in HU, UsageError if `wanted` is not there.
    """
    found = find_in(path, *others)
    scan, warnings = choose(found, wanted)
    grid = grid_of(scan)
    volume = read_slices(scan.frames, grid.mixed)
    said = (*grid.warnings, *_assumed(scan), *_clipped(scan, grid, volume), *warnings)
    kind = "dicom_series" if others or found.is_folder else "dicom_file"
    files = tuple(dict.fromkeys(each.path for each in scan.frames))
    return DicomImage(grid.geometry.with_array(volume), kind, _digest(scan.uid), said, files)


def find_in(path: Path, *others: Path) -> Found:
    """As `look_into`; a DICOMDIR stands for its folder. InputRefused for a file of other kind."""
    if not others and path.is_file() and path.name.upper() == "DICOMDIR":
        path = path.absolute().parent
    is_open = path.is_file() and os.access(path, os.R_OK)
    if is_open and not others and not is_dicom(path):
        raise _no_dicom(path)
    return look_into(path, *others)


def _clipped(scan: Scan, grid: Grid, volume: np.ndarray) -> Warned:
    """Warn of slices whose air values were clipped when saved."""
    names = []
    for hu, (lower, _, share) in zip(volume, grid.mixed, strict=True):
        lowest = hu.min()
        if lowest > CLIPPED_HU and not share and np.mean(hu == lowest) > CLIPPED_SHARE:
            names.append(scan.frames[lower].path.name)
    if not names:
        return ()
    what = f"{len(names)} slices have" if len(names) > 1 else f"{names[0]} has"
    text = (
        f"{what} no values below {CLIPPED_HU} HU, unlike the other slices: the values were clipped "
        "when saved. Lungs and lesions are not visible there."
    )
    return (("clipped_slices", text),)


def _assumed(scan: Scan) -> Warned:
    if not scan.first.is_place_assumed:
        return ()
    text = (
        f"{scan.first.path.name} gives only one position for {len(scan.frames)} frames. They were "
        f"placed {scan.spacing_mm:.1f} mm apart (Spacing Between Slices) in stored order. If that "
        "order is wrong, feet and head are swapped."
    )
    return (("frame_positions_assumed", text),)


def _no_dicom(path: Path) -> InputRefused:
    archive = archive_of(path)
    if archive:
        return InputRefused(
            "archive", f"{path.name} is a {archive} archive. Unpack it and choose the folder."
        )
    return InputRefused(
        "unreadable",
        f"{path.name} is not a DICOM image or a supported volume file. Save the CT as DICOM, "
        ".nrrd, .nii, .nii.gz, .mha or .mhd.",
    )


def _digest(uid: str) -> str | None:
    return hashlib.sha256(uid.encode()).hexdigest() if uid else None
