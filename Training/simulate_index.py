"""Write simulated patients as volumes with an index, to calibrate on or to try the scripts.

    python -m Training.simulate_index -o build/calibration [--bodies 10]
        [--backgrounds build/backgrounds]

Each body gives four patients: healthy, and with lesions of each disease and their truth masks.
With --backgrounds half the bodies are real chests held out from training. None is used in training
or in tests.
"""

import argparse
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from tqdm.contrib.concurrent import process_map

from M3LungScreenLib.classes import CLASSES
from M3LungScreenLib.outputs.nrrd import write_nrrd
from Training.command_line import run_script
from Training.config import DataSettings
from Training.datasets.dataset import SIMULATED_PATIENTS, Dataset
from Training.datasets.index_file import SPLITS, Case
from Training.datasets.index_writer import write_index, write_terms
from Training.sources.backgrounds import names_in
from Training.sources.simulated_slices import CALIBRATION, ILL, Pair, Source, chest_of, make_pair

SIMULATED = Dataset(
    name=SIMULATED_PATIENTS,
    licence="that of M3LungScreen; real chests: CC BY 3.0 and 4.0 (TCIA)",
    citation="M3LungScreenLib.simulation",
    cases=lambda folder: iter(()),
)
NAME_OF = {each.key: each.name for each in CLASSES}


@dataclass(frozen=True)
class Body:
    """One chest; in a real one (`background`) the lesions and harmless findings are simulated."""

    seed: int
    background: str | None

    @property
    def name(self) -> str:
        return f"{self.background or 'simulated'}-{self.seed}"


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("-o", "--out", type=Path, required=True, help="folder to write")
    parser.add_argument(
        "--bodies", type=int, default=10, help="number of chests; each gives one patient per class"
    )
    parser.add_argument("--backgrounds", type=Path, help="folder made by gather_backgrounds")
    parser.add_argument("--split", default="validation", choices=SPLITS, help="split of all cases")
    parser.add_argument("--processes", type=int, default=2, help="processes to use")
    parsed = parser.parse_args(arguments)
    parsed.out.mkdir(parents=True, exist_ok=True)
    task = partial(write_body, out=parsed.out, folder=parsed.backgrounds, split=parsed.split)
    bodies = list_bodies(parsed.bodies, parsed.backgrounds)
    made = process_map(task, bodies, max_workers=parsed.processes, chunksize=1, desc="bodies")
    index = parsed.out / "index.csv"
    write_index(index, [case for cases in made for case in cases])
    write_terms(index, SIMULATED)
    print(index)


def list_bodies(count: int, folder: Path | None) -> list[Body]:
    """The same list each time; every other body is real, from the held-out backgrounds."""
    held_out = DataSettings().validation_backgrounds
    names = [name for name in names_in(folder) if name in held_out]
    places = [each for name in names for each in (None, name)] or [None]
    return [Body(CALIBRATION + n, places[n % len(places)]) for n in range(count)]


def write_body(body: Body, out: Path, folder: Path | None, split: str) -> list[Case]:
    """Write the four patients of one chest; their cases."""
    pairs = {key: make_pair(Source(key, body.seed, body.background), folder) for key in ILL}
    spacing_mm = chest_of(Source(ILL[0], body.seed, body.background), folder).spacing_mm
    write = partial(_write, body, out, spacing_mm, split)
    return [write("healthy", pairs[ILL[0]], False)] + [
        write(key, pair, True) for key, pair in pairs.items()
    ]


def _write(
    body: Body,
    out: Path,
    spacing_mm: tuple[float, float, float],
    split: str,
    key: str,
    pair: Pair,
    is_ill: bool,
) -> Case:
    name = f"{body.name}-{key}"
    path, mask = out / f"{name}.nrrd", out / f"{name}-mask.nrrd"
    _save(pair.ill if is_ill else pair.clean, spacing_mm, path)
    if is_ill:
        _save(np.asarray(pair.truth > 0, np.uint8), spacing_mm, mask)
    return Case(name, path, NAME_OF[key], split=split, mask=mask if is_ill else None)


def _save(array: np.ndarray, spacing_mm: tuple[float, float, float], path: Path) -> None:
    image = sitk.GetImageFromArray(array)
    image.SetSpacing(spacing_mm)
    write_nrrd(image, path)


if __name__ == "__main__":
    run_script(main)
