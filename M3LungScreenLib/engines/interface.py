"""The interface of an engine: runs the two networks, arrays in and arrays out."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np


@dataclass(frozen=True)
class SliceOutputs:
    """The slice-level network's outputs for B images, float32."""

    p_lesion: np.ndarray  # [B]; 1 where the model has no lesion head
    class_probabilities: np.ndarray  # [B, 4], P_multi-class
    location_map: np.ndarray  # [B, h, w] in [0, 1], the 'with lesion' map
    features: np.ndarray  # [B, D]


@dataclass(frozen=True)
class PatientScores:
    """The patient-level network's outputs for one patient with N slices."""

    logits: np.ndarray  # [4], before calibration
    weights: np.ndarray  # [N]


@dataclass(frozen=True)
class EngineSummary:
    """What runs the networks: 'onnx' (ONNX Runtime) or 'pytorch', and its version.

    `precision` is the slice-level network's: 'float32' or, on CUDA, 'float16'.
    """

    name: str
    version: str
    precision: str


class Engine(Protocol):
    """The two networks of one bundle on one device."""

    @property
    def summary(self) -> EngineSummary:
        """For `Result.engine`."""

    @property
    def device(self) -> str:
        """Name of the device for people: 'cpu', 'cuda (NVIDIA A100)'."""

    def run_slices(self, images: np.ndarray) -> SliceOutputs:
        """float32 `[B, 3, S, S]` in [0, 1] through the slice-level network."""

    def run_patient(self, features: np.ndarray) -> PatientScores:
        """float32 `[N, D]`, slices in order, through the patient-level network."""
