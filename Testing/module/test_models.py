"""Which models can be chosen."""

import shutil
from pathlib import Path

import pytest
from M3LungScreenSlicer.models import list_models, open_model, unverified_classes

ROOT = Path(__file__).parents[2]
SHIPPED = ROOT / "Resources" / "Models" / "compact"


@pytest.fixture
def a_copy(tmp_path):
    folder = tmp_path / "Modelle für Ärzte" / "mine"
    shutil.copytree(SHIPPED, folder)
    return folder


def test_the_shipped_model_is_listed_first_and_then_the_users(a_copy):
    choices = list_models(a_copy.parent)
    assert [each.folder for each in choices] == [SHIPPED, a_copy]
    assert choices[0].label == choices[1].label == "M3LungScreen compact 0.1.0"
    assert [each.problem for each in choices] == ["", ""]
    assert [each.folder for each in list_models(a_copy)] == [SHIPPED, a_copy]


@pytest.mark.parametrize("name", ["", "model.json", "weights.safetensors"])
def test_a_model_opens_by_its_folder_or_any_file_of_it(a_copy, name):
    opened = open_model(a_copy / name)
    assert (opened.folder, opened.problem) == (a_copy, "")
    assert opened.card["weights"]["sha256"] == opened.sha256


def test_a_model_whose_hash_is_wrong_is_named_and_refused(a_copy):
    with (a_copy / "weights.safetensors").open("ab") as weights:
        weights.write(b"x")
    opened = open_model(a_copy)
    assert "damaged" in opened.problem
    assert opened.label == "M3LungScreen compact 0.1.0"
    assert opened.sha256 == ""


def test_what_is_no_model_says_so(tmp_path):
    (tmp_path / "model.json").write_text("[]")
    assert "has no settings" in open_model(tmp_path).problem
    assert "no model" in open_model(tmp_path / "elsewhere" / "photo.png").problem


def test_a_class_without_real_cases_is_unverified():
    assert unverified_classes({"verified_on_real_ct": {"healthy": 12, "cap": 0}}) == (
        "covid19",
        "h1n1",
        "cap",
    )
    assert len(unverified_classes({})) == 4
