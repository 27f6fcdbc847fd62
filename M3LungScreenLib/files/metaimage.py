"""What a MetaImage header says of its place."""

from pathlib import Path

from M3LungScreenLib.completeness import meta_header
from M3LungScreenLib.errors import InputRefused
from M3LungScreenLib.files.nifti import Warned, no_spacing, orientation_unknown

_DIRECTIONS = ("TransformMatrix", "Rotation", "Orientation")


def check_header(path: Path) -> Warned:
    """Refuse a spacing that is missing or negative; warn of an unknown orientation."""
    header, _ = meta_header(path)
    spacing = header.get("ElementSpacing", header.get("ElementSize", "")).split()
    if not spacing:
        raise no_spacing(path.name)
    if not all(float(each) > 0 for each in spacing):
        found = " × ".join(f"{float(each):g}" for each in spacing)
        raise InputRefused(
            "no_spacing",
            f"{path.name} gives a spacing of {found} mm; each must be more than 0. Convert the CT "
            "from DICOM again, or correct the header: TransformMatrix says where an axis runs.",
        )
    return () if any(key in header for key in _DIRECTIONS) else orientation_unknown(path.name)
