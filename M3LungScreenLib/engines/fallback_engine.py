"""An engine that switches to the CPU if the GPU runs out of memory."""

from collections.abc import Callable

import numpy as np

from M3LungScreenLib.bundle import Bundle
from M3LungScreenLib.engines.choice import EngineName, is_out_of_memory, make_engine
from M3LungScreenLib.engines.interface import Engine, EngineSummary, PatientScores, SliceOutputs

GPU_MEMORY_RAN_OUT = "The GPU ran out of memory. The CPU continues, which takes longer."


def start_engine(
    bundle: Bundle, device: str, engine: EngineName, on_fallback: Callable[[], None]
) -> Engine:
    """As `make_engine`, but on the CPU, after `on_fallback`, if the GPU has too little memory."""
    try:
        return make_engine(bundle, device, engine)
    except RuntimeError as wrong:
        if not is_out_of_memory(wrong):
            raise
    on_fallback()
    return make_engine(bundle, "cpu", engine)


def lasting_engine(
    bundle: Bundle, device: str, engine: EngineName, on_fallback: Callable[[], None]
) -> Engine:
    """As `make_engine`; if the GPU runs out of memory later, the CPU takes over."""
    started = start_engine(bundle, device, engine, on_fallback)
    return FallbackEngine(bundle, started, engine, on_fallback)


class FallbackEngine:
    """`engine` until it runs out of memory for a single image, then one of `kind` on the CPU.

    `on_fallback` is called once, before the CPU begins; `device` is then 'cpu'.
    """

    def __init__(
        self, bundle: Bundle, engine: Engine, kind: EngineName, on_fallback: Callable[[], None]
    ) -> None:
        self._bundle = bundle
        self._engine = engine
        self._kind = kind
        self._on_fallback = on_fallback

    @property
    def summary(self) -> EngineSummary:
        return self._engine.summary

    @property
    def device(self) -> str:
        return self._engine.device

    def run_slices(self, images: np.ndarray) -> SliceOutputs:
        try:
            return self._engine.run_slices(images)
        except RuntimeError as wrong:
            self._change(wrong)
        return self._engine.run_slices(images)

    def run_patient(self, features: np.ndarray) -> PatientScores:
        try:
            return self._engine.run_patient(features)
        except RuntimeError as wrong:
            self._change(wrong)
        return self._engine.run_patient(features)

    def _change(self, wrong: RuntimeError) -> None:
        if self._engine.device == "cpu" or not is_out_of_memory(wrong):
            raise wrong
        self._on_fallback()
        self._engine = make_engine(self._bundle, "cpu", self._kind)
