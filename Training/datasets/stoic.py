"""STOIC2021: volumes with the result of the PCR in a table.

metadata/reference.csv (PatientID,probCOVID,probSevere)   data/mha/<PatientID>.mha
"""

import csv
from collections.abc import Iterator
from pathlib import Path

from M3LungScreenLib.errors import UsageError
from Training.datasets.dataset import Dataset, wrong_layout
from Training.datasets.headers import volume_person
from Training.datasets.index_file import Case

NAME = "stoic2021"


def cases(folder: Path) -> Iterator[Case]:
    """A case for each line of the table; age and sex from the volume's own header."""
    table = folder / "metadata" / "reference.csv"
    if not table.is_file():
        raise wrong_layout(NAME, folder, "there is no metadata/reference.csv")
    with table.open(newline="", encoding="utf-8-sig") as file:
        for row in csv.DictReader(file):
            yield _case(folder / "data" / "mha" / f"{row['PatientID']}.mha", row)


def _case(path: Path, row: dict[str, str]) -> Case:
    if not path.is_file():
        raise UsageError("layout", f"{path} is in the table but missing. Download all volumes.")
    age, sex = volume_person(path)
    positive = float(row["probCOVID"]) == 1
    return Case(row["PatientID"], path, "COVID-19" if positive else "Healthy", age=age, sex=sex)


STOIC = Dataset(
    name=NAME,
    licence="CC BY-NC 4.0",
    citation="Revel M.-P. et al., Radiology 301 (2021) E361-E370, doi 10.1148/radiol.2021210384",
    cases=cases,
    notes=(
        "classes come from PCR: some positive patients have no lesion, and no table says which",
        "ages are rounded to the middle of a decade, 35 to 85",
    ),
    controls="suspected patients with a negative PCR, who may have another pneumonia",
)
