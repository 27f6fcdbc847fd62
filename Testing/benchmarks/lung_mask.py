"""How alike the lung masks and crops of this checkout and another revision's are.

    python -m Testing.benchmarks.lung_mask CT ... [--against REVISION]

For each CT (a file or folder) a row: Dice of the masks, of the right and of the left lung, the
largest shift of a crop's border in pixels, and the seconds of the processor of either revision.
"""

import argparse
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np

from Testing.benchmarks.speed import BEFORE, ROOT, checkout

# Run in either checkout: its library is the one that is imported.
SEGMENT = """
import pickle, sys, time
import numpy as np
from M3LungScreenLib import read_ct
from M3LungScreenLib.lungs import segment_lungs
from M3LungScreenLib.preprocessing import find_crops
from M3LungScreenLib.settings import PreprocessingSettings
volume = read_ct(sys.argv[1])
start = time.process_time()
lungs = segment_lungs(volume)
crops = find_crops(volume, lungs, PreprocessingSettings())
seconds = time.process_time() - start
borders = [c and (c.row, c.column, c.row + c.rows, c.column + c.columns) for c in crops]
pickle.dump((lungs, borders, seconds), sys.stdout.buffer)
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("ct", type=Path, nargs="+")
    parser.add_argument("--against", default=BEFORE)
    arguments = parser.parse_args()
    print(f"{'CT':<36}{'Dice':>8}{'right':>8}{'left':>8}{'crops':>7}{'before':>9}{'now':>8}")
    with checkout(arguments.against) as other:
        for ct in arguments.ct:
            lungs, crops, before_s = segment(other, ct)
            now, crops_now, now_s = segment(ROOT, ct)
            pairs = [(lungs > 0, now > 0), (lungs == 1, now == 1), (lungs == 2, now == 2)]
            alike = "".join(f"{dice(*pair):8.4f}" for pair in pairs)
            shift = largest_shift(crops, crops_now)
            print(f"{ct.name:<36}{alike}{shift:>7}{before_s:8.2f}s{now_s:7.2f}s", flush=True)


def segment(root: Path, ct: Path) -> tuple[np.ndarray, list, float]:
    """Mask, crops' borders and seconds, by the library in `root`."""
    run = subprocess.run(
        [sys.executable, "-c", SEGMENT, str(ct.resolve())], cwd=root, capture_output=True
    )
    if run.returncode:
        raise SystemExit(run.stderr.decode())
    return pickle.loads(run.stdout)


def dice(one: np.ndarray, other: np.ndarray) -> float:
    total = np.count_nonzero(one) + np.count_nonzero(other)
    return 2 * np.count_nonzero(one & other) / total if total else 1.0


def largest_shift(before: list, now: list) -> str:
    """Pixels; '-' where a slice has a crop in one revision alone."""
    if [each is None for each in before] != [each is None for each in now]:
        return "-"
    both = [(a, b) for a, b in zip(before, now, strict=True) if a]
    return str(max((int(np.abs(np.subtract(a, b)).max()) for a, b in both), default=0))


if __name__ == "__main__":
    main()
