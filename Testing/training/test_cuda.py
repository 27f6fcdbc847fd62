"""What only a CUDA device can show; needs no more than training does there.

On a machine without image libraries: `python -m pytest --noconftest Testing/training/test_cuda.py`.
"""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from M3LungScreenLib.bundle import load_bundle
from M3LungScreenLib.engines.choice import make_engine
from M3LungScreenLib.networks.slice_network import SliceNetwork
from M3LungScreenLib.preprocessing import apply_windows
from Testing.stand_ins.slices import slices_with_discs
from Training import train_slice
from Training.config import DataSettings, TrainingConfig, load_config
from Training.learning import slice_level
from Training.learning.augmentation import apply, draw
from Training.learning.fabric import make_fabric
from Training.sources.simulated_slices import Source, make_pair, make_slices

ROOT = Path(__file__).parents[2]
SHIPPED = ROOT / "Resources/Models/compact"

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")


def small_config(*overrides: str) -> TrainingConfig:
    path = ROOT / "Training/configs/smoke.yaml"
    return load_config(path, ["model.preprocessing.input_size=64", "slice.pairs=6", *overrides])


def middle_window(hu: np.ndarray) -> np.ndarray:
    return apply_windows(hu, (-600,), 1200)[0][:, None]


def test_half_precision_on_cuda_answers_as_the_processor_does():
    bundle, source, data = load_bundle(SHIPPED), Source("covid19", 5), DataSettings()
    samples = make_slices(make_pair(source, None), source, data, bundle.settings.preprocessing)
    images = middle_window(np.concatenate([samples.ill[:], samples.clean[:]]))
    on_cpu, on_cuda = (make_engine(bundle, each).run_slices(images) for each in ("cpu", "cuda"))
    assert np.ptp(on_cpu.p_lesion) > 0.5
    assert on_cuda.p_lesion == pytest.approx(on_cpu.p_lesion, abs=0.02)
    assert on_cuda.class_probabilities == pytest.approx(on_cpu.class_probabilities, abs=0.02)
    assert on_cuda.location_map == pytest.approx(on_cpu.location_map, abs=0.05)
    on_cpu, on_cuda = (
        make_engine(bundle, each).run_patient(on_cpu.features) for each in ("cpu", "cuda")
    )
    assert on_cuda.logits == pytest.approx(on_cpu.logits, abs=0.02)


def test_a_batch_that_fills_the_memory_is_halved_and_answered_alike():
    images = middle_window(slices_with_discs(512, size=256).ill[:])
    engine = make_engine(load_bundle(SHIPPED), "cuda")
    whole = engine.run_slices(images)
    torch.cuda.empty_cache()
    total = torch.cuda.get_device_properties(0).total_memory
    torch.cuda.set_per_process_memory_fraction((torch.cuda.memory_allocated() + 400e6) / total)
    try:
        halved = engine.run_slices(images)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert torch.cuda.memory_stats()["num_ooms"] > 0
    assert halved.p_lesion == pytest.approx(whole.p_lesion, abs=0.01)


def test_augmentation_without_noise_is_the_same_on_both_devices():
    hu = torch.from_numpy(np.random.default_rng(0).integers(-1000, 200, (16, 64, 64)))
    drawn = [replace(draw(1, 0, sample), noise_hu=0.0) for sample in range(16)]
    on_cuda = apply(hu.cuda(), drawn, 1200).cpu()
    assert torch.allclose(on_cuda, apply(hu, drawn, 1200), atol=2e-3)


@pytest.mark.parametrize("precision", ["bfloat16", "float32"])
def test_the_slice_level_learns_on_cuda_and_resumes(precision, tmp_path):
    config = small_config("slice.epochs=4", f"slice.precision={precision}")
    fabric, samples = make_fabric("cuda", config.slice.precision), slices_with_discs(12)
    network = slice_level.make_network(config, SHIPPED, None)
    run = train_slice.train(fabric, network, samples, samples, config, tmp_path)
    assert next(network.parameters()).device.type == "cuda"
    losses = [
        row["loss"]
        for row in map(json.loads, (tmp_path / "log.jsonl").read_text().splitlines())
        if "loss" in row
    ]
    assert losses[-1] < 0.8 * losses[0]
    again = SliceNetwork(config.model.slice_network)
    resumed = train_slice.train(fabric, again, samples, samples, config, tmp_path, resume=True)
    assert resumed.step == run.step
    state = again.state_dict()
    assert all(torch.equal(state[name], each) for name, each in network.state_dict().items())
