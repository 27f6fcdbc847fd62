"""Reads a volume file as one image in HU, with warnings about its header."""

import re
import struct
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from M3LungScreenLib.completeness import unreadable
from M3LungScreenLib.ct import LARGEST_COSINE_BETWEEN_AXES
from M3LungScreenLib.errors import InputRefused
from M3LungScreenLib.files import metaimage, nrrd
from M3LungScreenLib.files.nifti import Warned, orientation_unknown, read_nifti, sheared

NIFTI = (".nii", ".nii.gz")
NRRD = (".nrrd", ".nhdr")
METAIMAGE = (".mha", ".mhd")
GIPL = (".gipl", ".gipl.gz")
_PAIR = (".hdr", ".img", ".img.gz")
SUFFIXES = (*NRRD, *NIFTI, *METAIMAGE, *GIPL)
_LOAD_IN_SLICER = "Load it in Slicer and save it as .nrrd."
# Formats that are not CT volumes, and what to do instead.
_OTHERS = {
    (".npy", ".npz"): "An array has no spacing. In Python, pass it with its spacing to "
    "CTVolume.from_array, or save it as .nrrd with its geometry.",
    (".mat", ".h5", ".hdf5", ".pt", ".pkl"): "The geometry in this format cannot be "
    "read. Save the CT as .nrrd with its spacing.",
    (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff"): "A picture has gray levels, "
    "not Hounsfield units. Use the DICOM series it was made from.",
    (".mgh", ".mgz", ".mnc", ".vtk", ".vti", ".hdr", ".img"): _LOAD_IN_SLICER,
    (".tar", ".tgz", ".tar.gz"): "Unpack it and choose the folder or file inside.",
    (
        ".mrb",
        ".mrml",
    ): "A scene can contain many volumes. Open it in Slicer and save the CT as .nrrd.",
}


def is_volume_file(path: Path) -> bool:
    """Whether `read_image` supports this file, by its name."""
    name = path.name.lower()
    return name.endswith(SUFFIXES) or (name.endswith(_PAIR) and all(_pair(path)))


def check_format(path: Path) -> None:
    """Refuse known formats that are not CT volumes, and say what to do instead."""
    for suffixes, remedy in _OTHERS.items():
        if path.name.lower().endswith(suffixes):
            raise InputRefused("unreadable", f"{path.name} is not a CT volume. {remedy}")


def read_image(path: Path) -> tuple[sitk.Image, Warned]:
    """A volume file as stored (a 2D image as one slice), and warnings about its header.

    Raises InputRefused if it is truncated, sheared or without spacing.
    """
    name = path.name.lower()
    try:
        if name.endswith((*NIFTI, *_PAIR)):
            return _read_nifti(path)
        warnings: Warned = orientation_unknown(path.name) if name.endswith(GIPL) else ()
        if name.endswith(NRRD):
            warnings = nrrd.check_header(path)
        elif name.endswith(METAIMAGE):
            warnings = metaimage.check_header(path)
        return _read(path, path.name), warnings
    except (OSError, EOFError, ValueError, KeyError, struct.error, zlib.error):
        raise unreadable(path.name) from None


def _read_nifti(path: Path) -> tuple[sitk.Image, Warned]:
    header, data = _pair(path) if path.name.lower().endswith(_PAIR) else (path, path)
    if header is None or data is None:  # is_volume_file asked
        raise unreadable(path.name)
    values, geometry, warnings = read_nifti(header, data)
    _check_frames(values.shape[::-1], path.name)
    return geometry.with_array(values.reshape(geometry.size[::-1])), warnings


def _pair(path: Path) -> tuple[Path | None, Path | None]:
    """Header and pixels of an Analyze or NIfTI pair, of which `path` is one."""
    stem = re.sub(r"\.(hdr|img|img\.gz)$", "", path.name, flags=re.IGNORECASE)
    beside = {each.name.lower(): each for each in path.parent.iterdir()}
    found = [beside.get(f"{stem}{suffix}".lower()) for suffix in _PAIR]
    return found[0], found[1] or found[2]


def _read(path: Path, name: str) -> sitk.Image:
    try:
        image = sitk.ReadImage(str(path))
    except RuntimeError as error:
        raise (sheared(name) if "orthonormal" in str(error) else unreadable(name)) from None
    if image.GetDimension() == 4 and image.GetSize()[3] == 1:
        image = image[:, :, :, 0]
    if image.GetDimension() == 2:
        image = sitk.JoinSeries(image)
    if image.GetNumberOfComponentsPerPixel() == 1 and "vector" in image.GetPixelIDTypeAsString():
        image = sitk.VectorIndexSelectionCast(image, 0)
    _check_frames(image.GetSize(), name)
    _check_axes(image, name)
    return image


def _check_frames(size: Sequence[int], name: str) -> None:
    frames = int(np.prod(size[3:]))
    if frames == 1:
        return
    if size[0] == 1:
        raise InputRefused(
            "not_a_volume",
            f"{name} has {' × '.join(map(str, size))} values: an axis of length 1 comes before the "
            "others, so spacing and orientation belong to the wrong axes. Save it without that "
            "axis.",
        )
    raise nrrd.several_frames(name, frames)


def _check_axes(image: sitk.Image, name: str) -> None:
    axes = np.reshape(image.GetDirection(), [image.GetDimension()] * 2)
    cosine = np.abs(axes.T @ axes - np.eye(len(axes))).max()
    if not cosine <= LARGEST_COSINE_BETWEEN_AXES:
        raise sheared(name, float(np.rad2deg(np.arcsin(min(1.0, cosine)))))
