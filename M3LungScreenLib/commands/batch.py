"""Screen all studies in folders, files and tables, and write a summary."""

import argparse
import sys
from collections.abc import Iterator
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

from tqdm import tqdm

from M3LungScreenLib.batch.one_study import BatchSettings
from M3LungScreenLib.batch.pool import screen_in_pool
from M3LungScreenLib.batch.studies import Study, find_studies
from M3LungScreenLib.batch.summary import write_summary
from M3LungScreenLib.bundle import load_bundle
from M3LungScreenLib.commands.progress import PROGRESS_STYLES, listener_for
from M3LungScreenLib.commands.screen import SHIPPED_BUNDLE
from M3LungScreenLib.engines.choice import DEVICES
from M3LungScreenLib.errors import InputRefused, UsageError
from M3LungScreenLib.events import Progress


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "inputs",
        metavar="INPUT",
        nargs="+",
        type=Path,
        help="folder (each study below it), file, .zip, or CSV file with a column 'path'",
    )
    parser.add_argument("-o", "--out", type=Path, required=True, help="output folder")
    parser.add_argument("--resume", action="store_true", help="continue in the output folder")
    parser.add_argument("--no-key", action="store_true", help="do not write key.csv")
    parser.add_argument("--workers", type=int, default=1, help="processes (each loads the model)")
    parser.add_argument(
        "--engine", choices=("local", "ray"), default="local", help="ray: on a Ray cluster"
    )
    parser.add_argument("--address", help="of the Ray cluster; without it, on this computer")
    parser.add_argument(
        "--gpus-per-worker", type=float, default=0.0, help="share of a GPU for each Ray worker"
    )
    parser.add_argument("--model", type=Path, default=SHIPPED_BUNDLE, help="model bundle folder")
    parser.add_argument("--device", choices=DEVICES, default="auto", help="device for the networks")
    parser.add_argument(
        "--detail", choices=("full", "preview"), default="full", help="preview: at most 24 slices"
    )
    parser.add_argument(
        "--progress", choices=PROGRESS_STYLES, default="bar", help="jsonl: JSON lines"
    )


def run(arguments: argparse.Namespace) -> int:
    _check(arguments)
    load_bundle(arguments.model)  # refused before any work
    studies = find_studies([each.resolve() for each in arguments.inputs])
    if not studies:
        raise InputRefused(
            "not_found",
            "There is no CT in the inputs. Choose folders with DICOM or volume files.",
        )
    settings = BatchSettings(arguments.out, arguments.detail)
    arguments.out.mkdir(parents=True, exist_ok=True)
    settings.remove_unfinished()
    open_studies = [each for each in studies if not settings.is_done(each)]
    done = len(studies) - len(open_studies)
    write_summary(studies, arguments.out, not arguments.no_key)
    bar = tqdm(
        total=len(studies),
        initial=done,
        unit="study",
        disable=None if arguments.progress == "bar" else True,
        file=sys.stderr,
    )
    with bar, listener_for("none" if arguments.progress == "bar" else arguments.progress) as listen:
        for _ in _screened(open_studies, settings, arguments):
            done += 1
            bar.update()
            listen(Progress("batch", done, len(studies)))
    rows = write_summary(studies, arguments.out, not arguments.no_key)
    if arguments.progress != "jsonl":
        refused = sum(row["status"] == "refused" for row in rows)
        print(f"Screened       {len(rows) - refused} of {len(rows)} studies, {refused} refused")
        print(f"Overview       {arguments.out / 'index.html'}")
    return 0


def _screened(
    studies: list[Study], settings: BatchSettings, arguments: argparse.Namespace
) -> Iterator[tuple[Study, bool]]:
    shared = (studies, settings, arguments.model, arguments.device, arguments.workers)
    if arguments.engine == "local":
        return screen_in_pool(*shared)
    from M3LungScreenLib.batch.ray_engine import screen_on_ray

    # Other machines do not share this one's working directory.
    there = replace(settings, out=settings.out.resolve())
    model = arguments.model.resolve()
    return screen_on_ray(
        studies, there, model, *shared[3:], arguments.address, arguments.gpus_per_worker
    )


def _check(arguments: argparse.Namespace) -> None:
    if arguments.workers < 1:
        raise UsageError("workers", "--workers must be 1 or more.")
    if find_spec("pyarrow") is None:
        raise UsageError(
            "batch_packages",
            'summary.parquet needs pyarrow. Install the extra: pip install "M3LungScreen[batch]".',
        )
    if arguments.engine == "ray" and find_spec("ray") is None:
        raise UsageError(
            "batch_packages",
            '--engine ray needs Ray. Install the extra: pip install "M3LungScreen[cluster]".',
        )
    out = arguments.out
    if out.exists() and not out.is_dir():
        raise UsageError("output_not_empty", f"{out} is a file. Choose a new or empty folder.")
    if out.is_dir() and any(out.iterdir()) and not arguments.resume:
        raise UsageError(
            "output_not_empty",
            f"{out} is not empty. Choose a new or empty folder, or continue with --resume.",
        )
