"""A GPU whose memory does not hold the networks."""

from typing import Any

import pytest
import torch

from M3LungScreenLib.engines import fallback_engine


def put_in_small_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """Asked for 'cuda', memory runs out; another device is what it was."""
    whole = fallback_engine.make_engine

    def make(bundle: Any, device: str, engine: Any) -> Any:
        if device == "cuda":
            raise torch.cuda.OutOfMemoryError("CUDA out of memory")
        return whole(bundle, device, engine)

    monkeypatch.setattr(fallback_engine, "make_engine", make)
