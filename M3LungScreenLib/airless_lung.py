"""Whether a lung is mostly airless, so that its outline is an estimate."""

import numpy as np

from M3LungScreenLib.lungs import LEFT, RIGHT
from M3LungScreenLib.suitability import Warned

# Lung above this holds next to no air. Above half of it, much of a lung's outline is an
# estimate; 1 to 14 % of real lungs with and without pneumonia are this dense.
AIRLESS_HU, AIRLESS_SHARE = -200, 0.5


def check_airless_lung(hu: np.ndarray, lungs: np.ndarray) -> Warned:
    """Warn of a lung that is mostly airless; the verdict stays.

    `hu` int16 and `lungs` uint8 (1 right, 2 left), `[slice, row, column]`.
    """
    names = []
    for name, side in (("right", RIGHT), ("left", LEFT)):
        counts = np.zeros(2, np.int64)
        for plane, mask in zip(hu, lungs == side, strict=True):
            counts += int(mask.sum()), int((plane[mask] > AIRLESS_HU).sum())
        if counts[1] > AIRLESS_SHARE * counts[0]:
            names.append(name)
    if not names:
        return ()
    lung = "lungs are" if len(names) > 1 else f"{names[0]} lung is"
    text = (
        f"More than half of the {lung} without air. The outline there is an estimate, and the "
        "lowest part is left out, so volumes and involvement are approximate."
    )
    return (("airless_lung", text),)
