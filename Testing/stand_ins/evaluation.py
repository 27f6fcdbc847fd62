"""A bundle of untrained networks at 64 pixels, and a small index of simulated patients."""

import csv
from pathlib import Path

import numpy as np
import SimpleITK as sitk
import torch

from M3LungScreenLib.bundle import Bundle, save_bundle
from M3LungScreenLib.classes import class_by_key
from M3LungScreenLib.networks.patient_network import PatientNetwork
from M3LungScreenLib.networks.slice_network import SliceNetwork
from M3LungScreenLib.settings import PRESETS, with_values
from M3LungScreenLib.simulation.patient import simulate_patient
from Testing.stand_ins.slices import SIZE

COLUMNS = ("case_id", "path", "patient_class", "split", "slice_labels", "mask")


def untrained_bundle(folder: Path) -> Bundle:
    """The compact preset's networks with random weights, the same each time."""
    settings = with_values(PRESETS["compact"], {"preprocessing.input_size": SIZE})
    torch.manual_seed(0)
    networks = SliceNetwork(settings.slice_network), PatientNetwork(settings.patient_network)
    weights = [{k: v.numpy() for k, v in each.state_dict().items()} for each in networks]
    return save_bundle(
        folder,
        name="untrained",
        version="0",
        settings=settings,
        slice_weights=weights[0],
        patient_weights=weights[1],
        card={"notes": ["Made up.", "Never verified.", "Probabilities are not calibrated."]},
    )


def write_index(folder: Path, keys: tuple[str, ...], split: str = "") -> Path:
    """A simulated patient for each class key, labels and mask of the ill ones; a file of noise."""
    rows = [_patient(folder, key, seed, split) for seed, key in enumerate(keys)]
    sitk.WriteImage(sitk.Image(64, 64, 12, sitk.sitkInt16), str(folder / "empty.nrrd"))
    rows.append(("empty/1", "empty.nrrd", "CAP", split, "", ""))
    with (folder / "index.csv").open("w", newline="") as file:
        csv.writer(file).writerows([COLUMNS, *rows])
    return folder / "index.csv"


def _patient(folder: Path, key: str, seed: int, split: str) -> tuple[str, ...]:
    made = simulate_patient(key, seed, slice_count=30, slice_thickness_mm=10.0, matrix=96)
    name, mask = f"{key}-{seed}", f"{key}-{seed}-mask.nrrd" if made.truth.any() else ""
    geometry = made.volume.geometry
    sitk.WriteImage(geometry.with_array(made.volume.hu), str(folder / f"{name}.nrrd"))
    if mask:
        sitk.WriteImage(geometry.with_array(made.truth), str(folder / mask))
    labels = "s" + "".join(str(int(each)) for each in np.any(made.truth, axis=(1, 2)))
    return name, f"{name}.nrrd", class_by_key(key).name, split, labels, mask
