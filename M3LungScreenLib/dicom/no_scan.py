"""Why nothing in a DICOM folder or file can be screened."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from M3LungScreenLib.dicom.found import Found, in_a_row
from M3LungScreenLib.dicom.frames import NoImage
from M3LungScreenLib.dicom.scan import Scan
from M3LungScreenLib.errors import InputRefused
from M3LungScreenLib.files.reading import is_volume_file


def no_image(found: Found) -> InputRefused:
    """The refusal of a file or folder without any image."""
    name = found.place.name
    if found.damaged:
        files = in_a_row(each.path.name for each in found.damaged)
        locked = found.damaged[0].is_locked
        reason = (
            "cannot be opened (no permission)" if locked else "cannot be read: damaged or truncated"
        )
        remedy = "Ask for permission to read it" if locked else "Copy it again from the source"
        return InputRefused("unreadable", f"{files} {reason}. {remedy}.")
    if found.no_images and not found.is_folder:
        return InputRefused(
            "not_ct",
            f"{name} is {found.no_images[0]}, not an image. Choose the folder of a chest CT.",
        )
    else_ = f", only {_kinds(found.no_images)}" if found.no_images else ""
    volume = _a_volume_file(found)
    if volume:
        return InputRefused(
            "not_found",
            f"There is no DICOM image in {found.place}{else_}, but {volume.name}. Choose that file "
            "instead of its folder.",
        )
    return InputRefused(
        "not_found",
        f"There is no DICOM image in {found.place}{else_}. Choose the folder of a chest CT.",
    )


def not_fit(found: Found, chosen: Scan, named: Sequence[Scan]) -> InputRefused:
    """The refusal of images that cannot be slices: what is wrong, and what else is there."""
    flaw = chosen.flaw
    assert flaw is not None
    name = str(chosen) if found.is_folder else found.place.name
    others = [f"{found.listed(each)} {each.flaw.what}" for each in named[1:] if each.flaw]
    others += [_kinds(found.no_images)] if found.no_images else []
    others += [f"{each.path.name}, which is damaged" for each in found.damaged]
    else_ = f" Also there: {in_a_row(others, '; ')}." if others and found.is_folder else ""
    return InputRefused(flaw.kind, f"{name} {flaw.what}.{else_} {flaw.remedy}")


def _a_volume_file(found: Found) -> Path | None:
    if not found.is_folder:
        return None
    return next(filter(is_volume_file, sorted(filter(Path.is_file, found.place.iterdir()))), None)


def _kinds(no_images: Iterable[NoImage]) -> str:
    return ", ".join(sorted({str(each) for each in no_images}))
