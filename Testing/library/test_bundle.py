import json
import subprocess
import sys

import numpy as np
import pytest
import torch

from M3LungScreenLib.bundle import (
    CARD_FILE,
    GRAPH_FILES,
    WEIGHTS_FILE,
    load_bundle,
    save_bundle,
    save_copy,
)
from M3LungScreenLib.engines.choice import make_engine
from M3LungScreenLib.engines.pytorch_engine import fold_batch_norm
from M3LungScreenLib.errors import ModelRefused, UsageError
from M3LungScreenLib.networks.patient_network import PatientNetwork
from M3LungScreenLib.networks.slice_network import SliceNetwork
from M3LungScreenLib.settings import PRESETS, with_values

SETTINGS = PRESETS["compact"]


def arrays(network):
    return {name: tensor.numpy() for name, tensor in network.state_dict().items()}


@pytest.fixture(scope="module")
def networks():
    torch.manual_seed(0)
    return SliceNetwork(SETTINGS.slice_network).eval(), PatientNetwork(
        SETTINGS.patient_network
    ).eval()


@pytest.fixture
def a_bundle(tmp_path, networks):
    return saved(tmp_path / "bundle", networks)


def saved(folder, networks, settings=SETTINGS, dtype="float32"):
    slices, patient = map(arrays, networks)
    return save_bundle(
        folder,
        name="test",
        version="1",
        settings=settings,
        slice_weights=slices,
        patient_weights=patient,
        card={"notes": ["for tests"]},
        dtype=dtype,
    )


def test_a_bundle_comes_back_as_it_was_saved(a_bundle, networks):
    again = load_bundle(a_bundle.folder)
    assert again == a_bundle
    assert (again.name, again.settings, again.card["notes"]) == ("test", SETTINGS, ["for tests"])
    for name, array in arrays(networks[0]).items():
        assert np.array_equal(again.weights("slice")[name], array)


def test_half_precision_halves_the_file_and_comes_back_as_float32(a_bundle, networks, tmp_path):
    half = saved(tmp_path / "half", networks, dtype="float16")
    size = [(each.folder / WEIGHTS_FILE).stat().st_size for each in (half, a_bundle)]
    assert size[0] / size[1] == pytest.approx(0.5, abs=0.02)
    assert half.weights("patient")["classifier.weight"].dtype == np.float32


def test_the_card_of_another_bundle_does_not_speak_of_these_weights(a_bundle, networks, tmp_path):
    slices, patient = map(arrays, networks)
    half = save_bundle(
        tmp_path / "half",
        name="half",
        version="2",
        settings=with_values(SETTINGS, {"localization.threshold": 0.7}),
        slice_weights=slices,
        patient_weights=patient,
        card=a_bundle.card,
    )
    assert (half.name, half.version, half.settings.localization.threshold) == ("half", "2", 0.7)
    assert half.card["weights"]["dtype"] == "float16"
    assert half.sha256 != a_bundle.sha256
    assert list(half.card) == list(a_bundle.card)


def test_a_bundle_may_be_saved_again_but_not_over_something_else(a_bundle, networks, tmp_path):
    saved(a_bundle.folder, networks)
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.txt").write_text("years")
    with pytest.raises(ModelRefused, match="not empty"):
        saved(tmp_path / "thesis", networks)
    assert [each.name for each in (tmp_path / "thesis").iterdir()] == ["chapter.txt"]
    assert sorted(each.name for each in tmp_path.iterdir()) == ["bundle", "thesis"]


def changed_card(bundle, **values):
    path = bundle.folder / CARD_FILE
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


DAMAGES = {
    "no card": (lambda each: (each.folder / CARD_FILE).unlink(), "model.json is missing"),
    "no weights": (
        lambda each: (each.folder / WEIGHTS_FILE).unlink(),
        "weights file .* is missing",
    ),
    "one bit": (lambda each: flip_a_bit(each.folder / WEIGHTS_FILE), "damaged"),
    "no JSON": (lambda each: (each.folder / CARD_FILE).write_text("{"), "cannot be read"),
    "a list": (lambda each: (each.folder / CARD_FILE).write_text("[]"), "has no settings"),
    "a later format": (lambda each: changed_card(each, format_version=2), "format version 2"),
    "no settings": (lambda each: changed_card(each, settings=None), "settings is None"),
    "no weights named": (lambda each: changed_card(each, weights=None), "is incomplete"),
    "notes of another kind": (lambda each: changed_card(each, notes=3), "notes is 3"),
    "classes of another kind": (
        lambda each: changed_card(each, verified_on_real_ct=[1]),
        r"verified_on_real_ct is \[1\]",
    ),
    "unknown setting": (lambda each: changed_card(each, settings={"colour": 1}), "colour"),
}


