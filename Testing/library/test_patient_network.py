"""The patient-level network against a slow, literal NumPy version of the paper's equations."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from M3LungScreenLib.networks.patient_network import PatientNetwork, in_part
from M3LungScreenLib.settings import PRESETS, PatientNetworkSettings

VARIANTS = ["max_pooling", "single_scale_a", "multi_scale_a", "multi_scale_ra"]
CORRELATIONS = ["signed_sum", "softmax", "slices"]
D, HEADS, HEAD_SIZE = 12, 3, 4


def a_network(variant="multi_scale_ra", correlation="softmax"):
    torch.manual_seed(1)
    settings = PatientNetworkSettings(
        variant=variant, feature_size=D, heads=HEADS, head_size=HEAD_SIZE, correlation=correlation
    )
    return PatientNetwork(settings).eval().double()


def features(count, seed=0):
    return np.random.default_rng(seed).normal(size=(count, D))


def linear(layer, x):
    return x @ layer.weight.detach().numpy().T + layer.bias.detach().numpy()


def softmax(x):
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def over_sum(x):
    total = x.sum(-1, keepdims=True)
    return x / (np.where(total < 0, -1, 1) * np.maximum(abs(total), 1e-3))


def refine(layer, f, correlation):
    heads = []
    for h in range(HEADS):
        own = slice(h * HEAD_SIZE, (h + 1) * HEAD_SIZE)
        f1, f2, f3 = (linear(each, f)[:, own] for each in (layer.f1, layer.f2, layer.f3))
        if correlation == "slices":
            heads.append(softmax(f1 @ f2.T / HEAD_SIZE**0.5) @ f3)
        elif correlation == "softmax":
            heads.append(f3 @ softmax(f1.T @ f2 / len(f) ** 0.5))
        else:
            heads.append(f3 @ over_sum(f1.T @ f2))
    return f + linear(layer.f4, np.concatenate(heads, axis=1))


def aggregate(layer, f, correlation):
    scores = layer.k.detach().numpy()[0] @ linear(layer.f2, f).T
    weights = over_sum(scores) if correlation == "signed_sum" else softmax(scores / D**0.5)
    return weights @ linear(layer.f3, f), weights


def literal(network, f, correlation):
    parts, weights = [], np.zeros(len(f))
    for scale in network.scales:
        for part in range(scale):
            own = slice(len(f) * part // scale, len(f) * (part + 1) // scale)
            if own.start == own.stop:
                parts.append(np.zeros(D))
                continue
            g = f[own]
            for layer in network.refinement:
                g = refine(layer, g, correlation)
            g, share = aggregate(network.aggregation, g, correlation)
            parts.append(g)
            weights[own] += share * len(share) / len(f)
    out = linear(network.reduction, np.concatenate(parts))
    return linear(network.classifier, out), weights / len(network.scales)


def run(network, f):
    with torch.inference_mode():
        out = network(torch.from_numpy(f)[None])
    return out.logits[0].numpy(), out.weights[0].numpy()


def test_the_paper_preset_counts_264308740_parameters():
    with torch.device("meta"):
        network = PatientNetwork(PRESETS["paper"].patient_network)
    assert sum(each.numel() for each in network.parameters()) == 264_308_740


@pytest.mark.parametrize("count", [1, 2, 3, 7, 60])
@pytest.mark.parametrize("correlation", CORRELATIONS)
@pytest.mark.parametrize("variant", VARIANTS[1:])
def test_the_network_is_the_papers_equations(variant, correlation, count):
    network, f = a_network(variant, correlation), features(count)
    logits, weights = run(network, f)
    expected_logits, expected_weights = literal(network, f, correlation)
    # The Gram matrix is float32 whatever the rest is.
    assert logits == pytest.approx(expected_logits, rel=1e-3, abs=1e-4)
    assert weights == pytest.approx(expected_weights, rel=1e-3, abs=1e-4)


@pytest.mark.parametrize("count", [1, 2, 3, 7, 495])
@pytest.mark.parametrize("correlation", CORRELATIONS)
@pytest.mark.parametrize("variant", VARIANTS)
def test_every_variant_takes_any_number_of_slices(variant, correlation, count):
    logits, weights = run(a_network(variant, correlation), features(count))
    assert np.isfinite(logits).all()
    assert weights.shape == (count,)


@pytest.mark.parametrize("variant", VARIANTS)
def test_weights_are_shares_of_the_slices(variant):
    _, weights = run(a_network(variant), features(9))
    assert (weights >= 0).all()
    assert weights.sum() == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("correlation", CORRELATIONS)
@pytest.mark.parametrize("variant", VARIANTS)
def test_a_padded_batch_is_its_patients_one_by_one(variant, correlation):
    network = a_network(variant, correlation)
    patients = [features(count, seed=count) for count in (1, 3, 7, 20)]
    batch, mask = np.full((4, 20, D), 7.0), np.zeros((4, 20), bool)
    for i, each in enumerate(patients):
        batch[i, : len(each)], mask[i, : len(each)] = each, True
    with torch.inference_mode():
        out = network(torch.from_numpy(batch), torch.from_numpy(mask))
    for i, each in enumerate(patients):
        logits, weights = run(network, each)
        assert out.logits[i].numpy() == pytest.approx(logits, rel=1e-3, abs=1e-4)
        assert out.weights[i, : len(each)].numpy() == pytest.approx(weights, rel=1e-3, abs=1e-4)
        assert not out.weights[i, len(each) :].any()


def test_max_pooling_gives_each_slice_the_share_of_features_it_wins():
    network, f = a_network("max_pooling"), features(5)
    logits, weights = run(network, f)
    assert logits == pytest.approx(linear(network.classifier, f.max(axis=0)))
    assert weights == pytest.approx(np.bincount(f.argmax(axis=0), minlength=5) / D)


@pytest.mark.parametrize("count", range(1, 12))
@pytest.mark.parametrize("scale", [1, 2, 3, 4])
def test_runs_of_a_scale_are_nearly_equal_and_cover_every_slice_once(count, scale):
    parts = [in_part(torch.tensor([count]), 12, part, scale)[0].numpy() for part in range(scale)]
    sizes = [int(part.sum()) for part in parts]
    assert (np.sum(parts, axis=0) == (np.arange(12) < count)).all()
    assert max(sizes) - min(sizes) <= 1


def test_a_vanishing_signed_sum_does_not_explode():
    network = a_network(correlation="signed_sum")
    logits, _ = run(network, np.zeros((4, D)))
    assert np.isfinite(logits).all()


def test_the_network_learns_through_a_mask():
    network = a_network().float()
    x, mask = torch.randn(2, 6, D), torch.tensor([[True] * 6, [True] * 2 + [False] * 4])
    network(x, mask).logits.sum().backward()
    assert all(torch.isfinite(each.grad).all() for each in network.parameters())


def test_standardised_features_are_those_of_the_training_patients_with_mean_0_and_spread_1():
    plain = a_network()
    settings = replace(plain.settings, standardised=True)
    network = PatientNetwork(settings).eval().double()
    network.load_state_dict(plain.state_dict(), strict=False)
    training = 5 + 3 * features(200, seed=1)
    network.standardise(torch.from_numpy(training))
    f = 5 + 3 * features(7)
    by_hand = (f - training.mean(axis=0)) / training.std(axis=0, ddof=1)
    for found, expected in zip(run(network, f), run(plain, by_hand), strict=True):
        assert np.allclose(found, expected, atol=1e-9)
