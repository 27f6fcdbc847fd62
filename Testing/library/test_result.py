"""result.json: every kind of result fits the schema, and the schema knows every field."""

import json
from dataclasses import FrozenInstanceError, fields, replace

import jsonschema
import numpy as np
import pytest

from M3LungScreenLib.classes import CLASS_KEYS
from M3LungScreenLib.result import SCHEMA_FILE, InputSummary, ScreeningWarning, SliceResult, Timing

SCHEMA = json.loads(SCHEMA_FILE.read_text("utf-8"))
CHECK = jsonschema.Draft202012Validator(SCHEMA)


@pytest.fixture(params=[*CLASS_KEYS, "indeterminate", "single", "preview", "flipped", "warned"])
def a_result(request, make_result):
    kinds = {
        "indeterminate": {"called": "cap", "top": 0.4},
        "single": {"slices": slice(14, 15)},
        "preview": {"screened": lambda k: k % 2 == 0},
        "flipped": {"direction": (-1, 0, 0, 0, 1, 0, 0, 0, -1)},
        "warned": {
            "warnings": (ScreeningWarning("lungs_cut", "The lungs reach the first slice."),)
        },
    }
    return make_result(**kinds.get(request.param, {"called": request.param}))


def test_every_kind_of_result_fits_the_schema(a_result):
    CHECK.validate(a_result.to_dict())


def test_the_schema_is_a_valid_one_of_draft_2020_12():
    assert SCHEMA["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


def resolved(schema):
    """References followed, `null or …` reduced to the other."""
    if "$ref" in schema:
        return resolved(SCHEMA["$defs"][schema["$ref"].split("/")[-1]])
    choices = [each for each in schema.get("anyOf", ()) if each.get("type") != "null"]
    return resolved(choices[0]) if choices else schema


def unknown_or_optional(value, schema, where=""):
    schema = resolved(schema)
    if isinstance(value, list):
        return [w for each in value for w in unknown_or_optional(each, schema["items"], where)]
    if not isinstance(value, dict) or "properties" not in schema:
        return [] if schema.keys() & {"type", "enum"} else [where]
    missed = [f"{where}.{name}" for name in value if name not in schema["required"]]
    for name in value.keys() & schema["properties"].keys():
        missed += unknown_or_optional(value[name], schema["properties"][name], f"{where}.{name}")
    return missed


def test_every_field_is_required_and_typed(make_result):
    assert unknown_or_optional(make_result().to_dict(), SCHEMA) == []


def test_every_field_that_is_left_out_is_missed(make_result):
    whole = make_result().to_dict()
    for name in whole:
        assert not CHECK.is_valid({key: held for key, held in whole.items() if key != name}), name


def test_a_later_version_may_add_fields(make_result):
    later = make_result().to_dict()
    later["input"]["kvp"] = 120
    later["slices"][0]["note"] = "new"
    CHECK.validate({**later, "schema_version": "1.7", "studies": []})


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"severity_score": 25}, "involvement"),
        ({"sha256": "short"}, "model"),
        ({"detail": "quick"}, "settings"),
        ({"size": [1, 2]}, "input"),
        ({"verdict": "flu"}, "patient"),
        ({"write": -1.0}, "timing_s"),
    ],
)
def test_a_value_out_of_range_is_refused(make_result, change, field):
    plain = make_result().to_dict()
    assert not CHECK.is_valid({**plain, field: {**plain[field], **change}})


def test_a_share_over_one_is_refused(make_result):
    plain = make_result().to_dict()
    plain["involvement"]["left"]["peripheral"] = 1.01
    with pytest.raises(jsonschema.ValidationError, match=r"1\.01"):
        CHECK.validate(plain)


def test_attributes_bear_the_names_of_result_json(make_result):
    result = make_result()
    plain = result.to_dict()
    assert plain["patient"]["predicted"] == result.patient.predicted == "covid19"
    assert plain["slices"][9]["p_lesion"] == result.slices[9].p_lesion
    assert next(iter(plain)) == "schema_version"
    assert {"volume", "arrays"}.isdisjoint(plain)
    for name, kind in (("input", InputSummary), ("timing_s", Timing)):
        assert list(plain[name]) == [each.name for each in fields(kind)]
    assert list(plain["slices"][0]) == [each.name for each in fields(SliceResult)]


def test_a_result_and_its_arrays_cannot_be_changed(make_result):
    result = make_result()
    with pytest.raises(FrozenInstanceError):
        result.device = "cuda"
    with pytest.raises(ValueError, match="read-only"):
        result.arrays.lesions[0] = 1


def test_slices_count_along_the_stored_axis(make_result):
    straight = make_result()
    flipped = make_result(direction=(1, 0, 0, 0, 1, 0, 0, 0, -1))
    assert [each.index for each in flipped.slices] == list(range(30))
    assert straight.slice_of(3).index == 3
    assert flipped.slice_of(3).index == 26
    np.testing.assert_allclose(
        flipped.slice_of(3).involvement, straight.slice_of(3).involvement, rtol=0
    )


def test_a_replaced_timing_leaves_the_rest(make_result):
    result = make_result()
    timed = replace(result, timing_s=replace(result.timing_s, read=7.0))
    assert timed.to_dict()["timing_s"]["read"] == 7.0
    assert timed.arrays is result.arrays
