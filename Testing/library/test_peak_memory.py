"""The peak of memory of a part of a process's work, not of all that went before."""

import json
import time
from dataclasses import replace

import numpy as np
import pytest

from M3LungScreenLib import peak_memory
from M3LungScreenLib.outputs import folder
from M3LungScreenLib.peak_memory import PeakMemory

MB = 2**20
WHILE_SAMPLED_S = 0.2


@pytest.fixture(params=["kernel", "sampled"])
def _a_system(request, monkeypatch, tmp_path):
    """This one, and one whose kernel does not start again."""
    if request.param == "sampled":
        monkeypatch.setattr(peak_memory, "CLEAR_REFS", tmp_path / "missing" / "clear_refs")


def use(mb: int) -> None:
    """Allocate and free."""
    array = np.ones(mb * MB, np.uint8)
    time.sleep(WHILE_SAMPLED_S)
    del array


@pytest.mark.usefixtures("_a_system")
def test_memory_counts_after_it_was_freed():
    peak = PeakMemory()
    before = peak.mb
    use(300)
    assert 250 < peak.mb - before < 500


@pytest.mark.usefixtures("_a_system")
def test_what_was_freed_before_does_not_count():
    before = PeakMemory().mb
    use(300)
    assert PeakMemory().mb < before + 150


def test_the_written_result_has_the_peak_of_writing(make_result, tmp_path, monkeypatch):
    def table(result):
        use(300)
        return ""

    monkeypatch.setattr(folder, "slices_csv", table)
    before = PeakMemory().mb
    replace(make_result("covid19"), peak_memory_mb=before).write(tmp_path / "out")
    told = json.loads((tmp_path / "out" / folder.RESULT_FILE).read_text())
    assert 250 < told["peak_memory_mb"] - before < 500
