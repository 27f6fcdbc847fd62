"""The GPU as nvidia-smi tells it, from programs that stand for nvidia-smi."""

import os

import pytest

from M3LungScreenLib.engines import nvidia
from M3LungScreenLib.engines.nvidia import describe_gpu

pytestmark = pytest.mark.skipif(os.name == "nt", reason="the stand-in is a shell script")


@pytest.fixture
def nvidia_smi(tmp_path, monkeypatch):
    """nvidia_smi(script) is what runs as nvidia-smi; it may write its arguments to $ASKED."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("ASKED", str(tmp_path / "asked"))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)

    def write(script):
        path = tmp_path / "nvidia-smi"
        path.write_text(f'#!/bin/sh\necho "$@" > "$ASKED"\n{script}\n')
        path.chmod(0o755)
        return tmp_path / "asked"

    return write


def test_name_and_free_memory_come_from_the_driver(nvidia_smi):
    asked = nvidia_smi('echo "NVIDIA H200, 141312"')
    assert describe_gpu() == ("NVIDIA H200", 141312.0)
    assert "--id=0" in asked.read_text()


def test_the_gpu_that_cuda_may_see_is_asked_for(nvidia_smi, monkeypatch):
    asked = nvidia_smi('echo "NVIDIA A2, 15000"')
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-1234, 3")
    assert describe_gpu() == ("NVIDIA A2", 15000.0)
    assert "--id=GPU-1234" in asked.read_text()


@pytest.mark.parametrize("script", ["exit 9", "echo No devices were found", "true"])
def test_a_driver_that_does_not_tell_is_no_error(nvidia_smi, script):
    nvidia_smi(script)
    assert describe_gpu() == ("NVIDIA GPU", None)


def test_memory_that_is_not_told_leaves_the_name(nvidia_smi):
    nvidia_smi('echo "NVIDIA Tegra, [N/A]"')
    assert describe_gpu() == ("NVIDIA Tegra", None)


def test_no_nvidia_smi_is_no_error(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert describe_gpu() == ("NVIDIA GPU", None)


def test_telling_of_the_devices_makes_no_cuda_context(nvidia_smi, monkeypatch):
    import torch

    from M3LungScreenLib.engines import pytorch_engine
    from M3LungScreenLib.engines.choice import describe_devices

    nvidia_smi('echo "NVIDIA H200, 141312"')
    monkeypatch.setattr(nvidia, "has_driver", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    for name in ("mem_get_info", "get_device_name", "get_device_properties", "init"):
        monkeypatch.setattr(torch.cuda, name, lambda *_: pytest.fail("a CUDA context"))
    told = describe_devices()
    assert pytorch_engine.available_devices()[0] == "cuda"
    assert told[0] == {"name": "cuda", "description": "NVIDIA H200 (PyTorch)", "free_mb": 141312.0}
