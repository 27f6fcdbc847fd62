"""The two networks in PyTorch, on the CPU, CUDA or MPS."""

from collections.abc import Callable, Mapping
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from M3LungScreenLib.bundle import Bundle
from M3LungScreenLib.engines.interface import EngineSummary, PatientScores, SliceOutputs
from M3LungScreenLib.errors import ModelRefused
from M3LungScreenLib.networks.inference import PatientInference, SliceInference
from M3LungScreenLib.networks.patient_network import PatientNetwork
from M3LungScreenLib.networks.slice_network import SliceNetwork


def available_devices() -> list[str]:
    """The available devices, fastest first; always includes the CPU."""
    devices = ["cuda"] if torch.cuda.is_available() else []
    devices += ["mps"] if torch.backends.mps.is_available() else []
    return [*devices, "cpu"]


class SliceRunner:
    """The slice-level network on one device, arrays in and out.

    Half precision on CUDA; if memory runs out, the batch is halved until it fits.
    """

    def __init__(self, network: SliceNetwork, device: str = "cpu") -> None:
        self._device = torch.device(device)
        network = network.eval().to(self._device).to(memory_format=torch.channels_last)
        self._network = SliceInference(network)

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
            return tuple(_array(each) for each in self._network(images))


class PyTorchEngine:
    """A bundle's two networks, loaded; the patient level always runs in float32."""

    def __init__(self, bundle: Bundle, device: str) -> None:
        self._device = torch.device(device)
        slices, patient = load_networks(bundle)
        if self._device.type == "cpu":
            fold_batch_norm(slices)
        self._slices = SliceRunner(slices, device)
        self._patient = PatientInference(patient).to(self._device)

    @property
    def summary(self) -> EngineSummary:
        precision = "float16" if self._device.type == "cuda" else "float32"
        return EngineSummary("pytorch", torch.__version__, precision)

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
        return PatientScores(*(_array(each) for each in self._patient(rows)))


def load_networks(bundle: Bundle) -> tuple[SliceNetwork, PatientNetwork]:
    """The bundle's two networks with their weights, in evaluation mode.

    Raises ModelRefused if weights and settings do not match.
    """
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
    return slices.eval(), patient.eval()


def fold_batch_norm(network: nn.Module) -> None:
    """Put the scale and shift of each batch norm into the convolution registered before it."""
    for (before, conv), (name, norm) in pairwise(list(network.named_children())):
        if isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
            setattr(network, before, fuse_conv_bn_eval(conv, norm))
            setattr(network, name, nn.Identity())
    for child in network.children():
        fold_batch_norm(child)


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
