"""Which engine runs a bundle: PyTorch on a GPU, else ONNX Runtime, else PyTorch on the CPU."""

import subprocess
import sys

import onnxruntime
import pytest
import torch

from M3LungScreenLib.bundle import load_bundle, save_copy
from M3LungScreenLib.commands.screen import SHIPPED_BUNDLE
from M3LungScreenLib.engines import choice
from M3LungScreenLib.engines.choice import make_engine
from M3LungScreenLib.engines.interface import EngineSummary
from M3LungScreenLib.errors import ModelRefused, UsageError
from M3LungScreenLib.settings import with_values


@pytest.fixture(scope="module")
def shipped():
    return load_bundle(SHIPPED_BUNDLE)


@pytest.fixture(scope="module")
def a_bundle_without_graphs(shipped, tmp_path_factory):
    return save_copy(shipped, tmp_path_factory.mktemp("bundles") / "plain", graphs={})


@pytest.fixture
def installed(monkeypatch):
    """installed('torch'): these packages alone are there."""

    def are(*packages):
        monkeypatch.setattr(choice, "is_installed", lambda name: name in packages)

    return are


@pytest.fixture
def no_gpu(monkeypatch):
    monkeypatch.setattr(choice, "available_gpus", list)


@pytest.mark.parametrize("device", ["auto", "cpu"])
def test_graphs_run_on_onnx_runtime_where_there_is_no_gpu(shipped, no_gpu, device):
    engine = make_engine(shipped, device)
    assert engine.device == "cpu"
    assert engine.summary == EngineSummary("onnx", onnxruntime.__version__, "float32")


def test_a_gpu_is_pytorchs(shipped, monkeypatch):
    asked = []
    monkeypatch.setattr(choice, "available_gpus", lambda: ["cuda"])
    monkeypatch.setattr(choice, "_pytorch", lambda bundle, device: asked.append(device))
    for device, engine in (("auto", "auto"), ("cuda", "auto"), ("cuda", "pytorch")):
        make_engine(shipped, device, engine)
    assert asked == ["cuda"] * 3
    assert make_engine(shipped, "cpu").summary.name == "onnx"


def test_a_bundle_without_graphs_runs_on_pytorch(a_bundle_without_graphs, no_gpu):
    summary = make_engine(a_bundle_without_graphs).summary
    assert summary == EngineSummary("pytorch", torch.__version__, "float32")


def test_pytorch_takes_over_where_onnx_runtime_is_not_installed(shipped, no_gpu, installed):
    installed("torch")
    assert make_engine(shipped).summary.name == "pytorch"


def test_an_engine_may_be_asked_for(shipped):
    for name in ("onnx", "pytorch"):
        assert make_engine(shipped, "cpu", name).summary.name == name


@pytest.mark.parametrize(
    ("device", "sentence"), [("cuda", "pytorch for CUDA"), ("mps", "pytorch for MPS")]
)
def test_onnx_on_a_gpu_is_wrong_usage(shipped, device, sentence):
    with pytest.raises(UsageError, match=sentence) as refusal:
        make_engine(shipped, device, "onnx")
    assert refusal.value.kind == "engine"


def test_what_is_no_engine_and_no_device_is_named(shipped):
    with pytest.raises(UsageError, match=r"no engine 'tensorflow'\. Choose auto, onnx, pytorch"):
        make_engine(shipped, "cpu", "tensorflow")
    with pytest.raises(UsageError, match="abacus is not available"):
        make_engine(shipped, "abacus")


def test_onnx_for_a_bundle_without_graphs_is_refused_with_what_to_do(a_bundle_without_graphs):
    with pytest.raises(ModelRefused, match=r"no ONNX graphs\. Add .*Training\.add_graphs"):
        make_engine(a_bundle_without_graphs, "cpu", "onnx")


def test_without_pytorch_a_bundle_without_graphs_is_refused(a_bundle_without_graphs, installed):
    installed("onnxruntime")
    with pytest.raises(ModelRefused, match="it needs PyTorch, which is not installed"):
        make_engine(a_bundle_without_graphs)


@pytest.mark.parametrize(
    ("device", "engine", "sentence"),
    [
        ("cuda", "auto", "^CUDA needs PyTorch, which is not installed.*choose the device cpu"),
        ("auto", "pytorch", "^PyTorch is not installed.*choose the engine onnx"),
    ],
)
def test_without_pytorch_what_needs_it_says_so(shipped, installed, device, engine, sentence):
    installed("onnxruntime")
    with pytest.raises(UsageError, match=sentence):
        make_engine(shipped, device, engine)


def test_without_any_runtime_the_small_one_is_asked_for(shipped, installed, monkeypatch):
    installed()
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    monkeypatch.delitem(sys.modules, "M3LungScreenLib.engines.onnx_engine", raising=False)
    with pytest.raises(UsageError, match="pip install onnxruntime"):
        make_engine(shipped)


def test_a_resnet_without_torchvision_says_what_to_install(shipped, tmp_path, monkeypatch):
    settings = with_values(shipped.settings, {"slice_network.backbone": "resnet50"})
    bundle = save_copy(shipped, tmp_path / "resnet", settings=settings, graphs={})
    monkeypatch.setitem(sys.modules, "torchvision.models", None)
    with pytest.raises(UsageError, match=r"needs torchvision.* Install it with pip install"):
        make_engine(bundle, "cpu")


def test_pytorch_is_not_imported_to_look_for_a_gpu_that_cannot_be_there():
    code = (
        "import sys; from M3LungScreenLib.engines import choice, nvidia; "
        "nvidia.has_driver = lambda: False; sys.platform = 'linux'; "
        "choice.version = lambda package: '2.14.1'; "
        "assert [each['name'] for each in choice.describe_devices()] == ['cpu']; "
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(
    ("system", "machine", "driver", "version", "may"),
    [
        ("linux", "x86_64", True, "2.14.1", True),
        ("linux", "x86_64", False, "2.14.1", False),
        ("linux", "x86_64", False, "2.14.1+rocm7.2", True),
        ("win32", "AMD64", True, "2.14.1+cu130", True),
        ("darwin", "arm64", False, "2.14.1", True),
        ("darwin", "x86_64", False, "2.2.2", False),
    ],
)
def test_where_there_may_be_a_gpu(monkeypatch, system, machine, driver, version, may):
    monkeypatch.setattr(choice.sys, "platform", system)
    monkeypatch.setattr(choice.platform, "machine", lambda: machine)
    monkeypatch.setattr(choice.nvidia, "has_driver", lambda: driver)
    monkeypatch.setattr(choice, "version", lambda package: version)
    assert choice._may_have_gpu() == may
