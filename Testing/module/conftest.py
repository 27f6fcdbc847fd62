"""A real MRML scene, a simulated CT in it, and result folders without a network."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
sys.path.append(str(ROOT / "M3LungScreen"))

from Testing.stand_ins import translation  # noqa: E402

translation.install()
from Testing.stand_ins.clicks import screen  # noqa: E402
from Testing.stand_ins.mrml_scene import SceneOfSlicer, add_volume, ijk_to_ras_of  # noqa: E402


@pytest.fixture(autouse=True)
def _packages_survive_a_reload():
    """Reloading the module drops our packages; later tests hold classes of those loaded before."""
    before = _our_modules()
    yield
    after = _our_modules()
    if any(after.get(name) is not module for name, module in before.items()):
        for name in after:
            del sys.modules[name]
        sys.modules.update(before)


def _our_modules():
    ours = ("M3LungScreenLib", "M3LungScreenSlicer")
    return {name: each for name, each in sys.modules.items() if name.split(".")[0] in ours}


@pytest.fixture
def scene(tmp_path, monkeypatch):
    """An empty scene of Slicer's, also slicer.mrmlScene."""
    import slicer

    kept = SceneOfSlicer(tmp_path / "cache")
    monkeypatch.setattr(slicer, "mrmlScene", kept.scene, raising=False)
    yield kept.scene
    kept.scene.Clear(True)


@pytest.fixture(scope="session")
def a_patient():
    """A small simulated patient with COVID-19, 30 slices of 96 × 96."""
    from M3LungScreenLib import simulate_patient

    return simulate_patient("covid19", 3, slice_count=30, slice_thickness_mm=8.0, matrix=96)


@pytest.fixture
def a_ct(scene, a_patient):
    """That patient's CT in the scene."""
    volume = a_patient.volume
    return add_volume(scene, volume.hu, ijk_to_ras_of(volume.geometry), "CT of Müller")


@pytest.fixture
def result_folder(make_result, tmp_path):
    """result_folder(...) writes what the worker would write, for a made-up result."""
    from M3LungScreenLib.outputs.folder import write

    def make(called="covid19", **options):
        result = make_result(called, **options)
        return result, write(result, tmp_path / f"{called} mit Öl", volumes="raw")

    return make


@pytest.fixture
def window(scene):
    """Slicer's window without Slicer; what a slot raised fails the test."""
    from Testing.stand_ins import pythonqt
    from Testing.stand_ins.slicer_application import install

    application = install(ROOT / "M3LungScreen" / "M3LungScreen.py")
    with pythonqt.nothing_raised():
        yield application


@pytest.fixture
def settled(window):
    """settled() lets the event loop do what is due."""

    def settle():
        for _ in range(5):
            window.processEvents()

    return settle


@pytest.fixture
def errors_of_vtk():
    """errors_of_vtk() gives what VTK's error macros have said since."""
    import vtk

    said, window = [], vtk.vtkOutputWindow()
    window.AddObserver("ErrorEvent", lambda caller, event: said.append(event))
    before = vtk.vtkOutputWindow.GetInstance()
    vtk.vtkOutputWindow.SetInstance(window)
    yield lambda: list(said)
    vtk.vtkOutputWindow.SetInstance(before)


@pytest.fixture
def layout_manager(window, scene, monkeypatch):
    """Slicer's layout manager, with the Plots module."""
    from Testing.stand_ins.layout import LayoutManager

    manager = LayoutManager()
    monkeypatch.setattr(window, "layout_manager", manager)
    manager.use_plots(monkeypatch)
    yield manager
    manager.close()


@dataclass
class AxialView:
    """The `node` of an axial slice view and its `layers`."""

    node: Any
    layers: Any

    @property
    def foreground(self):
        """The volume in the foreground, None without one."""
        return self.layers.GetScene().GetNodeByID(self.layers.GetForegroundVolumeID() or "")

    @property
    def legends(self):
        """The titles of the color legends in view, sorted."""
        from M3LungScreenSlicer.scene.nodes import nodes_of_class

        found = nodes_of_class(self.layers.GetScene(), "vtkMRMLColorLegendDisplayNode")
        return sorted(each.GetTitleText() for each in found if each.GetVisibility())


@pytest.fixture
def a_slice_view(scene):
    """An axial slice view."""
    import slicer

    slicer.vtkMRMLSliceNode.AddDefaultSliceOrientationPresets(scene)
    node = scene.AddNewNodeByClass("vtkMRMLSliceNode")
    node.SetLayoutName("Red")
    node.SetSingletonTag("Red")  # by which Slicer's layouts find it
    node.SetOrientation("Axial")
    composite = slicer.vtkMRMLSliceCompositeNode()
    composite.SetLayoutName("Red")
    scene.AddNode(composite)
    return AxialView(node, composite)


@pytest.fixture
def a_small_ct(scene, make_result, a_slice_view):
    """The CT of the made-up results."""
    volume = make_result("covid19").volume
    return add_volume(scene, volume.hu, ijk_to_ras_of(volume.geometry), "CT of the chest")


@pytest.fixture
def another_ct(scene, a_small_ct):
    """another_ct() adds a copy of that CT to the scene."""
    from M3LungScreenSlicer.scene.volumes import voxels

    return lambda: add_volume(scene, voxels(a_small_ct).copy(), name="Another CT")


@pytest.fixture
def nothing_missing(window, monkeypatch):
    from M3LungScreenSlicer import installation

    monkeypatch.setattr(installation, "missing_packages", lambda *where: [])


@pytest.fixture
def open_widget(window):
    """open_widget(logic) opens the module as Slicer does; closed at the end."""
    from M3LungScreenSlicer.library import make_importable

    make_importable()
    from M3LungScreenSlicer.panel.widget import M3LungScreenWidget

    from Testing.stand_ins.slicer_application import a_parent

    opened = []

    def make(logic):
        parent = a_parent()
        widget = M3LungScreenWidget(parent, logic)
        widget.setup()
        parent.isEntered = True
        widget.enter()
        parent.show()
        opened.append(widget)
        return widget

    yield make
    for widget in opened:
        widget.cleanup()
        widget.parent.hide()
        widget.parent.deleteLater()


@pytest.fixture
def open_module(open_widget, scene, nothing_missing):
    """open_module() opens the module with a logic that does what a test tells it."""
    from Testing.stand_ins.screening import M3LungScreenLogic

    return lambda: open_widget(M3LungScreenLogic(scene))


@pytest.fixture
def widget(a_small_ct, open_module):
    return open_module()


@pytest.fixture
def screened(widget, result_folder):
    """The widget after a run that found COVID-19."""
    screen(widget, result_folder("covid19")[1])
    return widget
