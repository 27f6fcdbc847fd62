"""The ONNX engine: the same answers as PyTorch's, and no file but the weights is read."""

import subprocess
import sys
from dataclasses import fields

import numpy as np
import onnx
import pytest

from M3LungScreenLib.bundle import GRAPH_FILES, WEIGHTS_FILE, load_bundle, save_copy
from M3LungScreenLib.commands.screen import SHIPPED_BUNDLE
from M3LungScreenLib.engines import onnx_engine
from M3LungScreenLib.engines.graph_check import check_graph, fields_of
from M3LungScreenLib.engines.onnx_engine import OnnxEngine
from M3LungScreenLib.engines.pytorch_engine import PyTorchEngine
from M3LungScreenLib.errors import ModelRefused
from M3LungScreenLib.settings import with_values


@pytest.fixture(scope="module")
def shipped():
    return load_bundle(SHIPPED_BUNDLE)


@pytest.fixture(scope="module")
def engines(shipped):
    return OnnxEngine(shipped), PyTorchEngine(shipped, "cpu")


@pytest.fixture
def a_graph(shipped):
    return onnx.load_model_from_string(shipped.graph("slice"))


def of_random_images(count):
    return np.random.default_rng(count).random((count, 3, 256, 256), np.float32)


@pytest.mark.parametrize("count", [1, 5])
def test_slices_have_the_outputs_of_pytorch(engines, count):
    images = of_random_images(count)
    ours, theirs = (each.run_slices(images) for each in engines)
    for each in fields(ours):
        one, other = getattr(ours, each.name), getattr(theirs, each.name)
        assert one.dtype == np.float32
        assert one == pytest.approx(other, abs=1e-4), each.name


@pytest.mark.parametrize("count", [1, 2, 3, 40, 500])
def test_a_patient_of_any_number_of_slices_has_the_scores_of_pytorch(engines, count):
    features = np.random.default_rng(count).random((count, 432), np.float32) * 3
    ours, theirs = (each.run_patient(features) for each in engines)
    assert ours.logits == pytest.approx(theirs.logits, abs=1e-3)
    assert ours.weights == pytest.approx(theirs.weights, abs=1e-5)
    assert ours.weights.shape == (count,)


