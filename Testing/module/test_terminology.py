"""The terms of the segments: one table of codes in library, terminology file and entries."""

import importlib
import json
from types import SimpleNamespace

import pytest
from M3LungScreenSlicer.scene.terminology import (
    CONTEXT,
    TERMINOLOGY_FILE,
    entry_of,
    load_terminology,
)

from M3LungScreenLib.classes import CATEGORY, CLASSES, LUNG, Code

DISEASES = CLASSES[1:]


@pytest.fixture
def logic(scene):
    import slicer

    made = slicer.vtkSlicerTerminologiesModuleLogic()
    load_terminology(made)
    return made


def code_of(plain):
    return Code(plain["CodeValue"], plain["CodingSchemeDesignator"], plain["CodeMeaning"])


def object_as_code(each):
    return Code(each.GetCodeValue(), each.GetCodingSchemeDesignator(), each.GetCodeMeaning())


def test_the_file_has_the_codes_and_colors_of_the_classes():
    content = json.loads(TERMINOLOGY_FILE.read_text("utf-8"))
    assert content["SegmentationCategoryTypeContextName"] == CONTEXT
    (category,) = content["SegmentationCodes"]["Category"]
    assert code_of(category) == CATEGORY
    assert [code_of(each) for each in category["Type"]] == [each.code for each in DISEASES]
    for plain, disease in zip(category["Type"], DISEASES, strict=True):
        assert plain["3dSlicerLabel"] == disease.name
        assert "#{:02X}{:02X}{:02X}".format(*plain["recommendedDisplayRGBValue"]) == disease.color


def test_slicer_loads_the_file_and_finds_each_entry_in_it(logic):
    import slicer

    assert logic.IsTerminologyContextLoaded(CONTEXT)
    assert logic.GetNumberOfCategoriesInTerminology(CONTEXT) == 1
    category = slicer.vtkSlicerTerminologyCategory()
    assert logic.GetNthCategoryInTerminology(CONTEXT, 0, category)
    assert logic.GetNumberOfTypesInTerminologyCategory(CONTEXT, category) == len(DISEASES)
    assert category.GetShowAnatomy()
    for number, disease in enumerate(DISEASES):
        entry, known = slicer.vtkSlicerTerminologyEntry(), slicer.vtkSlicerTerminologyType()
        assert logic.DeserializeTerminologyEntry(entry_of(disease.key), entry)
        assert logic.GetNthTypeInTerminologyCategory(CONTEXT, category, number, known)
        assert entry.GetTerminologyContextName() == CONTEXT
        assert object_as_code(entry.GetCategoryObject()) == object_as_code(category) == CATEGORY
        assert object_as_code(entry.GetTypeObject()) == object_as_code(known) == disease.code
        assert object_as_code(entry.GetAnatomicRegionObject()) == LUNG


def test_the_module_loads_it_when_slicer_has_started(window, scene, monkeypatch):
    import slicer

    made = slicer.vtkSlicerTerminologiesModuleLogic()
    monkeypatch.setattr(slicer.modules, "terminologies", SimpleNamespace(logic=lambda: made))
    monkeypatch.setattr(window, "started", [])
    importlib.import_module("M3LungScreen").M3LungScreen(SimpleNamespace())
    window.started[-1]()
    assert made.IsTerminologyContextLoaded(CONTEXT)
