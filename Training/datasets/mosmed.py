"""MosMedData COVID19_1110: volumes by severity, lesion masks of fifty.

studies/CT-0/study_0001.nii.gz ... studies/CT-4/   masks/study_0255_mask.nii.gz
"""

from collections.abc import Iterator
from pathlib import Path

from Training.datasets.dataset import Dataset, wrong_layout
from Training.datasets.index_file import Case

NAME = "mosmed-1110"
# CT-0 is a CT without signs of viral pneumonia; CT-1 to CT-4 grow with the share involved.
CLASS_FOLDERS = {
    "CT-0": "Healthy",
    "CT-1": "COVID-19",
    "CT-2": "COVID-19",
    "CT-3": "COVID-19",
    "CT-4": "COVID-19",
}


def cases(folder: Path) -> Iterator[Case]:
    """One case per study, with its mask if there is one."""
    studies = folder / "studies"
    if not any((studies / name).is_dir() for name in CLASS_FOLDERS):
        raise wrong_layout(NAME, folder, "there is no folder studies/CT-0")
    for name, patient_class in CLASS_FOLDERS.items():
        for path in sorted((studies / name).glob("study_*.nii*")):
            study = path.name.split(".")[0]
            mask = next(iter(sorted((folder / "masks").glob(f"{study}_mask.nii*"))), None)
            yield Case(study, path, patient_class, mask=mask)


MOSMED = Dataset(
    name=NAME,
    licence="CC BY-NC-ND 3.0",
    citation="Morozov S. P. et al., MosMedData (2020), doi 10.1101/2020.05.20.20100362",
    cases=cases,
    notes=(
        "classes come from the CT, not from PCR: CT-1 to CT-4 is mapped to COVID-19, CT-0 "
        "(suspected, but no sign of viral pneumonia) to Healthy",
        "only every tenth slice is included; age and sex are not given",
    ),
)
