"""Memory that runs out: one sentence, and the CPU takes over from the GPU."""

import json
from pathlib import Path

import numpy as np
import pytest

from M3LungScreenLib import worker
from M3LungScreenLib.engines import fallback_engine
from M3LungScreenLib.engines.fallback_engine import FallbackEngine
from Testing.stand_ins.worker import CountingEngine, served

NO_MEMORY = {
    "numpy": MemoryError("Unable to allocate 8 TiB"),
    "torch": RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate"),
    "ITK": RuntimeError("ITK ERROR: Failed to allocate memory for image: std::bad_alloc"),
}


@pytest.mark.parametrize("source", NO_MEMORY)
def test_memory_that_runs_out_is_one_plain_sentence(a_command, monkeypatch, source):
    engine = CountingEngine("cpu", NO_MEMORY[source])
    monkeypatch.setattr(fallback_engine, "make_engine", lambda *_: engine)
    *_, last = served(a_command())
    assert (last["event"], last["message"]) == ("crash", worker.MEMORY_RAN_OUT)
    assert "Traceback" in last["details"]


def out_of_memory():
    import torch

    return torch.cuda.OutOfMemoryError("CUDA out of memory")


def test_the_cpu_takes_over_where_the_memory_of_the_gpu_runs_out(monkeypatch):
    gpu, cpu, said = CountingEngine("cuda (A)", out_of_memory()), CountingEngine(), []
    monkeypatch.setattr(fallback_engine, "make_engine", lambda bundle, device, engine: cpu)
    engine = FallbackEngine(None, gpu, "auto", lambda: said.append("fallback"))
    images = np.zeros((3, 3, 8, 8), np.float32)
    assert len(engine.run_slices(images).p_lesion) == 3
    engine.run_slices(images)
    engine.run_patient(np.zeros((5, 3), np.float32))
    assert (gpu.asked, cpu.asked, said) == ([3], [3, 3, -5], ["fallback"])
    assert engine.device == "cpu"


def test_other_errors_and_a_cpu_without_memory_are_no_reason_to_fall_back():
    for device, wrong in (("cuda (A)", RuntimeError("nan")), ("cpu", out_of_memory())):
        broken = CountingEngine(device, wrong)
        engine = FallbackEngine(None, broken, "auto", lambda: pytest.fail("fell"))
        with pytest.raises(type(wrong)):
            engine.run_slices(np.zeros((1, 3, 8, 8), np.float32))


def test_falling_back_is_said_once_and_the_gpu_is_tried_again_next_time(a_command, monkeypatch):
    made = []

    def make(bundle, device, engine):
        wrong = out_of_memory() if device == "cuda" else None
        made.append(CountingEngine("cuda (A)" if device == "cuda" else device, wrong))
        return made[-1]

    monkeypatch.setattr(fallback_engine, "make_engine", make)
    events = served(a_command(device="cuda"), a_command(run=2, device="cuda"))
    notices = [each for each in events if each["event"] == "notice"]
    assert [each["run"] for each in notices] == [1, 2]
    assert "CPU" in notices[0]["message"]
    assert [each.device for each in made] == ["cuda (A)", "cpu", "cuda (A)", "cpu"]
    ends = [each for each in events if each["event"] == "result"]
    result = json.loads((Path(ends[0]["path"]) / "result.json").read_text("utf-8"))
    assert result["device"] == "cpu"


def test_a_model_too_large_for_the_gpu_is_run_on_the_cpu(a_command, monkeypatch):
    def make(bundle, device, engine):
        if device == "cuda":
            raise out_of_memory()
        return CountingEngine(device)

    monkeypatch.setattr(fallback_engine, "make_engine", make)
    events = served(a_command(device="cuda"))
    assert [each["event"] for each in events].count("notice") == 1
    assert events[-1]["event"] == "result"
