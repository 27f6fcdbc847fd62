"""Which engine runs a bundle: the one place that knows what there is."""

from typing import Any

from M3LungScreenLib.bundle import Bundle
from M3LungScreenLib.engines.interface import Engine
from M3LungScreenLib.errors import UsageError

DEVICES = ("auto", "cpu", "cuda", "mps")


def make_engine(bundle: Bundle, device: str = "auto") -> Engine:
    """An engine for `bundle`; 'auto' takes CUDA, then MPS, then the CPU.

    Raises UsageError for a device that this machine has not, ModelRefused where
    weights and settings do not fit each other. Imports torch.
    """
    from M3LungScreenLib.engines.pytorch_engine import PyTorchEngine, available_devices

    available = available_devices()
    chosen = available[0] if device == "auto" else device
    if chosen not in available:
        raise UsageError(
            "device",
            f"The device {device!r} is not available here; there is {', '.join(available)}. "
            "Choose one of these or 'auto'.",
        )
    return PyTorchEngine(bundle, chosen)


def describe_devices() -> tuple[dict[str, Any], ...]:
    """What can compute here, the best first, as events.Hello tells it. Imports torch."""
    from M3LungScreenLib.engines.pytorch_engine import available_devices, describe_device

    return tuple(
        {"name": name, "description": description, "free_mb": free_mb}
        for name in available_devices()
        for description, free_mb in [describe_device(name)]
    )


def is_out_of_memory(wrong: Exception) -> bool:
    """Whether a GPU had too little memory, batch halved down to one image. Imports torch."""
    from torch.cuda import OutOfMemoryError

    return isinstance(wrong, OutOfMemoryError)
