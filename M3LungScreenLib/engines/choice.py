"""Chooses the engine that runs a bundle, from the devices available."""

from typing import Any

from M3LungScreenLib.bundle import Bundle
from M3LungScreenLib.engines.interface import Engine
from M3LungScreenLib.errors import UsageError

NAMES = {"cpu": "CPU", "cuda": "CUDA", "mps": "MPS"}
DEVICES = ("auto", *NAMES)


def make_engine(bundle: Bundle, device: str = "auto") -> Engine:
    """An engine for `bundle`; 'auto' takes CUDA, then MPS, then the CPU.

    Raises UsageError for a device this computer does not have, ModelRefused if weights and
    settings do not match. Imports torch.
    """
    from M3LungScreenLib.engines.pytorch_engine import PyTorchEngine, available_devices

    available = available_devices()
    chosen = available[0] if device == "auto" else device
    if chosen not in available:
        raise UsageError(
            "device",
            f"{NAMES.get(device, device)} is not available on this computer. Available devices: "
            f"{', '.join(NAMES.get(each, each) for each in available)}.",
        )
    return PyTorchEngine(bundle, chosen)


def describe_devices() -> tuple[dict[str, Any], ...]:
    """The available devices, fastest first, as in events.Hello. Imports torch."""
    from M3LungScreenLib.engines.pytorch_engine import available_devices, describe_device

    return tuple(
        {"name": name, "description": description, "free_mb": free_mb}
        for name in available_devices()
        for description, free_mb in [describe_device(name)]
    )


def is_out_of_memory(wrong: Exception) -> bool:
    """Whether a GPU ran out of memory even for one image. Imports torch."""
    from torch.cuda import OutOfMemoryError

    return isinstance(wrong, OutOfMemoryError)
