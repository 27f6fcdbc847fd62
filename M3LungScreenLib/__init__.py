"""M3LungScreen: pneumonia screening from chest CT (pure Python, independent of Slicer).

    volume = read_ct("chest.nrrd")
    bundle = load_bundle("Resources/Models/compact")
    result = screen(volume, bundle)
    result.write("screened")

Names are imported on first use, so `import M3LungScreenLib` is fast.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from M3LungScreenLib.bundle import Bundle, load_bundle
    from M3LungScreenLib.classes import CLASSES
    from M3LungScreenLib.ct import CTVolume, Geometry
    from M3LungScreenLib.errors import (
        Cancelled,
        InputRefused,
        M3LungScreenError,
        ModelRefused,
        UsageError,
    )
    from M3LungScreenLib.reading import read_ct
    from M3LungScreenLib.result import Result
    from M3LungScreenLib.screening import screen
    from M3LungScreenLib.simulation.patient import simulate_patient

__version__ = "0.1.0"

_HOME = {
    "Bundle": "bundle",
    "CLASSES": "classes",
    "CTVolume": "ct",
    "Cancelled": "errors",
    "Geometry": "ct",
    "InputRefused": "errors",
    "M3LungScreenError": "errors",
    "ModelRefused": "errors",
    "Result": "result",
    "UsageError": "errors",
    "load_bundle": "bundle",
    "read_ct": "reading",
    "screen": "screening",
    "simulate_patient": "simulation.patient",
}

__all__ = [
    "CLASSES",
    "Bundle",
    "CTVolume",
    "Cancelled",
    "Geometry",
    "InputRefused",
    "M3LungScreenError",
    "ModelRefused",
    "Result",
    "UsageError",
    "load_bundle",
    "read_ct",
    "screen",
    "simulate_patient",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
