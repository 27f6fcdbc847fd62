"""Finds the library: installed next to the module, or in a checkout above it."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

MODULE_FOLDER = Path(__file__).resolve().parent.parent


def library_root() -> Path:
    """The folder that holds M3LungScreenLib and Resources/Models."""
    for root in (MODULE_FOLDER, MODULE_FOLDER.parent):
        if (root / "M3LungScreenLib" / "__init__.py").is_file():
            return root
    raise ImportError(
        f"M3LungScreenLib was not found in {MODULE_FOLDER} or in the folder above it. "
        "Reinstall the extension, or add the module folder of a complete checkout."
    )


def make_importable() -> None:
    """Make `import M3LungScreenLib` work from a checkout; does nothing if it works already."""
    if importlib.util.find_spec("M3LungScreenLib") is None:
        sys.path.append(str(library_root()))
