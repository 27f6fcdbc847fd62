"""Which slices are looked at first: those most telling for the verdict, apart from one another."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from M3LungScreenLib.classes import CLASS_KEYS
from M3LungScreenLib.key_slices import most_telling_slices


def content(rows, predicted):
    """result.json of slices (probabilities, involvement, P(lesion)); None was not screened."""
    slices = []
    for index, row in enumerate(rows):
        p, involvement, p_lesion = row or (None, None, None)
        slices.append(
            {
                "index": index,
                "position_mm": [0.0, 0.0, 5.0 * index],
                "probabilities": dict(zip(CLASS_KEYS, p, strict=True)) if row else None,
                "predicted": CLASS_KEYS[int(np.argmax(p))] if row else None,
                "involvement": involvement,
                "p_lesion": p_lesion,
            }
        )
    return {"patient": {"predicted": predicted} if predicted else None, "slices": slices}


SURELY_CAP = ((0.0, 0.01, 0.0, 0.99), 0.3, 1.0)
COVID_OF_LITTLE = ((0.0, 0.9, 0.05, 0.05), 0.1, 0.9)
COVID_OF_MUCH = ((0.1, 0.8, 0.05, 0.05), 0.2, 0.8)


def test_the_slice_surest_of_another_disease_is_not_the_first_under_a_covid_19_verdict():
    rows = [None, SURELY_CAP, COVID_OF_LITTLE, COVID_OF_MUCH]
    assert most_telling_slices(content(rows, "covid19"), 3) == [3, 2, 1]
    assert most_telling_slices(content(rows, "cap")) == [1]


def test_under_a_healthy_verdict_the_highest_p_lesion_comes_first():
    rows = [((0.9, 0.1, 0.0, 0.0), 0.0, p) for p in (0.1, 0.3, 0.2)]
    assert most_telling_slices(content(rows, "healthy"), 2) == [1, 2]


def test_where_nothing_is_involved_the_disease_alone_counts():
    rows = [((1 - p, p, 0.0, 0.0), 0.0, p) for p in (0.1, 0.4, 0.2)]
    assert most_telling_slices(content(rows, "covid19")) == [1]


def test_a_single_slice_is_its_own_and_without_a_screened_one_there_is_none():
    assert most_telling_slices(content([SURELY_CAP], None)) == [0]
    assert most_telling_slices(content([None, None], "healthy")) == []


@given(st.integers(0, 10_000), st.sampled_from(CLASS_KEYS))
def test_the_first_has_the_highest_score_and_no_two_are_close(seed, predicted):
    rng = np.random.default_rng(seed)
    rows = [
        (tuple(rng.dirichlet(np.ones(4))), rng.random(), rng.random())
        if rng.random() < 0.8
        else None
        for _ in range(40)
    ]
    chosen = most_telling_slices(content(rows, predicted), 5)
    at = CLASS_KEYS.index(predicted)
    scores = {k: row[0][at] * row[1] if at else row[2] for k, row in enumerate(rows) if row}
    assert chosen[0] == max(scores, key=scores.get)
    gap = round(0.1 * len(scores))
    assert all(abs(a - b) >= gap for a in chosen for b in chosen if a != b)
    # What was passed over for its score lies close to one that was chosen.
    worst = min(scores[k] for k in chosen)
    assert all(
        min(abs(k - c) for c in chosen) < gap
        for k, s in scores.items()
        if s > worst and k not in chosen
    )


@pytest.mark.parametrize("called", [*CLASS_KEYS])
def test_a_volume_stored_head_first_begins_with_the_same_slice(make_result, called):
    straight = make_result(called)
    flipped = make_result(called, direction=(1, 0, 0, 0, 1, 0, 0, 0, -1))
    assert straight.most_telling_slices(3) == flipped.most_telling_slices(3)
    [index] = most_telling_slices(flipped.to_dict())
    assert flipped.slices[index] == flipped.slice_of(flipped.most_telling_slices()[0])


def test_an_indeterminate_verdict_shows_what_speaks_for_the_likeliest_class(make_result):
    result = make_result("cap", 0.4)
    assert result.patient.verdict == "indeterminate"
    patient = replace(result.patient, verdict="cap")
    assert result.most_telling_slices(3) == replace(result, patient=patient).most_telling_slices(3)
