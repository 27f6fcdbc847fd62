"""A cache that holds bright discs under the names of a config's patients: training in seconds."""

from pathlib import Path

import numpy as np

from Testing.stand_ins.slices import SIZE, slices_with_discs
from Training.config import load_config
from Training.sources.patient_features import patient_sources, patients_folder
from Training.sources.simulated_slices import KEPT, slice_sources, slices_folder

SMOKE = Path(__file__).parents[2] / "Training/configs/smoke.yaml"
SMALL = (f"model.preprocessing.input_size={SIZE}", "slice.precision=float32")


def fill_cache(cache: Path, *overrides: str) -> None:
    """Discs under the names of the smoke config's patients, `overrides` as of --set."""
    config = load_config(SMOKE, [*SMALL, *overrides])
    data = config.data
    slices = slices_folder(cache, data, config.model.preprocessing)
    patients = patients_folder(cache, config)
    for folder in (slices, patients):
        folder.mkdir(parents=True, exist_ok=True)
    for held_out in (False, True):
        for source in slice_sources(data, [], held_out):
            made = vars(slices_with_discs(4, source.seed))
            np.savez(slices / f"{source.name}.npz", **{name: made[name] for name in KEPT})
        for source in patient_sources(config, [], held_out):
            patient = slices_with_discs(9, source.seed)
            ill, clean, every = patient.ill[:], patient.clean[:], np.ones(len(patient), bool)
            np.savez(patients / f"{source.name}.npz", ill=ill, clean=clean, lesions=every)
