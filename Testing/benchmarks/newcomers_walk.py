"""Every command of the README on 40 simulated patients written as DICOM, and on real ones.

    python -m Testing.benchmarks.newcomers_walk [--out build/walk] [--patients 10]

Ten patients a class of 8 mm slices, the ill with a mask; the config is `smoke`. Where
M3LUNGSCREEN_DATA names the folder with the three labelled patients of COVID-CT-MD, they are
laid out as that set is and evaluated, too. Prints the seconds of each command.
"""

import argparse
import csv
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from M3LungScreenLib.classes import CLASSES, PatientClass
from M3LungScreenLib.dicom.found import find_scans
from M3LungScreenLib.reading import read_ct
from M3LungScreenLib.simulation.patient import simulate_patient
from Testing.stand_ins.dicom import write_series

ROOT = Path(__file__).parents[2]
THICKNESS_MM, MATRIX = 8.0, 192
CONFIG = "Training/configs/smoke.yaml"
REAL = {
    "covid-P001": "COVID-19 subjects/P001",
    "cap-001": "CAP subjects/cap001",
    "normal-001": "Normal subjects/normal001",
}


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=Path("build/walk"))
    parser.add_argument("--patients", type=int, default=10, help="of each class")
    parsed = parser.parse_args(arguments)
    out = parsed.out.resolve()
    write_hospital(out / "hospital", parsed.patients)
    index, run, bundle = out / "index.csv", out / "run", out / "run/bundle"
    learning = ["--config", CONFIG, "--data", index, "--out", run, "--cache", out / "cache"]
    walk("Training.index", "folders", out / "hospital", "-o", index, "--split")
    walk("Training.train_slice", *learning)
    walk("Training.train_patient", *learning)
    walk("Training.export", *learning, "--bundle", bundle)
    walk("Training.calibrate", bundle, "--data", index)
    walk("Training.evaluate", bundle, "--data", index, "--out", out / "evaluation")
    ct = out / "hospital/CAP/patient-300"
    walk("M3LungScreenLib", "screen", ct, "--model", bundle, "-o", out / "screened")
    if data := os.environ.get("M3LUNGSCREEN_DATA"):
        lay_out_real(Path(data), out / "COVID-CT-MD")
        real = out / "real.csv"
        walk("Training.index", "covid-ct-md", out / "COVID-CT-MD", "-o", real)
        walk("Training.evaluate", bundle, "--data", real, "--out", out / "evaluation-real")


def walk(module: str, *arguments: object) -> None:
    """Run `python -m module arguments`; what it prints is shown, and its seconds."""
    started = time.perf_counter()
    asked = [sys.executable, "-m", module, *map(str, arguments)]
    subprocess.run(asked, cwd=ROOT, check=True)
    print(f"--- {module}: {time.perf_counter() - started:.0f} s\n", flush=True)


def write_hospital(folder: Path, patients: int) -> None:
    for each in CLASSES:
        for n in range(patients):
            _write_patient(folder / each.name / f"patient-{each.index}{n:02d}", each, n)


def _write_patient(folder: Path, of_class: PatientClass, number: int) -> None:
    """A DICOM series with age and sex, and beside it a mask of its lesions."""
    seed = 1000 * of_class.index + number
    made = simulate_patient(of_class.key, seed, slice_thickness_mm=THICKNESS_MM, matrix=MATRIX)
    person = {"PatientID": folder.name, "PatientSex": "FM"[number % 2]}
    write_series(
        folder,
        np.clip(made.volume.hu, -1024, 3071),
        pixel_mm=made.volume.spacing_mm[0],
        thickness_mm=THICKNESS_MM,
        PatientAge=f"{40 + number:03d}Y",
        **person,
    )
    if made.truth.any():
        mask = read_ct(folder).to_stored(made.truth)
        sitk.WriteImage(mask, f"{folder}-mask.nii.gz")


def lay_out_real(data: Path, folder: Path) -> None:
    """The labelled patients in COVID-CT-MD's own layout, labels from head to feet."""
    with (data / "slice_labels.csv").open() as file:
        rows = list(csv.DictReader(file))
    labels, lines = np.zeros((len(REAL), 400)), []
    for k, (name, place) in enumerate(REAL.items()):
        link = folder / place
        link.parent.mkdir(parents=True, exist_ok=True)
        link.unlink(missing_ok=True)
        link.symlink_to(data / "ct" / name)
        lesion = {Path(each["file"]).name: each["lesion"] for each in rows if each["case"] == name}
        head_first = find_scans(link)[0].from_feet[::-1]
        labels[k, : len(head_first)] = [int(lesion[each.path.name]) for each in head_first]
        lines.append((k, "", "", link.name))
    np.save(folder / "Slice-level-labels.npy", labels)
    with (folder / "Index.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("Label Index", "Diagnosis", "Relative Path", "Folder/ID")])
        csv.writer(file).writerows(lines)


if __name__ == "__main__":
    main()
