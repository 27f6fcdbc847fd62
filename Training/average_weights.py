"""Average the slice-level weights of several runs.

    python -m Training.average_weights runs/one runs/two --out runs/mean \
        --config Training/configs/compact.yaml --backgrounds build/backgrounds

For runs of which each started from the other's weights: such weights can be averaged, and the
mean is often better than either (Wortsman et al., Robust fine-tuning of zero-shot models, CVPR
2022). A mean that is already there is computed again.
"""

import argparse
from pathlib import Path

from Training.command_line import add_config_arguments, config_of, run_script
from Training.learning.averaging import average_runs
from Training.learning.fabric import choose_device
from Training.sources.learning_data import data_of


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("runs", type=Path, nargs="+", help="folders of runs with a slice level")
    add_config_arguments(parser)
    parsed = parser.parse_args(arguments)
    config = config_of(parsed)
    validation = data_of(config, parsed).slices(validation=True)
    device = choose_device(parsed.device)
    figures = average_runs(parsed.runs, parsed.out, config, validation, device)
    told = ", ".join(f"{name} {value:.3f}" for name, value in figures.items())
    print(f"mean of {len(parsed.runs)} runs in {parsed.out / 'slice'}: {told}")


if __name__ == "__main__":
    run_script(main)
