"""The slice-level network's outputs, averaged over display windows and neighboring slices."""

from dataclasses import dataclass, replace

import numpy as np

from M3LungScreenLib.assessment import calibrated_p_lesion, slice_probabilities
from M3LungScreenLib.engines.interface import SliceOutputs
from M3LungScreenLib.neighbours import mean_over_neighbours
from M3LungScreenLib.settings import AssessmentSettings


@dataclass(frozen=True)
class ScreenedSlice:
    """One slice after the slice-level network, averaged over the windows."""

    p_lesion: float
    class_probabilities: np.ndarray  # [4]
    location_map: np.ndarray  # [h, w]
    features: np.ndarray  # [D]
    attention: np.ndarray  # [windows, h, w]: input of the network's last block
    window_probabilities: np.ndarray  # [windows, 4]: Eq. 4 in each window

    @property
    def probabilities(self) -> np.ndarray:
        """Eq. 4, `[4]`."""
        p_lesion, classes = np.array([self.p_lesion]), self.class_probabilities[None]
        return slice_probabilities(p_lesion, classes)[0]


def mean_over_windows(
    out: SliceOutputs, windows: int, settings: AssessmentSettings
) -> list[ScreenedSlice]:
    """The slices of a batch whose images are ordered slice by slice, window by window."""

    def by_window(array: np.ndarray) -> np.ndarray:
        return array.reshape(-1, windows, *array.shape[1:])

    p_lesions = calibrated_p_lesion(out.p_lesion, settings)
    # The map of the class that the network itself predicts, as in the paper's figures.
    own = np.where(out.p_lesion[:, None, None] > 0.5, out.location_map, 1 - out.location_map)
    means = (p_lesions, out.class_probabilities, out.location_map, out.features)
    p_lesion, classes, maps, features = (by_window(each).mean(axis=1) for each in means)
    p = by_window(slice_probabilities(p_lesions, out.class_probabilities))
    attention = by_window(own)
    return [
        ScreenedSlice(float(p_lesion[i]), classes[i], maps[i], features[i], attention[i], p[i])
        for i in range(len(p_lesion))
    ]


def with_neighbours(
    screened: dict[int, ScreenedSlice], slice_count: int, sigma: float
) -> dict[int, ScreenedSlice]:
    """P(lesion) and class probabilities of each slice, averaged with the slices beside it.

    `screened` by axial index in a volume of `slice_count`; `sigma` in slices.
    """
    order = sorted(screened)
    counted = np.isin(np.arange(slice_count), order)
    answers = np.zeros((slice_count, 5), np.float32)
    for k in order:
        answers[k] = screened[k].p_lesion, *screened[k].class_probabilities
    answers = mean_over_neighbours(answers, counted, sigma)
    return {
        k: replace(screened[k], p_lesion=float(answers[k, 0]), class_probabilities=answers[k, 1:])
        for k in order
    }
