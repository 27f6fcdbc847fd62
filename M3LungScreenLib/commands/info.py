"""Print the model card of a bundle."""

import argparse
import json
from pathlib import Path

from M3LungScreenLib.bundle import load_bundle


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("bundle", type=Path, help="model bundle folder")


def run(arguments: argparse.Namespace) -> int:
    print(json.dumps(load_bundle(arguments.bundle).card, indent=2, ensure_ascii=False))
    return 0
