"""Writes the result folder, completely or not at all, and never overwrites other files."""

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from M3LungScreenLib.ct import CTVolume
from M3LungScreenLib.errors import UsageError
from M3LungScreenLib.location_map import LocationMap, values_of
from M3LungScreenLib.outputs.dicom_objects import check_dicom_output
from M3LungScreenLib.outputs.html import report_html
from M3LungScreenLib.outputs.montage import draw_montage
from M3LungScreenLib.outputs.nrrd import Slices, write_nrrd
from M3LungScreenLib.outputs.tables import slices_csv
from M3LungScreenLib.provenance import Stopwatch
from M3LungScreenLib.result import SCHEMA_VERSION, Result
from M3LungScreenLib.writing import not_written, writer_errors

RESULT_FILE = "result.json"
ATTENTION_FILE = "attention.npz"
DICOM_FOLDER = "dicom"
# Pillow's default takes four times as long for a file of about the same size.
PNG_LEVEL = 1
Volumes = Literal["nrrd", "raw"]
VOLUMES = ("lesion_location_map", "lesions", "lungs")
# What file managers leave in any folder that they show.
LEFT_BY_VIEWING = ("**/.DS_Store", "**/Thumbs.db", "**/desktop.ini")


@dataclass(frozen=True)
class Output:
    """The files a program writes into its folder, to recognize an earlier output.

    `mark` is a JSON file whose content `is_ours` recognizes. `files` are globs of all files
    it may contain: they are deleted when the output is replaced; any other file prevents that.
    """

    mark: str
    is_ours: Callable[[dict[str, Any]], bool]
    files: tuple[str, ...]


def _is_result(plain: dict[str, Any]) -> bool:
    """Whether result.json is one of this schema's major version."""
    major, _, _ = SCHEMA_VERSION.partition(".")
    version = str(plain.get("schema_version"))
    return version.startswith(f"{major}.") and "lung_volume_ml" in plain


RESULT = Output(
    mark=RESULT_FILE,
    is_ours=_is_result,
    files=(
        RESULT_FILE,
        ATTENTION_FILE,
        "slices.csv",
        "montage.png",
        "report.html",
        *(f"{name}.{suffix}" for name in VOLUMES for suffix in ("nrrd", "raw")),
        DICOM_FOLDER,
        f"{DICOM_FOLDER}/*.dcm",
    ),
)


def check_target(folder: str | Path, output: Output = RESULT) -> None:
    """Check before any work is done that `write` may use `folder`.

    Raises UsageError 'output_not_empty' for a file, or a folder with anything but an earlier
    `output`; 'output_not_writable' if no folder can be created there.
    """
    place = Path(folder).resolve()
    if place.exists() and not place.is_dir():
        raise UsageError("output_not_empty", f"{folder} is a file. Choose a new or empty folder.")
    if place.is_dir() and any(place.iterdir()):
        _check_earlier(Path(folder), output)
    standing = next(each for each in place.parents if each.exists())
    if not standing.is_dir() or not os.access(standing, os.W_OK):
        raise UsageError(
            "output_not_writable",
            f"A folder cannot be created in {standing}. Choose another place.",
        )


def _check_earlier(folder: Path, output: Output) -> None:
    """Raise UsageError unless all files are from an earlier `output`."""
    if not _is_marked(folder / output.mark, output):
        raise UsageError(
            "output_not_empty",
            f"{folder} is not empty and has no {output.mark} from an earlier run. "
            "Choose a new or empty folder.",
        )
    known = (*output.files, *LEFT_BY_VIEWING)
    others = set(folder.rglob("*")) - {each for pattern in known for each in folder.glob(pattern)}
    if others:
        raise UsageError(
            "output_not_empty",
            f"{folder} contains {min(others).relative_to(folder)}, which is not from an earlier "
            "run. Move it elsewhere, or choose a new or empty folder.",
        )


def _is_marked(path: Path, output: Output) -> bool:
    try:
        plain = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(plain, dict) and output.is_ours(plain)


def write(
    result: Result, folder: str | Path, volumes: Volumes = "nrrd", dicom: bool = False
) -> Path:
    """Write all files of `result` next to `folder`, then move them into place.

    `volumes` 'nrrd' is for people; 'raw' writes plain arrays `[slice, row, column]` in the
    stored geometry, to be memory-mapped, and the attention maps. `dicom` adds the folder
    DICOM_FOLDER with DICOM objects (`dicom_objects.check_dicom_output` says whether it can).
    The folder of an earlier screening is replaced once the new one is complete; on any
    exception it stays as it was. Raises as `check_target`, and UsageError
    'output_not_written' if writing fails.
    """
    clock = Stopwatch()
    with complete_or_absent(folder) as new:
        _write_files(result, new, clock, volumes, dicom)
    return Path(folder)


