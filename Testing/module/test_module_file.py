"""M3LungScreen.py as Slicer loads it: module, logic, sample data, and its own test."""

import importlib
import sys
import time
import unittest
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
import SimpleITK as sitk

ROOT = Path(__file__).parents[2]
MODULE = ROOT / "M3LungScreen" / "M3LungScreen.py"


@pytest.fixture
def window(scene):
    from Testing.stand_ins import pythonqt
    from Testing.stand_ins.slicer_application import install

    application = install(MODULE)
    yield application
    problems, pythonqt.raised[:] = list(pythonqt.raised), []
    assert not problems


@pytest.fixture
def module(window):
    return importlib.import_module("M3LungScreen")


@pytest.fixture
def sample_data(window):
    from M3LungScreenSlicer import sample_data

    return sample_data


@pytest.fixture
def registered(sample_data, monkeypatch):
    """What `register` adds to Slicer's SampleData, by the sample's name."""
    import slicer

    from Testing.stand_ins import sample_data_module

    monkeypatch.setitem(sys.modules, "SampleData", sample_data_module)
    monkeypatch.setattr(slicer.modules, "sampleDataSources", {}, raising=False)
    monkeypatch.setattr(slicer.util, "TESTING_DATA_URL", "https://data/", raising=False)
    monkeypatch.setattr(slicer.util, "showStatusMessage", lambda text, ms=0: None)
    sample_data.register()
    sample_data.register()
    sources = slicer.modules.sampleDataSources["M3LungScreen"]
    assert len(sources) == 4
    return {each.sampleName: each for each in sources}


@pytest.fixture
def loaded(scene, monkeypatch):
    """Nodes that `slicer.util.loadVolume` made."""
    import slicer

    nodes = []

    def load(path, options):
        nodes.append(push(scene, sitk.ReadImage(path), options["name"]))
        return nodes[-1]

    monkeypatch.setattr(slicer.util, "loadVolume", load)
    return nodes


def test_the_module_says_what_it_is_and_what_it_is_not_for(module, window):
    parent = SimpleNamespace()
    module.M3LungScreen(parent)
    assert parent.title == "M3LungScreen"
    assert parent.categories == ["Quantification"]
    assert "Research use only" in parent.helpText
    assert "2010.03201" in parent.acknowledgementText


def test_the_logic_has_a_parameter_node_and_the_scenes_screening(module, scene):
    logic = module.M3LungScreenLogic()
    assert logic.getParameterNode().GetScene() is scene
    assert logic.scene is scene
    assert logic.screen_all() == {}


def test_the_modules_own_test_passes(module, scene, monkeypatch):
    utilities = ModuleType("sitkUtils")
    utilities.PushVolumeToSlicer = lambda image, name: push(scene, image, name)
    monkeypatch.setitem(sys.modules, "sitkUtils", utilities)
    case = module.M3LungScreenTest("runTest")
    outcome = unittest.TestResult()
    case.run(outcome)
    assert outcome.wasSuccessful(), outcome.errors + outcome.failures
    assert not outcome.skipped


def test_slicers_test_button_tells_of_a_skip_and_of_a_failure(module, scene, monkeypatch):
    told = []
    case = module.M3LungScreenTest
    monkeypatch.setattr(case, "delayDisplay", lambda self, text: told.append(text))
    monkeypatch.setattr(module, "missing_packages", lambda requirements: ["onnxruntime"])
    case().runTest()  # as the button does
    assert told == ["Test skipped: onnxruntime is missing; click Screen once to install it"] * 2
    monkeypatch.setattr(module, "missing_packages", lambda requirements: [])
    monkeypatch.setattr(case, "simulated_patient", lambda self: None)
    with pytest.raises(AssertionError, match="No volume is selected"):
        case().runTest()


def push(scene, image, name="CT"):
    """An image of SimpleITK as a node."""
    from M3LungScreenLib.ct import Geometry
    from Testing.stand_ins.mrml_scene import add_volume, ijk_to_ras_of

    place = ijk_to_ras_of(Geometry.of(image))
    return add_volume(scene, sitk.GetArrayFromImage(image), place, name)


def test_a_simulated_patient_of_each_class_is_offered_and_none_that_slicer_has(
    registered, sample_data
):
    from M3LungScreenLib.classes import CLASS_KEYS

    assert [each.key for each in sample_data.SAMPLES] == list(CLASS_KEYS)
    assert list(registered) == [each.name for each in sample_data.SAMPLES]
    for sample in sample_data.SAMPLES:
        assert Path(registered[sample.name].thumbnailFileName).is_file()


def test_a_sample_is_simulated_in_a_process_and_loaded(
    registered, sample_data, window, loaded, caplog
):
    sample = sample_data.SAMPLES[0]
    source = registered[sample.name]
    source.customDownloader(source)
    end = time.monotonic() + 60
    while not loaded and time.monotonic() < end:
        window.processEvents()
        time.sleep(0.01)
    assert sample_data.digest_of(sample_data.cached_file(sample)) == sample.sha256
    assert caplog.records == []
    source.customDownloader(source)
    assert [each.GetName() for each in loaded] == [sample.name, sample.name]


def test_a_sample_can_be_downloaded_by_its_name(registered, sample_data, loaded, monkeypatch):
    import SampleData

    sample = sample_data.SAMPLES[1]
    sample_data.cached_file(sample).parent.mkdir(exist_ok=True)
    sample_data.cached_file(sample).write_bytes(b"no image")
    node = SampleData.downloadSample(sample.name)
    assert loaded == [node]
    assert sample_data.digest_of(sample_data.cached_file(sample)) == sample.sha256
    monkeypatch.setattr(sample_data, "_arguments", lambda sample: ["-c", "raise SystemExit(2)"])
    assert SampleData.downloadSample(sample.name).GetName() == sample.name  # not made again
