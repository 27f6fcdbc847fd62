"""Weights of a run or a bundle, read from disk."""

from hashlib import file_digest
from pathlib import Path

import torch

from M3LungScreenLib.bundle import load_bundle
from M3LungScreenLib.errors import UsageError


def load_weights(path: Path) -> dict[str, torch.Tensor]:
    """The weights of a network, on the CPU; UsageError if the file is missing."""
    _check_there(path)
    return dict(torch.load(path, map_location="cpu", weights_only=True))


def weights_sha256(path: Path) -> str:
    """The SHA-256 of a weights file; UsageError if it is missing."""
    _check_there(path)
    with path.open("rb") as file:
        return file_digest(file, "sha256").hexdigest()


def _check_there(path: Path) -> None:
    if not path.is_file():
        raise UsageError(
            "run",
            f"There are no weights at {path}. Train the slice level first, then the patient level, "
            "with the same --out.",
        )


def bundled_weights(bundle: Path, level: str) -> dict[str, torch.Tensor]:
    """A bundle's weights of 'slice' or 'patient'."""
    weights = load_bundle(bundle).weights(level)
    return {name: torch.from_numpy(array) for name, array in weights.items()}
