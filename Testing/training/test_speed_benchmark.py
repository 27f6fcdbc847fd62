"""The ratios of the speed benchmark, from runs whose figures are known."""

from Testing.benchmarks.speed import Run, compare


def run(seconds, memory_mb=1000.0, engine="onnx"):
    return Run(seconds, 2 * seconds, memory_mb, seconds / 4, seconds / 2, engine)


def test_the_ratio_is_that_of_the_medians():
    old = [run(each, 3000, "pytorch") for each in (30, 90, 32)]
    new = [run(each) for each in (8, 7, 50)]
    found = compare(old, new, "abc")
    assert found["speedup_over"] == {
        "revision": "abc",
        "ratio": 4.0,
        "ratio_of_processor_s": 4.0,
        "ratio_of_peak_memory": 3.0,
    }
    assert (found["end_to_end_s"], found["network_s"]) == (8, 4)
    assert found["provisional_fraction"] == 0.25
    assert found["engines"] == ["onnx"]
