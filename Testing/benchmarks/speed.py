"""How much faster than another revision this checkout screens: both in turns, in one run.

    python -m Testing.benchmarks.speed CT [--against REVISION] [--turns 5] [--json FILE]

Each turn screens CT with the command line of either revision, in a fresh process: seconds from
start to written report, seconds of the processors, and peak memory. The other revision is checked
out beside this one with git and uses the same environment. Medians and their ratios; seconds vary
with the machine and its load, ratios from one run may be compared. `provisional_fraction` is when
the provisional verdict came, of the whole time.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
BEFORE = "fb6098c"


@dataclass(frozen=True)
class Run:
    """One screening: seconds, and peak memory in MB."""

    end_to_end_s: float
    processor_s: float
    peak_memory_mb: float
    provisional_s: float
    network_s: float
    engine: str


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("ct", type=Path)
    parser.add_argument("--against", default=BEFORE, help="revision to compare with")
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--engine", choices=("auto", "onnx", "pytorch"), default="auto")
    parser.add_argument("--json", type=Path, help="also write the figures there")
    arguments = parser.parse_args()
    old, new = [], []
    with checkout(arguments.against) as other:
        for _ in range(arguments.turns):
            old.append(screen(other, arguments.ct, ()))
            new.append(screen(ROOT, arguments.ct, ("--engine", arguments.engine)))
            print(old[-1], new[-1], sep="\n", flush=True)
    figures = compare(old, new, arguments.against)
    print(json.dumps(figures, indent=1))
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=1) + "\n", "utf-8")


@contextmanager
def checkout(revision: str) -> Iterator[Path]:
    """A worktree of the revision, removed afterwards."""
    with tempfile.TemporaryDirectory() as scratch:
        place = Path(scratch) / "other"
        git = ["git", "-C", str(ROOT), "worktree"]
        subprocess.run([*git, "add", "--detach", "--quiet", place, revision], check=True)
        try:
            yield place
        finally:
            subprocess.run([*git, "remove", "--force", place], check=True)


def screen(root: Path, ct: Path, options: tuple[str, ...]) -> Run:
    """Screen `ct` with the checkout `root` in a process of its own."""
    with tempfile.TemporaryDirectory() as scratch:
        out = Path(scratch) / "out"
        command = [sys.executable, "-m", "M3LungScreenLib", "screen", ct.resolve(), "-o", out]
        before, start = os.times(), time.perf_counter()
        provisional = start
        with subprocess.Popen(
            [*map(str, command), "--progress", "jsonl", *options],
            cwd=root,
            stdout=subprocess.PIPE,
            text=True,
        ) as run:
            assert run.stdout is not None
            for line in run.stdout:
                if json.loads(line)["event"] == "provisional":
                    provisional = time.perf_counter()
        if run.returncode:
            raise SystemExit(f"{root} could not screen {ct}")
        took, after = time.perf_counter() - start, os.times()
        result = json.loads((out / "result.json").read_text("utf-8"))
    processors = after.children_user + after.children_system
    return Run(
        end_to_end_s=took,
        processor_s=processors - before.children_user - before.children_system,
        peak_memory_mb=result["peak_memory_mb"],
        provisional_s=provisional - start,
        network_s=result["timing_s"]["slice_network"],
        engine=result.get("engine", {}).get("name", "pytorch"),
    )


def compare(old: list[Run], new: list[Run], revision: str) -> dict[str, Any]:
    """Medians over the turns and their ratios."""

    def median(runs: list[Run], name: str) -> float:
        return statistics.median(getattr(each, name) for each in runs)

    def ratio(name: str) -> float:
        return round(median(old, name) / median(new, name), 2)

    return {
        "turns": len(new),
        "end_to_end_s": round(median(new, "end_to_end_s"), 2),
        "network_s": round(median(new, "network_s"), 2),
        "processor_s": round(median(new, "processor_s"), 2),
        "speedup_over": {
            "revision": revision,
            "ratio": ratio("end_to_end_s"),
            "ratio_of_processor_s": ratio("processor_s"),
            "ratio_of_peak_memory": ratio("peak_memory_mb"),
        },
        "provisional_fraction": round(
            statistics.median(each.provisional_s / each.end_to_end_s for each in new), 3
        ),
        "peak_memory_mb": round(median(new, "peak_memory_mb")),
        "engines": sorted({each.engine for each in new}),
        "runs": {"before": [asdict(each) for each in old], "now": [asdict(each) for each in new]},
    }


if __name__ == "__main__":
    main()
