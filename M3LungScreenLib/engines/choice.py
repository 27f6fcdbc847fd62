"""Which engine runs a bundle: the one place that knows what there is."""

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