@pytest.mark.parametrize(
    ("key", "value", "takes"),
    [
        ("patient_network.correlation", "nonsense", "'signed_sum', 'softmax', 'slices'"),
        ("slice_network.backbone", "resnet5000", "'resnet50', 'efficientnet_lite0'"),
        ("slice_network.attention", 1, "true or false"),
        ("preprocessing.input_size", True, "a whole number from 32 to 4096"),
        ("preprocessing.input_size", 256.0, "a whole number from 32 to 4096"),
        ("preprocessing.input_size", 0, "a whole number from 32 to 4096"),
        ("preprocessing.window_centers_hu", [], "1 to 16 entries"),
        ("preprocessing.window_centers_hu", [-600, "-500"], "each entry a whole number"),
        ("preprocessing.window_centers_hu", -600, "a list"),
        ("preprocessing.window_width_hu", 0, "from 1 to 8000"),
        ("assessment.temperature", 0.0, "a number above 0 to 1000"),
        ("assessment.temperature", float("nan"), "a number above 0 to 1000"),
        ("assessment.temperature", float("inf"), "a number above 0 to 1000"),
        ("assessment.temperature", None, "a number above 0 to 1000"),
        ("assessment.slab_temperature", "2", "a number above 0 to 1000"),
        ("assessment.maximum_spread_over_windows", 1.5, r"from 0 to 1 or null"),
        ("assessment.neighbour_sigma_mm", -1.0, "from 0 to 100"),
        ("localization.threshold", 50, "a number from 0 to 1"),
        ("localization", 0.5, "threshold"),
    ],
)
def test_a_setting_that_is_not_allowed_is_named_with_what_it_takes(a_bundle, key, value, takes):
    card = json.loads((a_bundle.folder / CARD_FILE).read_text("utf-8"))
    *groups, name = key.split(".")
    place = card["settings"]
    for each in groups:
        place = place[each]
    place[name] = value
    (a_bundle.folder / CARD_FILE).write_text(json.dumps(card), "utf-8")
    with pytest.raises(ModelRefused, match=takes) as refusal:
        load_bundle(a_bundle.folder)
    tuples = tuple(value) if isinstance(value, list) else value
    assert f"{key} is {tuples!r} but must be " in refusal.value.message


def test_whole_numbers_serve_as_numbers_and_a_range_ends_where_it_says(a_bundle):
    changed = {"assessment.temperature": 1000, "localization.threshold": 0}
    assert with_values(SETTINGS, changed).assessment.temperature == 1000
    with pytest.raises(ValueError, match=r"localization.threshold is -0\.1"):
        with_values(SETTINGS, {"localization.threshold": -0.1})


def flip_a_bit(path):
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_bundle_is_refused_with_what_to_do(a_bundle, damage):
    do, sentence = DAMAGES[damage]
    do(a_bundle)
    with pytest.raises(ModelRefused, match=sentence) as refusal:
        load_bundle(a_bundle.folder)
    assert refusal.value.exit_status == 4
    assert "\n" not in refusal.value.message


@pytest.fixture
def a_bundle_with_graphs(a_bundle):
    graphs = {"slice": b"one", "patient": b"other"}  # no engine runs them here
    return save_copy(a_bundle, a_bundle.folder, graphs=graphs)


def test_graphs_are_added_without_touching_the_weights(a_bundle, tmp_path):
    weights = (a_bundle.folder / WEIGHTS_FILE).read_bytes()
    assert not a_bundle.has_graphs
    graphs = {"slice": b"one", "patient": b"other"}
    more = save_copy(a_bundle, tmp_path / "more", graphs=graphs)
    assert more.has_graphs
    assert {each: more.graph(each) for each in graphs} == graphs
    assert (more.folder / WEIGHTS_FILE).read_bytes() == weights
    assert {**more.card, "graphs": None} == {**a_bundle.card, "graphs": None}
    assert more == load_bundle(more.folder)


def test_a_copy_with_another_card_keeps_weights_and_graphs(a_bundle_with_graphs, tmp_path):
    settings = with_values(SETTINGS, {"localization.threshold": 0.7})
    card = {**a_bundle_with_graphs.card, "notes": ["calibrated"], "name": "another's"}
    copy = save_copy(a_bundle_with_graphs, tmp_path / "copy", settings=settings, card=card)
    assert (copy.settings, copy.card["notes"], copy.name) == (settings, ["calibrated"], "test")
    assert copy.graph("slice") == b"one"
    assert copy.sha256 == a_bundle_with_graphs.sha256


def test_new_weights_leave_no_graphs_of_the_old_ones(a_bundle_with_graphs, networks):
    again = saved(a_bundle_with_graphs.folder, networks, dtype="float16")
    assert not again.has_graphs
    assert not [each for each in again.folder.iterdir() if each.suffix == ".onnx"]


def with_graphs_in_card(graphs):
    return lambda path: changed_card(load_bundle(path.parent), graphs=graphs)


BOTH_NAMES = "must name slice_network.onnx and patient_network.onnx"
GRAPH_DAMAGES = {
    "no graph": (lambda path: path.unlink(), "ONNX graph .* is missing"),
    "one bit": (lambda path: flip_a_bit(path), "ONNX graph .* is damaged"),
    "one is named": (with_graphs_in_card({"patient_network.onnx": "0" * 64}), BOTH_NAMES),
    "a path": (with_graphs_in_card({"../a.onnx": "0", "patient_network.onnx": "0"}), BOTH_NAMES),
    "a list": (with_graphs_in_card([1]), BOTH_NAMES),
}