@contextmanager
def complete_or_absent(folder: str | Path, output: Output = RESULT) -> Iterator[Path]:
    """An empty folder that becomes `folder` if no exception occurs; see `write`."""
    check_target(folder, output)
    place = Path(folder).resolve()
    try:
        with _beside(place) as new:
            yield new
            _put_in_place(new, place)
    except OSError as wrong:
        raise not_written(folder, wrong) from wrong


def _write_files(
    result: Result, folder: Path, clock: Stopwatch, volumes: Volumes, dicom: bool
) -> None:
    with ThreadPoolExecutor(1) as thread:
        packing = thread.submit(_write_volumes, result, folder, volumes)
        (folder / "slices.csv").write_text(slices_csv(result), "utf-8", newline="")
        montage = draw_montage(result)
        with writer_errors(folder / "montage.png"):
            montage.save(folder / "montage.png", compress_level=PNG_LEVEL)
        html = report_html(result, montage)
        (folder / "report.html").write_text(html, "utf-8")
        packing.result()
    if dicom:
        check_dicom_output(result.volume)
        from M3LungScreenLib.outputs.dicom_objects.pdf import pdf_of
        from M3LungScreenLib.outputs.dicom_objects.writing import write_dicom_objects

        write_dicom_objects(result, pdf_of(html), folder / DICOM_FOLDER)
    timing = replace(result.timing_s, write=clock.total, total=result.timing_s.total + clock.total)
    peak_mb = max(result.peak_memory_mb, clock.peak_memory_mb)
    plain = replace(result, timing_s=timing, peak_memory_mb=peak_mb).to_dict()
    text = json.dumps(plain, indent=1, ensure_ascii=False, allow_nan=False)
    (folder / RESULT_FILE).write_text(text + "\n", "utf-8")


def _write_volumes(result: Result, folder: Path, volumes: Volumes) -> None:
    for name in VOLUMES:
        slices = _in_stored_order(getattr(result.arrays, name), result.volume)
        if volumes == "nrrd":
            write_nrrd(Slices(slices, result.volume.stored), folder / f"{name}.nrrd")
        else:
            _write_raw(slices, folder / f"{name}.raw")
    if volumes == "raw":
        by_slice: dict[str, Any] = {str(k): each for k, each in result.attention.items()}
        with writer_errors(folder / ATTENTION_FILE):
            np.savez_compressed(folder / ATTENTION_FILE, **by_slice)


def _in_stored_order(array: np.ndarray | LocationMap, volume: CTVolume) -> Iterator[np.ndarray]:
    """The stored slices `[y, x]` by z of what lies on `volume.hu`."""
    if isinstance(array, LocationMap):
        return (values_of(each) for each in volume.in_stored_order(array.steps))
    return iter(volume.in_stored_order(array))


def _write_raw(slices: Iterator[np.ndarray], path: Path) -> None:
    with path.open("wb") as file:
        for each in slices:
            # numpy's tofile does not ask whether its last bytes were written.
            file.write(np.ascontiguousarray(each).data)


@contextmanager
def _beside(place: Path) -> Iterator[Path]:
    """A new sibling folder of `place`; it and parents made for it go if this fails."""
    made = [each for each in place.parents if not each.exists()]
    place.parent.mkdir(parents=True, exist_ok=True)
    new = _sibling(place)
    try:
        yield new
    except BaseException:
        shutil.rmtree(new, ignore_errors=True)
        for parent in made:
            with suppress(OSError):
                parent.rmdir()
        raise


def _put_in_place(new: Path, place: Path) -> None:
    """Rename the old aside, the new in, then delete the old; on failure the old comes back."""
    if not place.exists():
        new.rename(place)
        return
    aside = _sibling(place)
    aside.rmdir()
    place.rename(aside)
    try:
        new.rename(place)
    except BaseException:
        aside.rename(place)
        raise
    shutil.rmtree(aside, ignore_errors=True)


def _sibling(place: Path) -> Path:
    sibling = Path(tempfile.mkdtemp(prefix=f".{place.name}-", dir=place.parent))
    mask = os.umask(0)
    os.umask(mask)
    sibling.chmod(0o777 & ~mask)  # mkdtemp's are for the owner alone
    return sibling
