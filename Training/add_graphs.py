"""Add ONNX graphs to a model bundle, so that it runs without PyTorch.

    python -m Training.add_graphs BUNDLE

The weights stay as they are, byte for byte. `Training.export` does the same for a new bundle.
"""

import argparse
from pathlib import Path

from M3LungScreenLib.bundle import load_bundle
from Training.command_line import run_script
from Training.graphs import add_graphs


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("bundle", type=Path, help="model bundle")
    parsed = parser.parse_args(arguments)
    bundle, difference = add_graphs(load_bundle(parsed.bundle), parsed.bundle)
    print(f"{bundle.folder}: ONNX graphs, at most {difference:.1g} from PyTorch's outputs.")


if __name__ == "__main__":
    run_script(main)
