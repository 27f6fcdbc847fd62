"""The worker in this process: commands in, events out, and an engine that computes nothing."""

import io
import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from M3LungScreenLib import worker
from M3LungScreenLib.engines.interface import EngineSummary, PatientScores, SliceOutputs

# A well-formed command.
GOOD = {
    "command": "screen",
    "run": 1,
    "volume": "v.raw",
    "geometry": {
        "size": [96, 96, 30],
        "spacing_mm": [1, 1.5, 8],
        "origin_mm": [0, 0, -3.5],
        "direction": [1, 0, 0, 0, 1, 0, 0, 0, 1],
    },
    "model": "m",
    "out": "o",
}


@dataclass
class CountingEngine:
    """Answers with zeros, or runs out of memory; counts what it was asked."""

    device: str = "cpu"
    wrong: Exception | None = None
    asked: list[int] = field(default_factory=list)
    summary = EngineSummary("onnx", "0", "float32")

    def run_slices(self, images: np.ndarray) -> SliceOutputs:
        self.asked.append(len(images))
        if self.wrong is not None:
            raise self.wrong
        count = len(images)
        uniform = np.full((count, 4), 0.25, np.float32)
        return SliceOutputs(
            np.full(count, 0.5), uniform, np.zeros((count, 7, 7)), np.zeros((count, 3))
        )

    def run_patient(self, features: np.ndarray) -> PatientScores:
        self.asked.append(-len(features))
        if self.wrong is not None:
            raise self.wrong
        return PatientScores(np.zeros(4), np.full(len(features), 1 / len(features)))


class WaitingLines:
    """Gives a command once the run before it has ended, as a person does."""

    def __init__(self, lines: Sequence[str], out: io.StringIO) -> None:
        self._lines, self._out = lines, out

    def __iter__(self) -> Iterator[str]:
        for sent, line in enumerate(self._lines):
            yield line
            while self._ended() <= sent:
                time.sleep(0.01)

    def _ended(self) -> int:
        lines = self._out.getvalue().splitlines()
        kinds = [json.loads(line)["event"] for line in lines if line.endswith("}")]
        return sum(kind in ("result", "error", "crash") for kind in kinds)


def served(*commands: dict[str, Any]) -> list[dict[str, Any]]:
    """The events of the worker for these commands."""
    out = io.StringIO()
    lines = [json.dumps(each) + "\n" for each in commands]
    assert worker.serve(WaitingLines(lines, out), out) == 0
    return [json.loads(line) for line in out.getvalue().splitlines()]
