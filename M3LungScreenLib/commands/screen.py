"""Screen a chest CT for pneumonia and write a result folder."""

import argparse
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from M3LungScreenLib.bundle import load_bundle
from M3LungScreenLib.classes import CLASSES, INDETERMINATE
from M3LungScreenLib.commands.progress import PROGRESS_STYLES, listener_for
from M3LungScreenLib.engines.choice import DEVICES, ENGINES
from M3LungScreenLib.events import Finished, Progress
from M3LungScreenLib.outputs.dicom_objects import check_dicom_output, check_packages, sending
from M3LungScreenLib.outputs.folder import DICOM_FOLDER, check_target
from M3LungScreenLib.outputs.wording import percent
from M3LungScreenLib.provenance import Stopwatch
from M3LungScreenLib.reading import read_ct
from M3LungScreenLib.result import Result
from M3LungScreenLib.screening import screen
from M3LungScreenLib.zip_archive import unpacked

SHIPPED_BUNDLE = Path(__file__).parents[2] / "Resources" / "Models" / "compact"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "input",
        metavar="INPUT",
        type=Path,
        help="DICOM folder or file, a .nrrd, .nii, .mha or .gipl file, or a .zip of one of these",
    )
    parser.add_argument("-o", "--out", type=Path, required=True, help="output folder")
    parser.add_argument("--model", type=Path, default=SHIPPED_BUNDLE, help="model bundle folder")
    parser.add_argument("--series", help="DICOM series: UID, number, or the [index] in a message")
    parser.add_argument("--device", choices=DEVICES, default="auto", help="device for the networks")
    parser.add_argument(
        "--engine", choices=ENGINES, default="auto", help="onnx: CPU; pytorch: also a GPU"
    )
    parser.add_argument(
        "--detail", choices=("full", "preview"), default="full", help="preview: at most 24 slices"
    )
    parser.add_argument(
        "--dicom-out", action="store_true", help="also write DICOM objects (needs DICOM input)"
    )
    parser.add_argument(
        "--send",
        metavar="TARGET",
        help="send the DICOM objects to a DICOMweb URL or AETITLE@host:port; implies --dicom-out",
    )
    parser.add_argument("--tls", action="store_true", help="send to a DICOM node over TLS")
    parser.add_argument("--tls-ca", type=Path, metavar="PEM", help="certificates to trust")
    parser.add_argument("--tls-cert", type=Path, metavar="PEM", help="own certificate")
    parser.add_argument("--tls-key", type=Path, metavar="PEM", help="key of the own certificate")
    parser.add_argument(
        "--progress", choices=PROGRESS_STYLES, default="bar", help="jsonl: JSON lines"
    )


def run(arguments: argparse.Namespace) -> int:
    with listener_for(arguments.progress) as listen, ExitStack() as stack:
        check_target(arguments.out)
        dicom = arguments.dicom_out or arguments.send is not None
        if dicom:
            check_packages()
        if arguments.send:
            sending.check_target(arguments.send)
        bundle = load_bundle(arguments.model)
        clock = Stopwatch()
        listen(Progress("read", 0, 1))
        place = stack.enter_context(unpacked(arguments.input))
        volume = read_ct(place, series=arguments.series)
        if dicom:
            check_dicom_output(volume)
        read_s, read_mb = clock.total, clock.peak_memory_mb
        listen(Progress("read", 1, 1))
        result = screen(
            volume,
            bundle,
            device=arguments.device,
            engine=arguments.engine,
            detail=arguments.detail,
            progress=listen,
            cancelled=arguments.cancelled,
        )
        timing = replace(result.timing_s, read=read_s, total=result.timing_s.total + read_s)
        listen(Progress("write", 0, 1))
        peak_mb = max(read_mb, result.peak_memory_mb)
        result = replace(result, timing_s=timing, peak_memory_mb=peak_mb)
        folder = result.write(arguments.out, dicom=dicom)
        listen(Progress("write", 1, 1))
        result = replace(result, peak_memory_mb=max(peak_mb, clock.peak_memory_mb))
        listen(Finished(str(folder)))
    if arguments.progress != "jsonl":
        print(summary(result, clock.total))
        print(f"Report         {folder / 'report.html'}")
    if arguments.send:
        files = sorted((folder / DICOM_FOLDER).iterdir())
        sending.send(files, arguments.send, _tls_files(arguments))
    return 0


def _tls_files(arguments: argparse.Namespace) -> sending.TlsFiles | None:
    files = sending.TlsFiles(arguments.tls_ca, arguments.tls_cert, arguments.tls_key)
    return files if arguments.tls or files != sending.TlsFiles() else None


def summary(result: Result, seconds: float) -> str:
    """Verdict, involvement and warnings as lines of text."""
    lines = [*_verdict_lines(result), *_involvement_lines(result)]
    lines += [f"Warning        {each.message}" for each in result.warnings]
    lines += [
        f"Time           {seconds:.1f} s on {result.device} ({result.engine.name}), "
        f"peak memory {result.peak_memory_mb:.0f} MB",
        "Research use only: not for clinical decisions.",
    ]
    return "\n".join(lines)


def _verdict_lines(result: Result) -> list[str]:
    if result.patient is None:
        (one,) = result.slices
        found = verdict_in_words(one.predicted) if one.predicted else "not screened: no lung"
        lines = [f"This slice     {found} (not a verdict on the patient)"]
        probabilities = one.probabilities
    else:
        lines = [f"Verdict        {verdict_in_words(result.patient.verdict)}"]
        lines += [f"               {reason}" for reason in result.patient.reasons]
        probabilities = result.patient.probabilities
    if probabilities is not None:
        parts = (f"{each.name} {percent(getattr(probabilities, each.key))}" for each in CLASSES)
        lines.append(f"Probabilities  {'   '.join(parts)}")
    return lines


def _involvement_lines(result: Result) -> list[str]:
    share, volume = result.involvement, result.lung_volume_ml
    return [
        f"Right lung     {percent(share.right.fraction)} of {volume.right:.0f} ml",
        f"Left lung      {percent(share.left.fraction)} of {volume.left:.0f} ml",
        f"Severity       {share.severity_score} of 24",
    ]


def verdict_in_words(verdict: str) -> str:
    """The verdict as shown to a clinician."""
    if verdict == INDETERMINATE:
        return "indeterminate"
    return next(each.verdict for each in CLASSES if each.key == verdict)
