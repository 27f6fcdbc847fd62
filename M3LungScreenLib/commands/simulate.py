"""Simulate a chest CT, optionally with its lesion mask."""

import argparse
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from M3LungScreenLib.classes import CLASS_KEYS
from M3LungScreenLib.errors import UsageError
from M3LungScreenLib.outputs.nrrd import write_nrrd
from M3LungScreenLib.simulation.patient import SimulatedPatient, simulate_patient
from M3LungScreenLib.writing import not_written

LARGEST_MATRIX = 1024


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--class", dest="class_key", default="healthy", metavar="CLASS", help="|".join(CLASS_KEYS)
    )
    parser.add_argument("--seed", type=int, default=0, help="the same seed gives the same files")
    parser.add_argument("-o", "--out", type=Path, required=True, help="CT to write (.nrrd, in HU)")
    parser.add_argument(
        "--truth", type=Path, help="lesion mask to write (.nrrd; 1 COVID-19, 2 H1N1, 3 CAP)"
    )
    parser.add_argument("--slices", type=int, help="number of slices, 24 to 495 (default: random)")
    parser.add_argument(
        "--thickness", type=float, metavar="MM", help="slice thickness, 1 to 10 (default: random)"
    )
    parser.add_argument("--matrix", type=int, default=256, help="rows and columns, 64 to 1024")
    parser.add_argument(
        "--severity", type=float, help="fraction of the lungs with lesions, 0.005 to 0.5"
    )


def run(arguments: argparse.Namespace) -> int:
    targets = [path for path in (arguments.out, arguments.truth) if path is not None]
    _check(arguments, targets)
    try:
        patient = simulate_patient(
            arguments.class_key,
            arguments.seed,
            slice_count=arguments.slices,
            slice_thickness_mm=arguments.thickness,
            matrix=arguments.matrix,
            severity=arguments.severity,
        )
    except ValueError as error:
        raise UsageError("bad_value", f"Cannot simulate {error}.") from error
    arrays = [patient.volume.hu, patient.truth][: len(targets)]
    _write(targets, [patient.volume.geometry.with_array(array) for array in arrays])
    print(_summary(patient, targets))
    return 0


def _check(arguments: argparse.Namespace, targets: list[Path]) -> None:
    """Raise UsageError before the work begins."""
    if arguments.class_key not in CLASS_KEYS:
        known = ", ".join(CLASS_KEYS)
        raise UsageError(
            "unknown_class", f"{arguments.class_key!r} is not a class. Choose from {known}."
        )
    if arguments.seed < 0:
        raise UsageError("bad_value", f"The seed is {arguments.seed} but must be 0 or more.")
    if arguments.matrix > LARGEST_MATRIX:
        raise UsageError(
            "bad_value", f"The matrix is {arguments.matrix} but must be 64 to {LARGEST_MATRIX}."
        )
    if arguments.severity is not None and not 0.005 <= arguments.severity <= 0.5:
        raise UsageError(
            "bad_value", f"The severity is {arguments.severity:g} but must be 0.005 to 0.5."
        )
    for path in targets:
        _check_target(path)
    if len({path.resolve() for path in targets}) < len(targets):
        raise UsageError("same_file", f"CT and truth are both {targets[0]}. Choose two files.")


def _check_target(path: Path) -> None:
    if path.suffix != ".nrrd":
        raise UsageError("output_format", f"{path} does not end in .nrrd. Choose a .nrrd file.")
    if not path.parent.is_dir():
        raise UsageError("no_folder", f"The folder {path.parent} does not exist. Create it first.")
    if path.is_dir():
        raise UsageError("output_is_folder", f"{path} is a folder. Choose a file name.")


def _write(targets: list[Path], images: list[sitk.Image]) -> None:
    """All files or none: each is written next to its target, then renamed."""
    with ExitStack() as folders:
        ready = []
        for target, image in zip(targets, images, strict=True):
            with _written(target):
                folder = tempfile.TemporaryDirectory(prefix=".simulate-", dir=target.parent)
                ready.append(Path(folders.enter_context(folder)) / target.name)
                write_nrrd(image, ready[-1])
        for path, target in zip(ready, targets, strict=True):
            with _written(target):
                path.replace(target)


@contextmanager
def _written(target: Path) -> Iterator[None]:
    try:
        yield
    except OSError as wrong:
        raise not_written(target, wrong) from wrong


def _summary(patient: SimulatedPatient, targets: list[Path]) -> str:
    slices, rows, columns = patient.volume.hu.shape
    lungs = max(1, int(np.count_nonzero(patient.lungs)))
    share = np.count_nonzero(patient.truth) / lungs
    return (
        f"{patient.record.class_key}, seed {patient.record.seed}: {slices} slices of "
        f"{patient.record.scanner.thickness_mm:g} mm, {rows} × {columns}; "
        f"lesions in {share:.1%} of the lungs\n" + "\n".join(str(path) for path in targets)
    )
