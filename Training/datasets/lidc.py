"""LIDC-IDRI: chest CT of patients with lung nodules, some with a radiograph beside it."""

from collections.abc import Iterator
from pathlib import Path

from Training.datasets.dataset import Dataset
from Training.datasets.index_file import Case
from Training.datasets.tcia import ct_cases


def cases(folder: Path) -> Iterator[Case]:
    """Every CT study, as controls."""
    return ct_cases(folder, "LIDC-IDRI", "Healthy")


LIDC_IDRI = Dataset(
    name="lidc-idri",
    licence="CC BY 3.0",
    citation="Armato S. G. et al., LIDC-IDRI, TCIA (2015), doi 10.7937/K9/TCIA.2015.LO9QL9SX",
    cases=cases,
    notes=("pixels outside the field of view are padded with -2000 or less",),
    controls="lung nodules, no pneumonia known",
)