def test_it_runs_without_importing_torch_or_onnx():
    code = (
        "import sys; from M3LungScreenLib.bundle import load_bundle; "
        "from M3LungScreenLib.engines.onnx_engine import OnnxEngine; "
        f"OnnxEngine(load_bundle({str(SHIPPED_BUNDLE)!r})); "
        "sys.exit('torch' in sys.modules or 'onnx' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_graphs_hold_no_weights_of_their_own(shipped):
    assert sum((shipped.folder / each).stat().st_size for each in GRAPH_FILES.values()) < 400_000
    for network in GRAPH_FILES:
        graph = onnx.load_model_from_string(shipped.graph(network)).graph
        inline = [each for each in graph.initializer if not each.external_data]
        outside = [each.name for each in graph.initializer if each.external_data]
        assert max(len(each.raw_data) for each in inline) < 10_000
        # num_batches_tracked counts steps of training.
        stored = {name for name in shipped.weights(network) if not name.endswith("_tracked")}
        assert set(outside) == {f"{network}.{name}" for name in stored}


def entry(graph, key, value):
    """Set `key` in the external data of the first initialiser that has some."""
    tensor = next(each for each in graph.graph.initializer if each.external_data)
    (old,) = [each for each in tensor.external_data if each.key == key]
    old.value = value


def inner_graph(graph):
    inner = onnx.helper.make_graph([], "inner", [], [])
    graph.graph.node[0].attribute.append(onnx.helper.make_attribute("then_branch", inner))


def file_in_an_operator(graph):
    tensor = onnx.TensorProto(
        name="value", data_type=1, dims=[1], data_location=onnx.TensorProto.EXTERNAL
    )
    tensor.external_data.add(key="location", value="/etc/passwd")
    graph.graph.node[0].attribute.append(onnx.helper.make_attribute("value", tensor))


def function(graph):
    opset = [onnx.helper.make_opsetid("", 18)]
    graph.functions.append(onnx.helper.make_function("own", "f", [], [], [], opset))


def swapped(graph):
    one, other = [each for each in graph.graph.initializer if each.external_data][:2]
    one.name, other.name = other.name, one.name


UNFIT = {
    "another file": (lambda graph: entry(graph, "location", "other.bin"), "reads the file"),
    "above the bundle": (
        lambda graph: entry(graph, "location", f"../compact/{WEIGHTS_FILE}"),
        "reads the file",
    ),
    "an absolute path": (lambda graph: entry(graph, "location", "/etc/passwd"), "reads the file"),
    "offset past the end": (lambda graph: entry(graph, "offset", str(10**9)), "where it looks"),
    "negative offset": (lambda graph: entry(graph, "offset", "-8"), "where it looks"),
    "length past the end": (lambda graph: entry(graph, "length", str(10**9)), "where it looks"),
    "two weights exchanged": (swapped, "where it looks"),
    "another graph inside": (inner_graph, "contains another graph"),
    "a file in an operator": (file_in_an_operator, "an operator reads a file"),
    "operators of its own": (lambda graph: setattr(graph.graph.node[0], "domain", "x"), "standard"),
    "functions of its own": (function, "functions of its own"),
    "sparse weights": (
        lambda graph: graph.graph.sparse_initializer.append(onnx.SparseTensorProto()),
        "sparse",
    ),
}


@pytest.mark.parametrize("unfit", UNFIT)
def test_a_graph_that_wants_more_than_its_weights_is_refused(shipped, a_graph, unfit):
    change, sentence = UNFIT[unfit]
    change(a_graph)
    with pytest.raises(ModelRefused, match=sentence) as refusal:
        check_graph(a_graph.SerializeToString(), shipped.folder)
    assert refusal.value.kind == "model_graph"


def test_the_check_comes_before_the_graph_is_loaded(shipped, a_graph, tmp_path, monkeypatch):
    entry(a_graph, "location", "/etc/passwd")
    graphs = {"slice": a_graph.SerializeToString(), "patient": shipped.graph("patient")}
    bundle = save_copy(shipped, tmp_path / "bundle", graphs=graphs)
    monkeypatch.setattr(onnx_engine.onnxruntime, "InferenceSession", None)
    with pytest.raises(ModelRefused, match="reads the file"):
        OnnxEngine(bundle)


def test_bytes_that_are_no_graph_are_refused(shipped):
    graph = shipped.graph("slice")
    with pytest.raises(ModelRefused, match="cut off"):
        check_graph(graph[: len(graph) // 2], shipped.folder)
    with pytest.raises(ModelRefused, match="damaged"):
        check_graph(b"\x0f" * 40, shipped.folder)


def test_fields_are_read_as_protocol_buffers_writes_them(a_graph):
    tensor = a_graph.graph.initializer[0]
    names = [
        bytes(content)
        for number, content in fields_of(memoryview(tensor.SerializeToString()))
        if number == 8
    ]
    assert names == [tensor.name.encode()]


@pytest.mark.parametrize(
    ("key", "value", "named"),
    [
        ("slice_network.similarity", "cosine", "slice_network"),
        ("patient_network.correlation", "signed_sum", "patient_network"),
        ("preprocessing.input_size", 512, "input_size"),
    ],
)
def test_graphs_made_with_other_settings_are_refused(shipped, tmp_path, key, value, named):
    settings = with_values(shipped.settings, {key: value})
    bundle = save_copy(shipped, tmp_path / "bundle", settings=settings)
    with pytest.raises(ModelRefused, match=f"made with another {named}"):
        OnnxEngine(bundle)


def test_what_onnx_runtime_cannot_run_is_refused_in_a_sentence(shipped, a_graph, tmp_path):
    a_graph.graph.node[0].op_type = "NoSuchOperator"
    graphs = {"slice": a_graph.SerializeToString(), "patient": shipped.graph("patient")}
    bundle = save_copy(shipped, tmp_path / "bundle", graphs=graphs)
    with pytest.raises(ModelRefused, match="NoSuchOperator") as refusal:
        OnnxEngine(bundle)
    assert "\n" not in refusal.value.message


@pytest.mark.parametrize(
    ("wanted", "cores", "threads"),
    [(None, 4, 4), ("1", 4, 1), ("3,2", 4, 3), ("64", 4, 4), ("0", 4, 4), ("all", 4, 4)],
)
def test_threads_follow_omp_num_threads_but_never_exceed_the_cores(
    monkeypatch, wanted, cores, threads
):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    if wanted is not None:
        monkeypatch.setenv("OMP_NUM_THREADS", wanted)
    monkeypatch.setattr(onnx_engine.psutil, "cpu_count", lambda logical=True: cores)
    monkeypatch.setattr(
        onnx_engine.psutil.Process, "cpu_affinity", lambda self: range(64), raising=False
    )
    assert onnx_engine.thread_count() == threads


def test_a_process_bound_to_one_core_has_one_thread(monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(onnx_engine.psutil, "cpu_count", lambda logical=True: 8)
    monkeypatch.setattr(onnx_engine.psutil.Process, "cpu_affinity", lambda self: [3], raising=False)
    assert onnx_engine.thread_count() == 1
