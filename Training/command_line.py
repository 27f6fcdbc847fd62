"""What the command lines of all scripts have in common."""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from M3LungScreenLib.engines.choice import DEVICES
from M3LungScreenLib.errors import M3LungScreenError
from M3LungScreenLib.writing import REFUSALS, not_written
from Training.config import TrainingConfig, load_config


def run_script(main: Callable[[], None]) -> None:
    """Run a script; a refusal prints its message and sets the exit status, no traceback."""
    try:
        main()
    except M3LungScreenError as refusal:
        _end(refusal)
    except OSError as wrong:
        if wrong.errno not in REFUSALS:
            raise
        _end(not_written(wrong.filename or "The output", wrong))


def add_config_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments that every training script takes."""
    parser.add_argument(
        "--config", type=Path, required=True, help="YAML file; see Training/configs"
    )
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        dest="settings",
        help="override a setting, such as slice.epochs=20; may be repeated",
    )
    parser.add_argument("--out", type=Path, required=True, help="folder of the run")
    parser.add_argument(
        "--backgrounds", type=Path, help="real CT to simulate lesions in (gather_backgrounds)"
    )
    parser.add_argument("--data", type=Path, help="index of real cases to train on instead")
    parser.add_argument("--device", default="auto", choices=DEVICES)
    parser.add_argument(
        "--cache", type=Path, default=Path("build/samples"), help="folder for crops"
    )
    parser.add_argument("--init", type=Path, help="bundle, or best.pt of a run, to start from")
    parser.add_argument("--resume", action="store_true", help="continue from the last checkpoint")


def config_of(parsed: argparse.Namespace) -> TrainingConfig:
    return load_config(parsed.config, parsed.settings)


def _end(refusal: M3LungScreenError) -> NoReturn:
    print(refusal, file=sys.stderr)
    sys.exit(refusal.exit_status)
