"""Lightning Fabric: device, processes and precision of a training script."""

import importlib.util
import os
from pathlib import Path
from typing import Literal

import torch
from lightning_fabric import Fabric
from lightning_fabric.loggers import Logger, TensorBoardLogger
from lightning_fabric.strategies import DDPStrategy

from M3LungScreenLib.engines.pytorch_engine import available_devices
from M3LungScreenLib.errors import UsageError
from Training.config import Precision

PRECISIONS: dict[Precision, Literal["bf16-mixed", "32-true"]] = {
    "bfloat16": "bf16-mixed",
    "float32": "32-true",
}
DEVICE_NAMES = {"cuda": "CUDA", "mps": "MPS", "cpu": "CPU"}


def make_fabric(device: str, precision: Precision = "float32", logs: Path | None = None) -> Fabric:
    """Fabric for one process, or for those that torchrun started; TensorBoard logs in `logs`."""
    whole, local = (int(os.environ.get(name, 1)) for name in ("WORLD_SIZE", "LOCAL_WORLD_SIZE"))
    chosen = choose_device(device).type
    # Batches have one size, so cuDNN can look for the fastest convolution once.
    torch.backends.cudnn.benchmark = chosen == "cuda"
    fabric = Fabric(
        accelerator="gpu" if chosen == "cuda" else chosen,
        devices=local,
        num_nodes=whole // local,
        # A head may not enter the loss, such as the map's without truth masks.
        strategy=DDPStrategy(find_unused_parameters=True) if whole > 1 else "auto",
        precision=PRECISIONS[precision],
        loggers=_loggers(logs),
    )
    fabric.launch()
    return fabric


def _loggers(logs: Path | None) -> list[Logger]:
    if logs is None:
        return []
    if importlib.util.find_spec("tensorboard") is None:
        print("TensorBoard is not installed; losses are written to log.jsonl only.")
        return []
    return [TensorBoardLogger(logs, name="tensorboard", version="")]


def choose_device(name: str) -> torch.device:
    """'auto' is the best device available; UsageError if the named one is not."""
    found = available_devices()
    if name != "auto" and name not in found:
        raise UsageError(
            "device",
            f"{DEVICE_NAMES.get(name, name)} is not available on this computer. Available devices: "
            f"{', '.join(DEVICE_NAMES.get(each, each) for each in found)}.",
        )
    return torch.device(found[0] if name == "auto" else name)
