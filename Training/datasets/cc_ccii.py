"""CC-CCII: slices as images, and a list of those with a lesion.

NCP/<patient>/<scan>/0000.jpg   CP/...   Normal/...   lesions_slices.csv   metadata.csv
"""

import csv
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from Training.datasets.dataset import Dataset, subfolders, wrong_layout
from Training.datasets.examination import slice_images
from Training.datasets.headers import Person, age_in_years
from Training.datasets.index_file import Case

NAME = "cc-ccii"
# CP is common pneumonia: bacterial, and viral other than COVID-19.
CLASS_FOLDERS = {"Normal": "Healthy", "NCP": "COVID-19", "CP": "CAP"}
SEXES = {"1": "M", "2": "F"}


def cases(folder: Path) -> Iterator[Case]:
    """One case per scan; `case_id` is class and patient, as numbers recur between classes."""
    found = [folder / name for name in CLASS_FOLDERS if (folder / name).is_dir()]
    if not found:
        raise wrong_layout(NAME, folder, f"it contains none of {', '.join(CLASS_FOLDERS)}")
    lesions, people = _lesions(folder / "lesions_slices.csv"), _people(folder / "metadata.csv")
    for class_folder in found:
        for patient in subfolders(class_folder):
            for scan in subfolders(patient):
                marked = lesions.get((class_folder.name, patient.name, scan.name))
                age, sex = people.get(patient.name, (None, None))
                yield Case(
                    f"{class_folder.name}-{patient.name}",
                    scan,
                    CLASS_FOLDERS[class_folder.name],
                    slice_labels=_labels(scan, marked),
                    age=age,
                    sex=sex,
                )


def _labels(scan: Path, marked: set[str] | None) -> tuple[int, ...] | None:
    """From feet to head; the numbers of the images run from head to feet."""
    if marked is None:
        return None
    return tuple(int(each.stem in marked) for each in reversed(slice_images(scan)))


def _lesions(table: Path) -> dict[tuple[str, ...], set[str]]:
    """Names of the images with a lesion, by class, patient and scan."""
    marked: dict[tuple[str, ...], set[str]] = {}
    for line in table.read_text().splitlines() if table.is_file() else []:
        parts = PurePosixPath(line.strip()).parts
        if len(parts) == 4:
            marked.setdefault(parts[:3], set()).add(PurePosixPath(parts[3]).stem)
    return marked


def _people(table: Path) -> dict[str, Person]:
    if not table.is_file():
        return {}
    with table.open(newline="", encoding="utf-8-sig") as file:
        return {each["patient_id"]: _person(each) for each in csv.DictReader(file)}


def _person(row: dict[str, str]) -> Person:
    age = age_in_years((row.get("Age") or "").removesuffix(".0"))
    sex = (row.get("Sex(Male1/Female2)") or "").removesuffix(".0")
    return age, SEXES.get(sex)


CC_CCII = Dataset(
    name=NAME,
    licence="not stated in the files; CC BY 3.0 CN according to the download page",
    citation="Zhang K. et al., Cell 181 (2020) 1423-1433, doi 10.1016/j.cell.2020.04.045",
    cases=cases,
    notes=(
        "slices are 8-bit images, not HU: windows and lung crop cannot match those of a CT",
        "common pneumonia (CP: bacterial, and viral other than COVID-19) is mapped to CAP",
        "slices are ordered by number and assumed to run from head to feet; this is not documented "
        "and known to be wrong in some scans",
    ),
)
