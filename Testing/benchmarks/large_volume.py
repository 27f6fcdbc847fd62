"""What a matrix of 1024² costs: the same chest in 512² and 1024², screened as a user would.

    python -m Testing.benchmarks.large_volume [--detail preview] [--slices 665]

Each runs in a process of its own; printed are its seconds, those of its processors and
its peak of memory (reading, screening and writing together), and how many times as long
the larger took. On a busy machine compare the processors' seconds.
"""

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from M3LungScreenLib import simulate_patient
from M3LungScreenLib.ct import Geometry
from M3LungScreenLib.outputs.nrrd import Slices, write_nrrd

ROOT = Path(__file__).parents[2]
SOURCE_MATRIX, HEIGHT_MM, NOISE_HU = 256, 330.0, 12.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--slices", type=int, default=665)
    parser.add_argument("--detail", choices=("full", "preview"), default="preview")
    parser.add_argument("--model", type=Path, default=ROOT / "Resources/Models/compact")
    parser.add_argument("--folder", type=Path, help="where the two CTs lie and stay")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        seconds, cpu = {}, {}
        for matrix in (512, 1024):
            ct = folder / f"chest-{matrix}-{arguments.slices}.nrrd"
            if not ct.is_file():
                write_chest(ct, matrix, arguments.slices)
            seconds[matrix], usage = timed(ct, arguments.model, arguments.detail)
            cpu[matrix] = usage.ru_utime + usage.ru_stime
            print(
                f"{matrix}² × {arguments.slices}: {seconds[matrix]:.1f} s, of processors "
                f"{cpu[matrix]:.1f} s, {peak_mb(usage):.0f} MB",
                flush=True,
            )
    ratios = [each[1024] / each[512] for each in (seconds, cpu)]
    print(f"1024² over 512²: {ratios[0]:.2f} times as long, {ratios[1]:.2f} times the work")


def write_chest(path: Path, matrix: int, slices: int) -> None:
    """A simulated chest, each pixel and slice repeated, with noise of its own in each voxel."""
    volume = simulate_patient("covid19", 7, slice_count=max(24, slices // 6)).volume
    factor, x_mm = matrix // SOURCE_MATRIX, volume.spacing_mm[0]
    rng = np.random.default_rng(0)

    def drawn() -> Iterator[np.ndarray]:
        for k in range(slices):
            small = volume.hu[k * volume.slice_count // slices]
            large = small.repeat(factor, axis=0).repeat(factor, axis=1)
            noise = rng.standard_normal(large.shape, np.float32) * NOISE_HU
            yield (large + noise).astype(np.int16)

    spacing_mm = (x_mm / factor, x_mm / factor, HEIGHT_MM / slices)
    write_nrrd(Slices(drawn(), Geometry((matrix, matrix, slices), spacing_mm)), path)


def timed(ct: Path, model: Path, detail: str) -> tuple[float, resource.struct_rusage]:
    """Seconds of one `screen` command, and what it used."""
    with tempfile.TemporaryDirectory() as out:
        command = [sys.executable, "-m", "M3LungScreenLib", "screen", str(ct)]
        command += ["--model", str(model), "--detail", detail, "-o", f"{out}/result"]
        start = time.perf_counter()
        child = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        if child.returncode:
            raise SystemExit(f"{' '.join(command)} ended with {child.returncode}")
        return time.perf_counter() - start, usage


def peak_mb(usage: resource.struct_rusage) -> float:
    """Linux counts kilobytes, macOS bytes."""
    return usage.ru_maxrss / (1024 if sys.platform == "linux" else 1024**2)


if __name__ == "__main__":
    main()
