"""Chooses the engine that runs a bundle: PyTorch on a GPU, ONNX Runtime on the CPU."""

import platform
import sys
from importlib.metadata import version
from importlib.util import find_spec
from typing import Any, Literal

from M3LungScreenLib.bundle import Bundle
from M3LungScreenLib.engines import nvidia
from M3LungScreenLib.engines.interface import Engine
from M3LungScreenLib.errors import ModelRefused, UsageError

EngineName = Literal["auto", "onnx", "pytorch"]
ENGINES: tuple[EngineName, ...] = ("auto", "onnx", "pytorch")
NAMES = {"cpu": "CPU", "cuda": "CUDA", "mps": "MPS"}
DEVICES = ("auto", *NAMES)


def make_engine(bundle: Bundle, device: str = "auto", engine: EngineName = "auto") -> Engine:
    """An engine for `bundle`, by default the fastest.

    That is PyTorch on CUDA or MPS if it is installed and has one; else ONNX Runtime on the CPU;
    else, without it or for a bundle without graphs, PyTorch on the CPU. PyTorch is not imported
    where it is not used, except to look for a GPU where there may be one.

    Raises UsageError for a device or engine this computer does not have, ModelRefused if the bundle
    does not fit the engine, or weights and settings do not match.
    """
    if device not in DEVICES:
        raise _not_available(device, [*available_gpus(), "cpu"])
    if engine not in ENGINES:
        raise UsageError("engine", f"There is no engine {engine!r}. Choose {', '.join(ENGINES)}.")
    if engine == "onnx":
        return _onnx(bundle, device)
    if engine == "pytorch" or device in ("cuda", "mps"):
        return _pytorch(bundle, device)
    if device == "auto" and (gpus := available_gpus()):
        return _pytorch(bundle, gpus[0])
    if bundle.has_graphs and (is_installed("onnxruntime") or not is_installed("torch")):
        return _onnx(bundle, "cpu")
    return _pytorch(bundle, "cpu")


def describe_devices() -> tuple[dict[str, Any], ...]:
    """The available devices, fastest first, as in events.Hello."""
    told: list[tuple[str, str, float | None]] = []
    for name in available_gpus():
        description, free_mb = nvidia.describe_gpu() if name == "cuda" else ("Apple GPU", None)
        told.append((name, f"{description} (PyTorch)", free_mb))
    fields = ("name", "description", "free_mb")
    return tuple(dict(zip(fields, each, strict=True)) for each in [*told, ("cpu", "CPU", None)])


def available_gpus() -> list[str]:
    """'cuda', 'mps': those that PyTorch has here, fastest first."""
    if not (is_installed("torch") and _may_have_gpu()):
        return []
    from M3LungScreenLib.engines.pytorch_engine import available_devices

    return [each for each in available_devices() if each != "cpu"]


def is_installed(package: str) -> bool:
    return find_spec(package) is not None


def is_out_of_memory(wrong: Exception) -> bool:
    """Whether a GPU ran out of memory even for one image."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(wrong, torch.cuda.OutOfMemoryError)


def _may_have_gpu() -> bool:
    """Whether it is worth a second or two to import PyTorch and ask it."""
    if sys.platform == "darwin":
        return platform.machine() == "arm64"
    return nvidia.has_driver() or "+rocm" in version("torch")


def _onnx(bundle: Bundle, device: str) -> Engine:
    if device not in ("auto", "cpu"):
        raise UsageError(
            "engine",
            "The engine onnx runs on the CPU only. Choose the device cpu, or the engine pytorch "
            f"for {NAMES[device]}.",
        )
    if not bundle.has_graphs:
        raise ModelRefused(
            "model_graph",
            f"The model in {bundle.folder} has no ONNX graphs. Add them with python -m "
            "Training.add_graphs, or choose the engine pytorch.",
        )
    try:
        from M3LungScreenLib.engines.onnx_engine import OnnxEngine
    except ImportError as missing:
        raise UsageError(
            "engine",
            f"ONNX Runtime cannot be loaded ({missing}). Install it with pip install onnxruntime"
            + ("" if sys.platform != "win32" else " and Microsoft's Visual C++ Redistributable")
            + ", or choose the engine pytorch.",
        ) from missing
    return OnnxEngine(bundle)


def _pytorch(bundle: Bundle, device: str) -> Engine:
    if not is_installed("torch"):
        raise _pytorch_is_missing(bundle, device)
    from M3LungScreenLib.engines.pytorch_engine import PyTorchEngine, available_devices

    available = available_devices()
    chosen = available[0] if device == "auto" else device
    if chosen not in available:
        raise _not_available(device, available)
    try:
        return PyTorchEngine(bundle, chosen)
    except ModuleNotFoundError as missing:
        package = (missing.name or "torchvision").partition(".")[0]
        raise UsageError(
            "engine",
            f"In PyTorch this model needs {package}, which is not installed. Install it with pip "
            f"install {package}.",
        ) from missing


def _not_available(device: str, available: list[str]) -> UsageError:
    return UsageError(
        "device",
        f"{NAMES.get(device, device)} is not available on this computer. Available devices: "
        f"{', '.join(NAMES.get(each, each) for each in available)}.",
    )


def _pytorch_is_missing(bundle: Bundle, device: str) -> UsageError | ModelRefused:
    if device in ("cuda", "mps"):
        return UsageError(
            "device",
            f"{NAMES[device]} needs PyTorch, which is not installed. Install it with pip install "
            "torch, or choose the device cpu.",
        )
    if bundle.has_graphs:
        return UsageError(
            "engine",
            "PyTorch is not installed. Install it with pip install torch, or choose the engine "
            "onnx.",
        )
    return ModelRefused(
        "model_graph",
        f"The model in {bundle.folder} has no ONNX graphs, so it needs PyTorch, which is not "
        "installed. Install it with pip install torch, or add graphs with python -m "
        "Training.add_graphs where PyTorch is installed.",
    )
