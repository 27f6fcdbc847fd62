"""`slicer.i18n`, which `slicer-core` has not: every text is in its own language."""

import sys
from types import ModuleType

import slicer


def install() -> None:
    """Make `from slicer.i18n import tr, translate` work."""
    module = ModuleType("slicer.i18n")
    vars(module).update(tr=lambda text: text, translate=lambda context, text: text)
    sys.modules[module.__name__] = slicer.i18n = module
