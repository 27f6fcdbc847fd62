"""Graphs made from a bundle give what PyTorch gives, for every variant of the networks."""

import pytest

from M3LungScreenLib.bundle import WEIGHTS_FILE, load_bundle, save_bundle
from M3LungScreenLib.errors import ModelRefused
from M3LungScreenLib.networks.patient_network import PatientNetwork
from M3LungScreenLib.networks.slice_network import SliceNetwork
from M3LungScreenLib.settings import PRESETS, with_values
from Training import add_graphs, graphs

PLAIN = {
    "slice_network.multi_task": False,
    "slice_network.attention": False,
    "slice_network.map_affine": False,
    "slice_network.coordinates": False,
    "slice_network.pooling": "mean",
    "patient_network.variant": "max_pooling",
    "patient_network.standardised": False,
}
PAPER = {
    "slice_network.backbone": "resnet50",
    "slice_network.map_affine": False,
    "slice_network.pooling": "mean",
    "patient_network.feature_size": 3072,
    "patient_network.heads": 2,
    "patient_network.head_size": 16,
    "patient_network.standardised": False,
    "patient_network.refinement_layers": 1,
    "patient_network.scales": [1, 2],
}
VARIANTS = {
    "the paper's at small size": (PAPER, "float16"),
    "cosine, single scale": (
        {"slice_network.similarity": "cosine", "patient_network.variant": "single_scale_a"},
        "float32",
    ),
    "euclidean, across slices": (
        {
            "slice_network.similarity": "euclidean",
            "patient_network.correlation": "slices",
            "patient_network.scales": [1, 2],
        },
        "float16",
    ),
}


def untrained(folder, changes, dtype):
    small = {"preprocessing.input_size": 64}
    settings = with_values(PRESETS["compact"], small | changes)
    networks = SliceNetwork(settings.slice_network), PatientNetwork(settings.patient_network)
    weights = [{k: v.numpy() for k, v in each.state_dict().items()} for each in networks]
    return save_bundle(
        folder,
        name="untrained",
        version="0",
        settings=settings,
        slice_weights=weights[0],
        patient_weights=weights[1],
        card={},
        dtype=dtype,
    )


def test_the_command_adds_graphs_and_leaves_the_weights(tmp_path, capsys):
    bundle = untrained(tmp_path / "bundle", PLAIN, "float32")
    weights = (bundle.folder / WEIGHTS_FILE).read_bytes()
    add_graphs.main([str(bundle.folder)])
    made = load_bundle(bundle.folder)
    assert made.has_graphs
    assert (bundle.folder / WEIGHTS_FILE).read_bytes() == weights
    assert graphs.largest_difference(made) < 1e-5
    assert "from PyTorch's outputs" in capsys.readouterr().out


def test_graphs_that_differ_from_pytorch_are_not_written(tmp_path, monkeypatch):
    bundle = untrained(tmp_path / "bundle", {}, "float32")
    monkeypatch.setattr(graphs, "export_graphs", lambda bundle: {"slice": b"", "patient": b""})
    monkeypatch.setattr(graphs, "largest_difference", lambda bundle: 0.1)
    with pytest.raises(ModelRefused, match=r"differ from PyTorch by up to 0\.1"):
        graphs.add_graphs(bundle, bundle.folder)
    assert not load_bundle(bundle.folder).has_graphs


@pytest.mark.slow
@pytest.mark.parametrize("variant", VARIANTS)
def test_every_variant_can_be_exported(tmp_path, variant):
    changes, dtype = VARIANTS[variant]
    made, difference = graphs.add_graphs(
        untrained(tmp_path / "bundle", changes, dtype), tmp_path / "with-graphs"
    )
    assert made.has_graphs
    assert difference < graphs.LARGEST_DIFFERENCE
