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


def test_a_click_simulates_a_sample_in_a_process_and_loads_it(
    registered, sample_data, window, loaded, caplog
):
    sample = sample_data.SAMPLES[0]
    source = registered[sample.name]
    source.customDownloader(source)
    end = time.monotonic() + 120
    while not loaded and time.monotonic() < end:
        window.processEvents()
        time.sleep(0.01)
    assert loaded[0].GetName() == sample.name
    assert is_the_reference_or_said_not_to_be(sample_data, sample, caplog)


def is_the_reference_or_said_not_to_be(sample_data, sample, caplog):
    """The last bits of a simulation depend on the processor."""
    return sample_data.is_cached(sample) != ("rounds differently" in caplog.text)


def test_a_sample_in_the_cache_is_loaded_without_a_process(
    registered, sample_data, loaded, monkeypatch, scene
):
    import SampleData

    sample = sample_data.SAMPLES[1]
    monkeypatch.setattr(sample_data, "QtProcess", None)
    path = sample_data.cached_file(sample)
    path.parent.mkdir(exist_ok=True)
    sitk.WriteImage(sitk.Image(4, 4, 4, sitk.sitkInt16), str(path))
    monkeypatch.setattr(
        sample_data, "is_cached", lambda sample: sample_data.cached_file(sample).is_file()
    )
    source = registered[sample.name]
    source.customDownloader(source)
    sample_data.download_sample(sample.name)
    SampleData.downloadSample(sample.name)
    assert [each.GetName() for each in loaded] == 3 * [sample.name]


def test_reading_a_source_starts_no_process(registered, sample_data, monkeypatch):
    monkeypatch.setattr(sample_data, "QtProcess", None)
    for source in registered.values():
        assert str(source)
        assert source.uris[0].startswith("file:")


def test_a_script_waits_for_its_sample(registered, sample_data, loaded, caplog):
    sample = sample_data.SAMPLES[1]
    sample_data.cached_file(sample).parent.mkdir(exist_ok=True)
    sample_data.cached_file(sample).write_bytes(b"no image")
    assert sample_data.download_sample(sample.name) is loaded[0]
    assert is_the_reference_or_said_not_to_be(sample_data, sample, caplog)
    with pytest.raises(ValueError, match="'CTChest' is none of SimulatedHealthy"):
        sample_data.download_sample("CTChest")


@pytest.mark.parametrize("arguments", [["-c", "raise SystemExit('no disk')"], ["--no-such-option"]])
def test_a_simulation_that_fails_says_why(registered, sample_data, monkeypatch, arguments):
    monkeypatch.setattr(sample_data, "_arguments", lambda sample: arguments)
    with pytest.raises(sample_data.SimulationFailed, match="could not be simulated") as failed:
        sample_data.download_sample("SimulatedCAP")
    assert failed.value.details