@pytest.mark.parametrize("damage", GRAPH_DAMAGES)
def test_a_bundle_with_damaged_graphs_is_refused_with_what_to_do(a_bundle_with_graphs, damage):
    do, sentence = GRAPH_DAMAGES[damage]
    do(a_bundle_with_graphs.folder / GRAPH_FILES["patient"])
    with pytest.raises(ModelRefused, match=sentence) as refusal:
        load_bundle(a_bundle_with_graphs.folder)
    assert "\n" not in refusal.value.message


def test_a_graph_exchanged_after_loading_is_noticed(a_bundle_with_graphs):
    flip_a_bit(a_bundle_with_graphs.folder / GRAPH_FILES["slice"])
    with pytest.raises(ModelRefused, match="is damaged"):
        a_bundle_with_graphs.graph("slice")


def test_a_card_is_read_without_torch(a_bundle):
    code = (
        "import sys; from M3LungScreenLib.bundle import load_bundle; "
        f"load_bundle({str(a_bundle.folder)!r}); sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_engine_gives_what_the_networks_give(a_bundle, networks):
    engine = make_engine(a_bundle, "cpu")
    images = np.random.default_rng(0).random((2, 3, 64, 64), np.float32)
    batch = engine.run_slices(images)
    with torch.inference_mode():
        out = networks[0](torch.from_numpy(images))
        patient = networks[1](out.features[None])
    assert batch.p_lesion == pytest.approx(out.lesion_logits.softmax(1)[:, 1].numpy(), abs=1e-5)
    assert batch.class_probabilities == pytest.approx(out.class_logits.softmax(1).numpy(), abs=1e-5)
    assert batch.location_map == pytest.approx(out.map_logits.sigmoid().numpy(), abs=1e-5)
    scores = engine.run_patient(batch.features)
    assert scores.logits == pytest.approx(patient.logits[0].numpy(), abs=1e-3)
    assert scores.weights.shape == (2,)


@pytest.mark.parametrize("backbone", ["efficientnet_lite0", "resnet50"])
def test_folded_batch_norm_changes_no_output(backbone):
    torch.manual_seed(0)
    settings = with_values(SETTINGS, {"slice_network.backbone": backbone})
    network = SliceNetwork(settings.slice_network)
    for each in network.modules():
        if isinstance(each, torch.nn.BatchNorm2d):
            each.running_mean.normal_(0, 0.1)
            each.running_var.uniform_(0.5, 2)
            torch.nn.init.uniform_(each.weight, 0.5, 1.5)
            torch.nn.init.normal_(each.bias, 0, 0.1)
    network.eval()
    images = torch.rand(2, 3, 64, 64)
    with torch.inference_mode():
        expected = network(images)
        fold_batch_norm(network)
        folded = network(images)
    assert not [each for each in network.modules() if isinstance(each, torch.nn.BatchNorm2d)]
    for one, other in zip(folded, expected, strict=True):
        assert torch.allclose(one, other, rtol=1e-3, atol=1e-4)


def test_weights_that_do_not_fit_the_settings_are_refused(networks, tmp_path):
    other = with_values(SETTINGS, {"patient_network.scales": [1, 2]})
    bundle = saved(tmp_path / "bundle", networks, settings=other)
    with pytest.raises(ModelRefused, match="do not fit"):
        make_engine(bundle, "cpu")


def test_a_device_that_is_not_there_is_a_usage_error(a_bundle):
    if torch.cuda.is_available():
        pytest.skip("this machine has CUDA")
    with pytest.raises(
        UsageError, match=r"^CUDA is not available on this computer\. Available devices: CPU\.$"
    ):
        make_engine(a_bundle, "cuda")


def test_a_plain_network_has_no_map_and_its_p_is_the_classes_alone(tmp_path, networks):
    dotted = {
        "slice_network.multi_task": False,
        "slice_network.attention": False,
        "slice_network.map_affine": False,
    }
    settings = with_values(SETTINGS, dotted)
    plain = SliceNetwork(settings.slice_network)
    engine = make_engine(saved(tmp_path / "plain", (plain, networks[1]), settings), "cpu")
    batch = engine.run_slices(np.zeros((3, 3, 64, 64), np.float32))
    assert batch.p_lesion.tolist() == [1, 1, 1]
    assert batch.location_map.shape == (3, 1, 1)


def test_a_batch_that_does_not_fit_into_memory_is_halved():
    from M3LungScreenLib.engines.pytorch_engine import _halving

    def run(images):
        if len(images) > 2:
            raise torch.cuda.OutOfMemoryError
        return (images.numpy(),)

    parts = _halving(run, torch.arange(7))
    assert np.concatenate([each for (each,) in parts]).tolist() == list(range(7))
