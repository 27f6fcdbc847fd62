"""False alarms and misses of the orientation check, in all 48 orders of every chest at hand.

    python -m Testing.benchmarks.orientation_check [--simulated 100] [CT ...]

Each CT (a file or folder) and each simulated patient is shown as it lies and in the 47
other orders of its axes, as a wrong header would. A row counts the orders that were found, and what
the chest as it lies was warned of.
"""

import argparse
import itertools
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from M3LungScreenLib import read_ct, simulate_patient
from M3LungScreenLib.classes import CLASS_KEYS
from M3LungScreenLib.orientation_check import check_orientation

FIRST_SEED = 70_000


def orders(hu: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    """`hu` in its 48 orders, the first as it is; each with its name, such as '021 +-+'."""
    for axes in itertools.permutations(range(3)):
        for signs in itertools.product((1, -1), repeat=3):
            name = "".join(map(str, axes)) + " " + "".join("+" if s > 0 else "-" for s in signs)
            yield name, hu.transpose(axes)[tuple(slice(None, None, sign) for sign in signs)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("ct", type=Path, nargs="*")
    parser.add_argument("--simulated", type=int, default=100)
    parser.add_argument("--matrix", type=int, default=96)
    arguments = parser.parse_args()
    print(f"{'chest':<34}{'slices':>7}{'found':>7}{'seconds':>9}  as it lies; missed")
    alarms = missed = count = 0
    for name, hu in chests(arguments):
        start, wrong, alarm = time.perf_counter(), [], ""
        for order, turned in orders(hu):
            warned = check_orientation(turned)
            if order == "012 +++":
                seconds, alarm = time.perf_counter() - start, warned[0][1] if warned else ""
            elif not warned:
                wrong.append(order)
        count, alarms, missed = count + 1, alarms + bool(alarm), missed + len(wrong)
        print(
            f"{name:<34}{len(hu):>7}{47 - len(wrong):>7}{seconds:>9.2f}  {alarm[:90]}; "
            f"{', '.join(wrong)}",
            flush=True,
        )
    print(f"{count} chests: {alarms} false alarms, {missed} of {47 * count} wrong orders missed")


def chests(arguments: argparse.Namespace) -> Iterator[tuple[str, np.ndarray]]:
    for path in arguments.ct:
        yield path.name, read_ct(path).hu
    for n in range(arguments.simulated):
        patient = simulate_patient(
            CLASS_KEYS[n % 4], FIRST_SEED + n, matrix=arguments.matrix, slice_count=48
        )
        yield f"simulated {CLASS_KEYS[n % 4]} {FIRST_SEED + n}", patient.volume.hu


if __name__ == "__main__":
    main()
