"""Whether time grows in a straight line with the slices, and the peak of memory.

    python -m Testing.benchmarks.slice_counts [--slices 35 100 300 500 1000] [--json FILE]

The same simulated chest in 512² and ever more slices, each screened in a process of its own.
Printed are the seconds of its processors, what a slice more costs between one count and the next
(equal on a straight line), and the peak of memory of the whole process. `--json` adds
`processor_s_by_slices`, `peak_memory_mb_by_slices` and `peak_memory_mb_500` to a file.
"""

import argparse
import json
import tempfile
from itertools import pairwise
from pathlib import Path

from Testing.benchmarks.large_volume import ROOT, peak_mb, timed, write_chest

MATRIX = 512


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--slices", type=int, nargs="+", default=[35, 100, 300, 500, 1000])
    parser.add_argument("--detail", choices=("full", "preview"), default="full")
    parser.add_argument("--model", type=Path, default=ROOT / "Resources/Models/compact")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    seconds, memory = {}, {}
    for count in sorted(arguments.slices):
        with tempfile.TemporaryDirectory() as folder:
            ct = Path(folder) / "chest.nrrd"
            write_chest(ct, MATRIX, count)
            _, usage = timed(ct, arguments.model, arguments.detail)
        seconds[count], memory[count] = usage.ru_utime + usage.ru_stime, round(peak_mb(usage))
        print(f"{count:>5} slices: {seconds[count]:6.1f} s, {memory[count]} MB", flush=True)
    for few, many in pairwise(seconds):
        each_ms = 1000 * (seconds[many] - seconds[few]) / (many - few)
        print(f"from {few} to {many} slices: {each_ms:.0f} ms for each more")
    if arguments.json:
        found = json.loads(arguments.json.read_text("utf-8")) if arguments.json.exists() else {}
        found["processor_s_by_slices"] = {count: round(each, 1) for count, each in seconds.items()}
        found["peak_memory_mb_by_slices"] = memory
        if 500 in memory:
            found["peak_memory_mb_500"] = memory[500]
        arguments.json.write_text(json.dumps(found, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
