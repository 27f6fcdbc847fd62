"""What screening says of odd inputs, beside what is right.

    python -m Testing.benchmarks.odd_inputs FOLDER [NAME ...] [--detail full] [--json FILE]
        [--make SCRIPTS --with PYTHON]

FOLDER holds inputs such as people report: one CT of a patient with COVID-19 and one of a healthy
one, with another header, another file format or something missing. `--make` first runs the
scripts `cases*.py` in SCRIPTS, which write them there; they need packages that this project does
not (pydicom with decoders, nibabel, pynrrd), hence a Python of their own. Prints a table: case,
what screening said, whether that is right, seconds. Exit status 1 if anything is wrong.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from M3LungScreenLib import InputRefused, Result, UsageError, load_bundle, read_ct, screen
from M3LungScreenLib.classes import INDETERMINATE
from M3LungScreenLib.engines.choice import make_engine

ROOT = Path(__file__).parents[2]
# The untouched copies, by the patient's prefix in the names of cases.
UNTOUCHED = {"": "nii_plain.nii.gz", "n_": "n_table.nrrd"}
# The same lungs: volumes (share) and involvement (absolute) may differ by this.
SAME_VOLUME, SAME_INVOLVEMENT = 0.04, 0.02
TIGHT_VOLUME = 0.10
# What the scripts leave beside their inputs, among it the pixels of a detached header.
SCRATCH = ("t.dcm", "t_zip", "t.nii", "nii_analyze.img", "nrrd_detached_nrrd.nrrd")
DATA_OF_OTHERS = (".raw", ".raw.gz")

# What is right where it is not 'same' (the verdict and the lungs of the untouched copy): one of
#   lungs       the volumes are right, the verdict is free (the picture itself has changed)
#   tight       the volumes are right within 10 %
#   warned      there is an answer, and a warning that the untouched copy has not
#   no verdict  'indeterminate', with a reason that the untouched copy has not
#   refused     one sentence and no result
RIGHT = {
    "no_ipp": "refused",
    "no_iop": "refused",
    "no_pixelspacing": "refused",
    "no_slope": "same|refused",
    "slope0": "refused",
    "no_rescale_signed_hu": "refused|warned",
    "rect_pixels": "same|no verdict",
    "missing_slice": "warned",
    "missing_block": "warned|no verdict|refused",
    "mixed_thickness": "warned|no verdict|refused",
    "truncated_middle": "refused",
    "no_pixeldata_one": "refused|warned",
    "two_patients": "warned|refused",
    "two_acq_offset_half": "warned",
    "two_acq_same_place": "warned",
    "two_kernels_one_uid_other_number": "warned",
    "mip_more_slices": "warned",
    "seriesnumber_same_two_uids": "warned",
    "enh_two_stacks": "warned",
    "enh_missing": "warned|no verdict|refused",
    "mf_plain_ct": "warned|refused",
    "mf_plain_ct_nosbs": "warned|refused",
    "sop_sc": "same|warned|refused",
    "sop_sc_convtype": "same|warned|refused",
    "sop_mr": "warned|refused",
    "sop_pet": "warned|refused",
    "iop_zero": "refused",
    "ipp_comma": "refused",
    "modality_missing": "same|refused",  # its storage class says CT
    "mixed_size": "warned|no verdict|refused",
    "study": "same|refused",
    "nii_eye": "no verdict|refused",
    "nii_nocodes": "warned|no verdict|refused",
    "nii_spacing1_diag": "no verdict|refused",
    "nii_transposed_diag": "no verdict|refused",
    "nii_sform_thick": "same|no verdict|refused",  # nibabel repairs the header as it saves it
    "nii_zflip_sign": "no verdict|refused",
    "nii_sform_unit": "same|no verdict|refused",
    "nii_sform_singular": "same|no verdict|refused",
    "nii_shear": "no verdict|refused",
    "nii_1xyz": "refused",
    "nii_4d2": "refused",
    "nii_notgz": "same|refused",
    "nii_analyze": "same|refused",
    "nrrd_noSpace": "warned|no verdict|refused",
    "nrrd_nothing": "refused",
    "nrrd_bzip2": "same|refused",
    "nrrd_ascii": "no verdict",
    "nrrd_list4d.seq": "same|refused",
    "mhd_neg": "same|no verdict|refused",
    "gipl": "same|refused",
    "vol": "refused",
    "u16_4095": "refused",
    "hu1000_offset": "refused",
    "clip_m600": "no verdict|refused",
    "clip_m1000_m100": "no verdict|refused",
    "norm01": "refused",
    "u8": "refused",
    "windowed_f32": "refused",
    "scaled1000": "refused",
    "hu_times_0.8": "no verdict|refused",
    "n_masked_lungs0": "no verdict|refused",
    "n_masked_lungs_m1024": "no verdict|refused",
    "n_fovcrop_tight": "tight|warned|no verdict",
    "n_noise60": "lungs",
    "n_noise120": "lungs|no verdict|refused",
    "n_sharp": "lungs",
    "n_smooth": "lungs",
    "n_expiration": "lungs",
    "n_metal": "lungs",
    "n_offset_p24": "lungs",
    "n_offset_m24": "lungs",
    "n_whiteout_left": "warned|lungs",
    "n_child": "child",
    "n_infant": "child|no verdict|refused",
    "n_flip_lr": "no verdict",
    "n_flip_ap": "no verdict",
    "n_flip_z": "no verdict",
    "n_apex_only": "no verdict|refused",
    "n_base_only": "no verdict|refused",
}


@dataclass(frozen=True)
class Said:
    """What one input got: `verdict` is 'refused' with the message in `words`, or a class."""

    verdict: str
    right_ml: float = 0.0
    left_ml: float = 0.0
    involved: float = 0.0
    codes: tuple[str, ...] = ()
    words: tuple[str, ...] = ()
    seconds: float = 0.0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("names", nargs="*", help="only these, without suffix")
    parser.add_argument("--make", type=Path, metavar="SCRIPTS")
    parser.add_argument("--with", dest="python", default=sys.executable, metavar="PYTHON")
    parser.add_argument("--detail", choices=("full", "preview"), default="preview")
    parser.add_argument("--json", type=Path, help="also write every figure there")
    arguments = parser.parse_args()
    if arguments.make:
        make(arguments.make, arguments.python, arguments.folder)
    said = screen_all(arguments.folder, arguments.names, arguments.detail)
    untouched = {prefix: said[_name(Path(file))] for prefix, file in UNTOUCHED.items()}
    verdicts = {name: is_right(name, each, untouched) for name, each in said.items()}
    for name, each in said.items():
        print(line(name, each, verdicts[name]))
    print(f"{sum(verdicts.values())} of {len(said)} right")
    if arguments.json:
        figures = {name: asdict(each) | {"right": verdicts[name]} for name, each in said.items()}
        arguments.json.write_text(json.dumps(figures, indent=1, ensure_ascii=False), "utf-8")
    return 0 if all(verdicts.values()) else 1


def make(scripts: Path, python: str, folder: Path) -> None:
    """Run each `cases*.py` of `scripts`, which writes its inputs into `folder`."""
    place = {**os.environ, "ODD_OUT": str(folder.resolve()), "PYTHONDONTWRITEBYTECODE": "1"}
    for script in sorted(scripts.glob("cases*.py")):
        subprocess.run([python, script.name], cwd=scripts, env=place, check=True)


def screen_all(folder: Path, names: list[str], detail: str) -> dict[str, Said]:
    """Every input in `folder` by name (without suffix), the untouched ones first."""
    bundle = load_bundle(ROOT / "Resources/Models/compact")
    engine = make_engine(bundle, "auto")
    first = list(UNTOUCHED.values())
    said = {}
    for path in sorted(folder.iterdir(), key=lambda each: (each.name not in first, each.name)):
        wanted = not names or _name(path) in names or path.name in first
        if wanted and path.name not in SCRATCH and not path.name.endswith(DATA_OF_OTHERS):
            start = time.perf_counter()
            try:
                result = screen(read_ct(_input(path)), bundle, engine=engine, detail=detail)
                answer = _answer(result, time.perf_counter() - start)
            except (InputRefused, UsageError) as refusal:
                took = time.perf_counter() - start
                answer = Said("refused", codes=(refusal.kind,), words=(str(refusal),), seconds=took)
            except Exception as wrong:  # a crash is a finding, and the others are still tried
                answer = Said("crashed", words=(repr(wrong),))
            said[_name(path)] = answer
            print(line(_name(path), answer), file=sys.stderr, flush=True)
    return said


def is_right(name: str, said: Said, untouched: dict[str, Said]) -> bool:
    """Whether one of the answers that are right for the case was given."""
    reference = untouched["n_" if name.startswith("n_") else ""]
    return any(_fits(each, said, reference) for each in RIGHT.get(name, "same").split("|"))


def line(name: str, said: Said, right: bool | None = None) -> str:
    """A row of the table."""
    lungs = "" if said.verdict == "refused" else f"{said.right_ml:.0f}+{said.left_ml:.0f} ml"
    words = " | ".join(said.words)
    mark = {True: "ok", False: "WRONG", None: ""}[right]
    return f"{mark:<6}{name:<34}{said.verdict:<14}{lungs:<14}{said.seconds:5.1f} s  {words[:160]}"


def _fits(wanted: str, said: Said, reference: Said) -> bool:
    if wanted == "refused":
        return said.verdict == "refused"
    if said.verdict in ("refused", "crashed"):
        return False
    new = set(said.codes) - set(reference.codes)
    if wanted == "warned":
        return bool(new)
    if wanted == "no verdict":
        return said.verdict == INDETERMINATE and bool(set(said.words) - set(reference.words))
    if wanted == "child":  # 0.45³ or less of the adult's volume
        return 0.02 * reference.right_ml < said.right_ml < 0.1 * reference.right_ml
    tolerance = TIGHT_VOLUME if wanted == "tight" else SAME_VOLUME
    lungs = _near(said.right_ml, reference.right_ml, tolerance) and _near(
        said.left_ml, reference.left_ml, tolerance
    )
    if wanted in ("lungs", "tight"):
        return lungs
    involved = abs(said.involved - reference.involved) <= SAME_INVOLVEMENT
    return lungs and involved and said.verdict == reference.verdict


def _near(a: float, b: float, tolerance: float) -> bool:
    return abs(a - b) <= tolerance * max(b, 1.0)


def _answer(result: Result, seconds: float) -> Said:
    patient, lungs = result.patient, result.lung_volume_ml
    warnings = [each for each in result.warnings if each.code != "preview"]
    reasons = patient.reasons if patient else ()
    return Said(
        verdict=patient.verdict if patient else "no patient",
        right_ml=lungs.right,
        left_ml=lungs.left,
        involved=result.involvement.total.fraction,
        codes=tuple(each.code for each in warnings),
        words=(*reasons, *(each.message for each in warnings if each.message not in reasons)),
        seconds=seconds,
    )


def _name(path: Path) -> str:
    """'nii_plain' of nii_plain.nii.gz; folders keep their dots."""
    name = path.name
    if path.is_dir():
        return name
    return name.removesuffix(".gz").rpartition(".")[0] or name


def _input(path: Path) -> Path:
    """A folder that holds one MetaImage stands for that file."""
    inside = list(path.glob("*.mhd")) if path.is_dir() else []
    return inside[0] if inside else path


if __name__ == "__main__":
    sys.exit(main())
