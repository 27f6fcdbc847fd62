"""Which runtime is the fastest for the slice network on the CPU?

    python -m Testing.benchmarks.runtimes [GRAPH] [--threads 1 2] [--repeats 7]

GRAPH is an ONNX file with its weights (default: the shipped one). Each runtime runs in a process
of its own, in turns: 24 images of 256² in float32. OpenVINO counts if it is installed;
`ONEDNN_MAX_CPU_ISA=AVX2` limits it, and PyTorch, on a newer processor.
"""

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

GRAPH = Path(__file__).parents[2] / "Resources" / "Models" / "compact" / "slice_network.onnx"
IMAGES = np.random.default_rng(0).random((24, 3, 256, 256), np.float32)
Forward = Callable[[], object]


def onnxruntime(graph: Path, threads: int) -> Forward:
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    session = ort.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    return lambda: session.run(None, {"images": IMAGES})


def openvino(graph: Path, threads: int) -> Forward:
    import openvino as ov

    limits = {"INFERENCE_NUM_THREADS": threads, "INFERENCE_PRECISION_HINT": "f32"}
    compiled = ov.Core().compile_model(str(graph), "CPU", limits)
    return lambda: compiled([IMAGES])


RUNTIMES: dict[str, Callable[[Path, int], Forward]] = {
    "onnxruntime": onnxruntime,
    "openvino": openvino,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("graph", type=Path, nargs="?", default=GRAPH)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--only", choices=RUNTIMES, help=argparse.SUPPRESS)
    parsed = parser.parse_args()
    if parsed.only:
        print(json.dumps(measured(parsed.only, parsed.graph, parsed.threads[0], parsed.repeats)))
        return
    columns = f"{'start s':>10}{'median ms':>11}{'best ms':>9}{'CPU ms':>8}"
    print(f"{'an image':<14}{'threads':>8}{columns}")
    for threads in parsed.threads:
        for name in RUNTIMES:
            told = in_own_process(name, parsed.graph, threads, parsed.repeats)
            print(f"{name:<14}{threads:>8}" + (told or "   is not installed"))


def measured(name: str, graph: Path, threads: int, repeats: int) -> dict[str, float]:
    """Seconds until the first answer; milliseconds an image, and the processors' in all."""
    start = time.perf_counter()
    forward = RUNTIMES[name](graph, threads)
    forward()
    started = time.perf_counter()
    spent, ends = time.process_time(), [started]
    for _ in range(repeats):
        forward()
        ends.append(time.perf_counter())
    ms = np.diff(ends) * 1000 / len(IMAGES)
    cpu_ms = (time.process_time() - spent) * 1000 / len(IMAGES) / repeats
    return {
        "start_s": started - start,
        "median": float(np.median(ms)),
        "best": float(ms.min()),
        "cpu": cpu_ms,
    }


def in_own_process(name: str, graph: Path, threads: int, repeats: int) -> str:
    """One line of the table; empty without the package."""
    command = [sys.executable, "-m", "Testing.benchmarks.runtimes", str(graph), "--only", name]
    command += ["--threads", str(threads), "--repeats", str(repeats)]
    done = subprocess.run(command, capture_output=True, text=True)
    if "ModuleNotFoundError" in done.stderr:
        return ""
    if done.returncode:
        raise SystemExit(done.stderr)
    told = json.loads(done.stdout.splitlines()[-1])
    return f"{told['start_s']:>10.2f}{told['median']:>11.1f}{told['best']:>9.1f}{told['cpu']:>8.1f}"


if __name__ == "__main__":
    main()
