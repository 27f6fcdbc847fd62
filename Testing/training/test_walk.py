"""The developer's walk: a hospital's folders, index, training, bundle, calibration, evaluation."""

import json
from pathlib import Path

import numpy as np
import pytest

from M3LungScreenLib.__main__ import main as library
from M3LungScreenLib.bundle import load_bundle
from M3LungScreenLib.errors import UsageError
from Testing.stand_ins.chests import a_small_chest, write_volume
from Testing.stand_ins.dicom import write_series
from Testing.stand_ins.disc_cache import SMALL, SMOKE
from Training import calibrate, evaluate, export, finetune_joint, index, train_patient, train_slice
from Training.config import load_config
from Training.learning.run import BEST

CLASSES = ("Healthy", "COVID-19", "H1N1", "CAP")
PATIENTS = 6
OVERRIDES = ("slice.pairs=4", "patient.batch=4", "joint.slices=4")


def write_hospital(folder: Path) -> None:
    """Six patients a class, DICOM but for those with a mask; a lesion's size tells the class."""
    for c, name in enumerate(CLASSES):
        for n in range(PATIENTS):
            hu, mask = a_small_chest(10 * c + n), np.zeros((12, 64, 64), np.uint8)
            mask[4:8, 24 : 26 + 4 * c, 14:22] = c > 0
            hu[mask > 0] = -100
            if c == 0:
                write_series(folder / name / f"patient-{n}", hu)
            else:
                write_volume(folder / name / f"{name}-{n}.nrrd", hu)
                write_volume(folder / name / f"{name}-{n}-mask.nrrd", mask)


@pytest.fixture(scope="module")
def walked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`index.csv`, `run` and `bundle` after every command of Training/README.md but the last."""
    folder = tmp_path_factory.mktemp("walk")
    write_hospital(folder / "hospital")
    data, run, bundle = folder / "index.csv", folder / "run", folder / "bundle"
    index.main(["folders", str(folder / "hospital"), "-o", str(data), "--split"])
    asked = ["--config", SMOKE, "--data", data, "--cache", folder / "cache", "--device", "cpu"]
    asked += [word for each in (*SMALL, *OVERRIDES) for word in ("--set", each)]
    common = [*map(str, asked), "--out", str(run)]
    train_slice.main(common)
    train_patient.main(common)
    export.main([*common, "--bundle", str(bundle), "--no-graphs"])
    calibrate.main([str(bundle), "--data", str(data), "--device", "cpu"])
    return folder


def test_card_names_the_patients_and_the_calibration(walked: Path) -> None:
    card = load_bundle(walked / "bundle").card
    assert card["training_data"]["patients"]["training"] == dict.fromkeys(CLASSES, 3)
    assert card["training_data"]["patients"]["validation"] == dict.fromkeys(CLASSES, 1)
    assert card["calibration"]["patients"] == 4
    assert card["notes"][0].startswith("Trained on patients of folders: 3 Healthy, 3 COVID-19")
    fitted = card["calibration"]["location_map"]
    assert fitted["patients"] == 3
    assert card["settings"]["localization"]["threshold"] == fitted["threshold"]


def test_evaluation_of_the_test_split_is_complete(walked: Path) -> None:
    evaluate.main(
        [str(walked / "bundle"), "--data", str(walked / "index.csv"), "--out", str(walked / "e")]
    )
    metrics = json.loads((walked / "e/metrics.json").read_text("utf-8"))
    assert (walked / "e/gallery.png").stat().st_size > 1000
    assert len(list((walked / "e/montages").glob("*.png"))) == 8
    assert "8" in json.dumps(metrics["cases"])


def test_screen_opens_the_bundle(walked: Path) -> None:
    ct = walked / "hospital/Healthy/patient-0"
    asked = ["screen", str(ct), "-o", str(walked / "s"), "--model", str(walked / "bundle")]
    assert library([*asked, "--progress", "none"]) == 0
    result = json.loads((walked / "s/result.json").read_text("utf-8"))
    assert result["model"]["sha256"] == load_bundle(walked / "bundle").sha256


def test_both_levels_are_tuned_together_into_another_bundle(walked: Path) -> None:
    asked = ["--config", str(SMOKE), "--data", str(walked / "index.csv"), "--device", "cpu"]
    asked += ["--cache", str(walked / "cache"), "--out", str(walked / "joint")]
    asked += [word for each in (*SMALL, *OVERRIDES) for word in ("--set", each)]
    asked += ["--init", str(walked / "bundle")]
    finetune_joint.main(asked)
    export.main([*asked, "--bundle", str(walked / "joint-bundle"), "--no-graphs"])
    before, after = (load_bundle(walked / name) for name in ("bundle", "joint-bundle"))
    assert before.sha256 != after.sha256
    began = after.card["training_data"]["initial_weights"]
    assert before.sha256[:12] in began["model"]
    assert began["training_data"] == before.card["training_data"]


def test_fine_tuning_does_not_write_over_the_run_that_it_starts_from(walked: Path) -> None:
    asked = ["--config", str(SMOKE), "--data", str(walked / "index.csv"), "--device", "cpu"]
    asked += ["--cache", str(walked / "cache"), "--out", str(walked / "run")]
    asked += [word for each in (*SMALL, *OVERRIDES) for word in ("--set", each)]
    kept = [walked / "run" / level / BEST for level in ("slice", "patient")]
    before = [each.read_bytes() for each in kept]
    for more in ([], ["--resume"]):
        with pytest.raises(UsageError, match=r"run.slice holds the weights of another run"):
            finetune_joint.main([*asked, "--run", str(walked / "run"), *more])
    assert [each.read_bytes() for each in kept] == before


def test_fine_tuning_of_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="Name a finished run of both levels with --run, or a"):
        finetune_joint.make_network(load_config(SMOKE, []), None, None)
