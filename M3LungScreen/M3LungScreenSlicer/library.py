"""Where the library lies, installed beside the module or in a checkout above it."""

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
        f"M3LungScreenLib lies neither in {MODULE_FOLDER} nor above it. "
        "Install the extension again, or add the whole checkout to the module paths."
    )


def make_importable() -> None:
    """Let `import M3LungScreenLib` work from a checkout; changes nothing where it does."""
    if importlib.util.find_spec("M3LungScreenLib") is None:
        sys.path.append(str(library_root()))
