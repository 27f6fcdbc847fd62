"""Where the time of one screening goes: `make bench`.

Seconds vary with the machine; the ratios (each step's share, preview over full)
come from one run and may be compared.
"""

import argparse
import time
from pathlib import Path

from M3LungScreenLib import load_bundle, read_ct, screen, simulate_patient

ROOT = Path(__file__).parents[2]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ct", type=Path, help="a CT to read; without it one is simulated")
    parser.add_argument("--model", type=Path, default=ROOT / "Resources/Models/compact")
    arguments = parser.parse_args()

    start = time.perf_counter()
    if arguments.ct:
        volume = read_ct(arguments.ct)
    else:
        volume = simulate_patient("covid19", 1, slice_count=100, slice_thickness_mm=3.0).volume
    print(f"{'read' if arguments.ct else 'simulate':<20}{time.perf_counter() - start:7.2f} s")

    bundle = load_bundle(arguments.model)
    screen(volume, bundle, detail="preview")  # the first run pays for loading torch
    full, preview = screen(volume, bundle), screen(volume, bundle, detail="preview")
    total = full.timing_s.total
    print(f"\n{volume.slice_count} slices of {volume.hu.shape[1:]} on {full.device}")
    for step in ("preprocess", "slice_network", "patient_network", "localization"):
        seconds = getattr(full.timing_s, step)
        print(f"{step:<20}{seconds:7.2f} s{seconds / total:8.1%} of the screening")
    print(f"{'total':<20}{total:7.2f} s")
    print(f"{'preview / full':<20}{preview.timing_s.total / total:7.2f}")
    print(f"{'peak memory':<20}{full.peak_memory_mb:7.0f} MB")


if __name__ == "__main__":
    main()
