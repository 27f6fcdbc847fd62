import pytest

from M3LungScreenLib.settings import PRESETS, ModelSettings, from_dict, to_dict, with_values


@pytest.mark.parametrize("preset", PRESETS)
def test_settings_survive_json(preset):
    import json

    plain = json.loads(json.dumps(to_dict(PRESETS[preset])))
    assert from_dict(ModelSettings, plain) == PRESETS[preset]


def test_an_unknown_setting_is_named_with_its_place():
    with pytest.raises(ValueError, match=r"^slice_network has no bakcbone"):
        from_dict(ModelSettings, {"slice_network": {"bakcbone": "resnet50"}})


def test_a_dotted_value_replaces_only_itself():
    changed = with_values(PRESETS["paper"], {"slice_network.similarity": "cosine"})
    assert changed.slice_network.similarity == "cosine"
    assert with_values(changed, {"slice_network.similarity": "dot"}) == PRESETS["paper"]


def test_a_dotted_value_of_no_setting_is_refused():
    with pytest.raises(ValueError, match="no setting 'slice'"):
        with_values(PRESETS["paper"], {"slice.similarity": "cosine"})


def test_the_paper_preset_is_the_papers():
    paper = PRESETS["paper"]
    assert (paper.preprocessing.input_size, paper.preprocessing.window_width_hu) == (512, 1200)
    assert paper.preprocessing.window_centers_hu == (-700, -600, -500)
    assert (paper.patient_network.heads, paper.patient_network.head_size) == (12, 512)
    assert paper.patient_network.scales == (1, 2, 3, 4)
    assert paper.assessment.healthy_fraction_threshold == 0.99
