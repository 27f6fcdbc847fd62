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


def make_fabric(device: str, precision: Precision = "float32", logs: Path | None = None) -> Fabric:
    """One process, or as many as torchrun started; TensorBoard's events under `logs`."""
    whole, local = (int(os.environ.get(name, 1)) for name in ("WORLD_SIZE", "LOCAL_WORLD_SIZE"))
    chosen = choose_device(device).type
    # Batches are of one size: the fastest convolution is worth finding out.
    torch.backends.cudnn.benchmark = chosen == "cuda"
    fabric = Fabric(
        accelerator="gpu" if chosen == "cuda" else chosen,
        devices=local,
        num_nodes=whole // local,
        # A head may lie outside the loss: the map's without truth masks.
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
        print("TensorBoard is not installed: the losses go to log.jsonl alone.")
        return []
    return [TensorBoardLogger(logs, name="tensorboard", version="")]


def choose_device(name: str) -> torch.device:
    """'auto' is the best device there is; UsageError for one that is not there."""
    found = available_devices()
    if name != "auto" and name not in found:
        raise UsageError("device", f"No {name} here; there are {', '.join(found)}.")
    return torch.device(found[0] if name == "auto" else name)
