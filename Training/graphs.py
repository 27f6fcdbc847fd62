"""A bundle's networks as ONNX graphs, for engines without PyTorch.

The graphs have no weights of their own: their initialisers point into the bundle's weights file
(ONNX external data), whose bytes never change. Weights in half precision are cast in the graph.
"""

import json
import struct
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
import torch
from onnx_ir.passes.common import ClearMetadataAndDocStringPass
from torch import Tensor, nn

from M3LungScreenLib.bundle import WEIGHTS_FILE, Bundle, save_copy
from M3LungScreenLib.engines.onnx_engine import OnnxEngine
from M3LungScreenLib.engines.pytorch_engine import PyTorchEngine, load_networks
from M3LungScreenLib.errors import ModelRefused
from M3LungScreenLib.networks.inference import PatientInference, SliceInference
from M3LungScreenLib.settings import to_dict

OPSET = 18  # the exporter's own; every supported ONNX Runtime has it
LARGEST_DIFFERENCE = 1e-4
DTYPES = {
    "F16": ir.DataType.FLOAT16,
    "F32": ir.DataType.FLOAT,
    "F64": ir.DataType.DOUBLE,
}
# The verified shapes: numbers of images in a batch, and of slices of a patient.
BATCHES = (1, 2, 5)
SLICE_COUNTS = (1, 2, 3, 7, 60, 301)


def add_graphs(bundle: Bundle, folder: Path) -> tuple[Bundle, float]:
    """Save `bundle` with graphs in `folder`, and the largest difference from PyTorch.

    Nothing is written if that exceeds LARGEST_DIFFERENCE: ModelRefused 'graph_differs'.
    `folder` may be the bundle's own.
    """
    graphs = export_graphs(bundle)
    with tempfile.TemporaryDirectory() as beside:
        difference = largest_difference(save_copy(bundle, Path(beside) / "tried", graphs=graphs))
    if difference > LARGEST_DIFFERENCE:
        raise ModelRefused(
            "graph_differs",
            f"The ONNX graphs differ from PyTorch by up to {difference:.2g}; at most "
            f"{LARGEST_DIFFERENCE:.0e} is accepted. Report this, with the versions of torch and "
            "onnxscript.",
        )
    return save_copy(bundle, folder, graphs=graphs), difference


def export_graphs(bundle: Bundle) -> dict[str, bytes]:
    """The graphs of the 'slice' and the 'patient' network: ONNX files whose weights are elsewhere.

    In and out go the arrays of `engines.interface`, under the same names; the numbers of images
    and of slices are free.
    """
    slices, patient = load_networks(bundle)
    settings = bundle.settings
    size = settings.preprocessing.input_size
    about = {"input_size": size, "slice_network": to_dict(settings.slice_network)}
    return {
        "slice": _graph(
            SliceInference(slices),
            ("images", torch.rand(3, 3, size, size)),
            ("p_lesion", "class_probabilities", "location_map", "features"),
            _Weights(bundle.folder / WEIGHTS_FILE, "slice"),
            about,
        ),
        "patient": _graph(
            PatientInference(patient),
            ("features", torch.rand(7, settings.patient_network.feature_size)),
            ("logits", "weights"),
            _Weights(bundle.folder / WEIGHTS_FILE, "patient"),
            {"patient_network": to_dict(settings.patient_network)},
        ),
    }


def largest_difference(bundle: Bundle) -> float:
    """The largest difference of any output between the graphs and PyTorch, on the CPU.

    Absolute for outputs up to 1; for larger ones, relative to the largest value of the output.
    """
    onnx, pytorch = OnnxEngine(bundle), PyTorchEngine(bundle, "cpu")
    random = np.random.default_rng(0)
    size = bundle.settings.preprocessing.input_size
    found, features = [], []
    for count in BATCHES:
        images = random.random((count, 3, size, size), np.float32)
        found += _differences(onnx.run_slices(images), expected := pytorch.run_slices(images))
        features.append(expected.features)
    mean, spread = _usual_features(bundle, np.concatenate(features))
    for count in SLICE_COUNTS:
        # Features as in training: far outside, rounding alone gives other logits.
        patient = mean + spread * random.standard_normal((count, len(mean)), np.float32)
        found += _differences(onnx.run_patient(patient), pytorch.run_patient(patient))
    return max(found)


def _usual_features(bundle: Bundle, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and spread `[D]` of the features: of the training set, or of `rows` `[R, D]`."""
    _, network = load_networks(bundle)
    if not bundle.settings.patient_network.standardised:
        return rows.mean(axis=0), rows.std(axis=0)
    return network.feature_mean.numpy(), network.feature_std.numpy()


def _differences(one: Any, other: Any) -> list[float]:
    pairs = [(array, getattr(other, name)) for name, array in vars(one).items()]
    return [float(np.abs(a - b).max() / max(1.0, float(np.abs(b).max()))) for a, b in pairs]


def _graph(
    network: nn.Module,
    example: tuple[str, Tensor],
    outputs: tuple[str, ...],
    weights: "_Weights",
    settings: dict[str, Any],
) -> bytes:
    name, tensor = example
    program = torch.onnx.export(
        network.eval(),
        (tensor,),
        input_names=[name],
        output_names=list(outputs),
        dynamic_shapes=({0: torch.export.Dim(f"{name}_count")},),
        opset_version=OPSET,
        dynamo=True,
        optimize=False,
        verbose=False,
    )
    assert program is not None
    graph = program.model.graph
    # As inputs, weights are left alone by the optimiser, which would fold them into new ones.
    inside = [each for each in graph.initializers if weights.tensor_of(each)]
    stored = [graph.initializers.pop(each) for each in inside]
    graph.inputs.extend(stored)
    program.optimize()
    del graph.inputs[1:]
    for value in stored:
        weights.put_into(graph, value)
    model = program.model
    ClearMetadataAndDocStringPass()(model)
    model.metadata_props["settings"] = json.dumps(settings)
    return ir.to_proto(model).SerializeToString()


class _Weights:
    """Where the tensors of one network lie in a safetensors file."""

    def __init__(self, file: Path, network: str) -> None:
        with file.open("rb") as opened:
            (size,) = struct.unpack("<Q", opened.read(8))
            self._header = json.loads(opened.read(size))
        self._start = 8 + size
        self._network = network

    def tensor_of(self, parameter: str) -> str | None:
        """The tensor's name in the file for an initialiser of the exported module."""
        name = f"{self._network}.{parameter.removeprefix('network.')}"
        return name if name in self._header else None

    def put_into(self, graph: ir.Graph, value: ir.Value) -> None:
        """`value` becomes the tensor in the file, cast to float32 where it is of another type."""
        assert value.name is not None
        name = self.tensor_of(value.name)
        assert name is not None
        entry = self._header[name]
        dtype = DTYPES[entry["dtype"]]
        begin, end = entry["data_offsets"]
        external = ir.ExternalTensor(
            WEIGHTS_FILE,
            self._start + begin,
            end - begin,
            dtype,
            shape=ir.Shape(entry["shape"]),
            name=name,
        )
        held = ir.Value(
            name=name, shape=external.shape, type=ir.TensorType(dtype), const_value=external
        )
        graph.initializers[name] = held
        if dtype == ir.DataType.FLOAT:
            value.replace_all_uses_with(held)
            return
        cast = ir.node("Cast", [held], {"to": ir.DataType.FLOAT})
        cast.outputs[0].name = value.name
        value.replace_all_uses_with(cast.outputs[0])
        graph.insert_before(graph[0], cast)
