"""MIDRC-RICORD: chest CT of patients tested positive (1A) and negative (1B) for COVID-19."""

from collections.abc import Iterator
from pathlib import Path

from Training.datasets.dataset import Dataset
from Training.datasets.index_file import Case
from Training.datasets.tcia import ct_cases

LICENCE = "CC BY-NC 4.0"
CITATION = "Tsai E. B. et al., MIDRC-RICORD Release {release}, TCIA (2020), doi {doi}"


def positive_cases(folder: Path) -> Iterator[Case]:
    """Every CT study of release 1A: COVID-19."""
    return ct_cases(folder, "MIDRC-RICORD-1A", "COVID-19")


def negative_cases(folder: Path) -> Iterator[Case]:
    """Every CT study of release 1B, as controls."""
    return ct_cases(folder, "MIDRC-RICORD-1B", "Healthy")


RICORD_1A = Dataset(
    name="ricord-1a",
    licence=LICENCE,
    citation=CITATION.format(release="1A", doi="10.7937/VTW4-X588"),
    cases=positive_cases,
    notes=("patients have several exams; the first by name that is fit counts",),
)
RICORD_1B = Dataset(
    name="ricord-1b",
    licence=LICENCE,
    citation=CITATION.format(release="1B", doi="10.7937/31V8-4A40"),
    cases=negative_cases,
    controls="a negative test; opacities of other causes are among them",
)
