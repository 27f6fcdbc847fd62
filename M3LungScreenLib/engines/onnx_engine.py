"""The two networks as ONNX graphs in ONNX Runtime, on the CPU in float32; needs no PyTorch."""

import json
import os
from dataclasses import fields
from typing import Any

import numpy as np
import onnxruntime
import psutil

from M3LungScreenLib.bundle import Bundle
from M3LungScreenLib.engines.graph_check import check_graph
from M3LungScreenLib.engines.interface import EngineSummary, PatientScores, SliceOutputs
from M3LungScreenLib.errors import ModelRefused, memory_ran_out
from M3LungScreenLib.settings import from_dict

ERRORS_ONLY = 3
# Larger batches are no faster, and need more memory: at 256², 150 MB for 4 images, 450 for 24.
IMAGES_PER_RUN = 4


class OnnxEngine:
    """A bundle's two graphs, loaded, on `threads` cores (default: see `thread_count`).

    Raises ModelRefused 'model_graph' for graphs that cannot be run, or were made with other
    settings than the bundle's. The bundle must have graphs.
    """

    device = "cpu"
    summary = EngineSummary("onnx", onnxruntime.__version__, "float32")

    def __init__(self, bundle: Bundle, threads: int | None = None) -> None:
        threads = threads or thread_count()
        settings = bundle.settings
        self._slices = _session(bundle, "slice", threads)
        self._patient = _session(bundle, "patient", threads)
        made_for = _settings_of(self._slices) | _settings_of(self._patient)
        for name in ("slice_network", "patient_network"):
            if from_dict(type(getattr(settings, name)), made_for[name]) != getattr(settings, name):
                raise _made_for_another(name)
        if made_for["input_size"] != settings.preprocessing.input_size:
            raise _made_for_another("input_size")

    def run_slices(self, images: np.ndarray) -> SliceOutputs:
        names = [each.name for each in fields(SliceOutputs)]
        parts = [
            self._slices.run(names, {"images": images[start : start + IMAGES_PER_RUN]})
            for start in range(0, len(images), IMAGES_PER_RUN)
        ]
        return SliceOutputs(*(np.concatenate(each) for each in zip(*parts, strict=True)))

    def run_patient(self, features: np.ndarray) -> PatientScores:
        names = [each.name for each in fields(PatientScores)]
        rows = np.asarray(features, np.float32)
        return PatientScores(*self._patient.run(names, {"features": rows}))


def thread_count() -> int:
    """OMP_NUM_THREADS, as in PyTorch and NumPy; at most the physical cores of this process."""
    allowed = len(psutil.Process().cpu_affinity()) if hasattr(psutil.Process, "cpu_affinity") else 0
    cores = psutil.cpu_count(logical=False) or psutil.cpu_count() or 1
    cores = min(cores, allowed or cores)
    wanted = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()
    return min(int(wanted), cores) if wanted.isdigit() and int(wanted) else cores


def _session(bundle: Bundle, network: str, threads: int) -> onnxruntime.InferenceSession:
    graph = bundle.graph(network)
    check_graph(graph, bundle.folder)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = ERRORS_ONLY
    # Waiting threads leave their cores to the rest of the program.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry(
        "session.model_external_initializers_file_folder_path", str(bundle.folder.resolve())
    )
    try:
        return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    except Exception as wrong:
        if memory_ran_out(wrong):
            raise
        raise ModelRefused(
            "model_graph",
            f"ONNX Runtime {onnxruntime.__version__} cannot run the graphs of the model in "
            f"{bundle.folder} ({' '.join(str(wrong).split())[:200]}). Make them again with "
            "Training.add_graphs, or use the engine pytorch.",
        ) from wrong


def _settings_of(session: onnxruntime.InferenceSession) -> dict[str, Any]:
    return json.loads(session.get_modelmeta().custom_metadata_map["settings"])


def _made_for_another(name: str) -> ModelRefused:
    return ModelRefused(
        "model_graph",
        f"The model's ONNX graphs were made with another {name} than its settings have. Make "
        "them again with Training.add_graphs.",
    )
