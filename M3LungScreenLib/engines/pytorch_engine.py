"""The two networks in PyTorch, on the CPU, CUDA or MPS."""

from collections.abc import Callable, Mapping

import numpy as np
import torch
from torch import Tensor, nn

from M3LungScreenLib.bundle import Bundle
from M3LungScreenLib.engines.interface import PatientScores, SliceOutputs
from M3LungScreenLib.engines.nvidia import describe_gpu
from M3LungScreenLib.errors import ModelRefused
from M3LungScreenLib.networks.patient_network import PatientNetwork
from M3LungScreenLib.networks.slice_network import SliceNetwork, SliceOutput


def available_devices() -> list[str]:
    """The available devices, fastest first; always includes the CPU."""
    devices = ["cuda"] if torch.cuda.is_available() else []
    devices += ["mps"] if torch.backends.mps.is_available() else []
    return [*devices, "cpu"]


def describe_device(name: str) -> tuple[str, float | None]:
    """Name for people, and free memory in MiB (CUDA only, else None)."""
    if name == "cuda":
        return describe_gpu()
    return {"mps": "Apple GPU", "cpu": "CPU"}[name], None


class SliceRunner:
    """The slice-level network on one device, arrays in and out.

    Half precision on CUDA; if memory runs out, the batch is halved until it fits.
    """

    def __init__(self, network: SliceNetwork, device: str = "cpu") -> None:
        self._device = torch.device(device)
        self._network = network.eval().to(self._device).to(memory_format=torch.channels_last)

    def run(self, images: np.ndarray) -> SliceOutputs:
        """`images` float32 `[B, 3, S, S]` in [0, 1], or with one channel, which is repeated."""
        outputs = _halving(self._forward, torch.from_numpy(images))
        return SliceOutputs(*(np.concatenate(parts) for parts in zip(*outputs, strict=True)))

    @torch.inference_mode()
    def _forward(self, images: Tensor) -> tuple[np.ndarray, ...]:
        images = images.to(self._device).expand(-1, 3, -1, -1)
        images = images.contiguous(memory_format=torch.channels_last)
        half = self._device.type == "cuda"
        with torch.autocast(self._device.type, torch.float16, enabled=half):
            out: SliceOutput = self._network(images)
        classes = out.class_logits.float().softmax(dim=1)
        if out.lesion_logits is None or out.map_logits is None:
            # A plain ResNet's p is P_multi-class alone, and it has no map.
            p_lesion, location_map = torch.ones(len(images)), torch.zeros(len(images), 1, 1)
        else:
            p_lesion = out.lesion_logits.float().softmax(dim=1)[:, 1]
            location_map = out.map_logits.float().sigmoid()
        return tuple(_array(each) for each in (p_lesion, classes, location_map, out.features))


class PyTorchEngine:
    """A bundle's two networks, loaded; the patient level always runs in float32."""

    def __init__(self, bundle: Bundle, device: str) -> None:
        self._device = torch.device(device)
        settings = bundle.settings
        slices = SliceNetwork(settings.slice_network)
        patient = PatientNetwork(settings.patient_network)
        if slices.feature_size != settings.patient_network.feature_size:
            raise ModelRefused(
                "model_settings",
                f"The slice-level network outputs {slices.feature_size} features, but the "
                f"patient-level network expects {settings.patient_network.feature_size}. Export "
                "the bundle again.",
            )
        _load(slices, bundle.weights("slice"))
        _load(patient, bundle.weights("patient"))
        self._slices = SliceRunner(slices, device)
        self._patient_network = patient.eval().to(self._device)

    @property
    def device(self) -> str:
        if self._device.type != "cuda":
            return self._device.type
        return f"cuda ({torch.cuda.get_device_name(self._device)})"

    def run_slices(self, images: np.ndarray) -> SliceOutputs:
        return self._slices.run(images)

    @torch.inference_mode()
    def run_patient(self, features: np.ndarray) -> PatientScores:
        rows = torch.from_numpy(np.asarray(features, np.float32)).to(self._device)
        out = self._patient_network(rows[None])
        return PatientScores(_array(out.logits[0]), _array(out.weights[0]))


def _halving(
    run: Callable[[Tensor], tuple[np.ndarray, ...]], images: Tensor
) -> list[tuple[np.ndarray, ...]]:
    try:
        return [run(images)]
    except torch.cuda.OutOfMemoryError:
        if len(images) == 1:
            raise
        torch.cuda.empty_cache()
    half = len(images) // 2
    return _halving(run, images[:half]) + _halving(run, images[half:])


def _load(network: nn.Module, weights: Mapping[str, np.ndarray]) -> None:
    state = {name: torch.from_numpy(array) for name, array in weights.items()}
    try:
        network.load_state_dict(state, strict=True)
    except RuntimeError as wrong:
        difference = " ".join(str(wrong).split())[:200]
        raise ModelRefused(
            "model_settings",
            f"The model's weights do not fit its settings ({difference}). Export the bundle again.",
        ) from wrong


def _array(tensor: Tensor) -> np.ndarray:
    return np.asarray(tensor.float().cpu().numpy())
